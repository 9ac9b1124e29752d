//! A certificate in files, and a client that trusts it and nothing else.

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tempfile::TempDir;

use crate::support::{PATIENCE, hub::Hub};

/// A connection within TLS.
pub(crate) type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A certificate for localhost and its key, in a directory of their own.
pub(crate) struct Trust {
    directory: TempDir,
}

impl Trust {
    pub(crate) fn new() -> Self {
        let trust = Self { directory: tempfile::tempdir().unwrap() };
        trust.renew();
        trust
    }

    /// Puts a new pair in the place of the old one.
    pub(crate) fn renew(&self) {
        let made = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
        fs::write(self.chain(), made.cert.pem()).unwrap();
        fs::write(self.key(), made.signing_key.serialize_pem()).unwrap();
    }

    pub(crate) fn chain(&self) -> PathBuf {
        self.directory.path().join("chain.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }

    /// A hub with this certificate.
    pub(crate) fn hub(&self, arguments: &[&str]) -> Hub {
        let (chain, key) = (self.chain(), self.key());
        let mut all = vec!["--tls-cert", chain.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
        all.extend(arguments);
        Hub::start_with(&all)
    }

    /// Connects, trusting the certificate that is in the file now.
    pub(crate) fn connect(&self, address: SocketAddr, protocol: &str) -> Stream {
        connect(&fs::read(self.chain()).unwrap(), address, protocol).unwrap()
    }

    /// `curl -k` with these arguments and a path; what it prints.
    pub(crate) fn curl(address: SocketAddr, arguments: &[&str], path: &str) -> String {
        let url = format!("https://localhost:{}{path}", address.port());
        let mut command = std::process::Command::new("curl");
        let output = command.args(["-sk", "--max-time", "30"]).args(arguments).arg(url).output().expect("curl");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Publishes; the answer must be a receipt.
    pub(crate) fn publish(address: SocketAddr, topic: &str, data: &str) {
        let receipt = Self::curl(address, &["--data-binary", data], &format!("/publish?topic={topic}"));
        assert!(receipt.contains("\"id\""), "{receipt}");
    }

    /// Asks for a stream over HTTP/1.1, and gives its head and what follows it.
    pub(crate) fn watch(&self, hub: &Hub, query: &str) -> (String, BufReader<Stream>) {
        let mut stream = self.connect(hub.address, "http/1.1");
        let mut ask = String::new();
        write!(ask, "GET /events?{query} HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n").unwrap();
        stream.write_all(ask.as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
        }
        (head, reader)
    }
}

/// A handshake with localhost that trusts `root` only.
pub(crate) fn connect(root: &[u8], address: SocketAddr, protocol: &str) -> std::io::Result<Stream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.into()];
    let name = ServerName::try_from("localhost").unwrap();
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), socket);
    stream.flush()?;
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    assert_eq!(stream.conn.alpn_protocol(), Some(protocol.as_bytes()));
    Ok(stream)
}

/// Reads a chunked body until `end` is in it; the data, without the chunks.
pub(crate) fn chunks_until(reader: &mut impl BufRead, end: &str) -> String {
    let (mut all, mut looked) = (Vec::new(), 0);
    loop {
        // Only the new bytes are searched, and those before them where `end` may begin.
        let from: usize = usize::saturating_sub(looked, end.len());
        if String::from_utf8_lossy(&all[from..]).contains(end) {
            break;
        }
        looked = all.len();
        let mut size = String::new();
        reader.read_line(&mut size).unwrap();
        let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
        assert!(size > 0, "it ended after {:?}", String::from_utf8_lossy(&all));
        let from = all.len();
        all.resize(from + size, 0);
        reader.read_exact(&mut all[from..]).unwrap();
        reader.read_exact(&mut [0; 2]).unwrap();
    }
    String::from_utf8(all).unwrap()
}
