//! A connection over TCP or a socket in the file system, through a proxy or not, in the clear or over TLS.

use std::{
    io,
    path::{Path, PathBuf},
};

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::TlsConnector;

use super::{Dial, place::HubAddress, proxy::Proxy, trust};
use crate::cli::CliError;

/// Connections to one place.
pub(in crate::cli) struct Connector {
    /// `host:port`.
    address: String,
    /// The socket in the file system instead.
    socket: Option<PathBuf>,
    /// Who stands between.
    proxy: Option<Proxy>,
    tls: Option<ClientTls>,
}

struct ClientTls {
    connector: TlsConnector,
    /// Whose certificate it must be.
    name: ServerName<'static>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").field("address", &self.address).field("tls", &self.tls.is_some()).finish_non_exhaustive()
    }
}

/// Bytes both ways.
pub(in crate::cli) trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> ByteStream for T {}

impl Connector {
    /// Connections to `place`, over TLS when its URL says so; `ca` names certificates to trust beside the machine's.
    pub(super) fn new(place: &HubAddress, ca: Option<&Path>) -> Result<Self, CliError> {
        let tls = place.tls.then(|| ClientTls::new(place, ca)).transpose()?;
        let (address, socket) = (place.address.clone(), place.socket.clone());
        Ok(Self { address, socket, proxy: Proxy::of(place)?, tls })
    }

    /// Where they go, as `host:port`.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Who stands between.
    pub(super) fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    async fn tcp(&self) -> io::Result<TcpStream> {
        let stream = match &self.proxy {
            Some(proxy) => proxy.connect(&self.address).await?,
            None => TcpStream::connect(&self.address).await?,
        };
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl ClientTls {
    fn new(place: &HubAddress, ca: Option<&Path>) -> Result<Self, CliError> {
        let name = ServerName::try_from(place.host.clone()).map_err(|_| CliError::Url {
            url: format!("https://{}", place.authority),
            problem: "no certificate can be for that host; it is a DNS name or an address",
        })?;
        Ok(Self { connector: TlsConnector::from(trust::config(ca)?), name })
    }
}

impl Dial for Connector {
    type Io = Box<dyn ByteStream>;

    async fn dial(&self) -> io::Result<Box<dyn ByteStream>> {
        if let Some(socket) = &self.socket {
            return Ok(Box::new(UnixStream::connect(socket).await?));
        }
        let stream = self.tcp().await?;
        let Some(ClientTls { connector, name }) = &self.tls else { return Ok(Box::new(stream)) };
        let stream = connector.connect(name.clone(), stream).await.map_err(|error| in_words(error, name))?;
        Ok(Box::new(stream))
    }
}

/// An error of a handshake as an [`Untrusted`], when it is one of TLS.
fn in_words(error: io::Error, name: &ServerName<'_>) -> io::Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(reason) => io::Error::new(error.kind(), Untrusted(trust::in_words(reason, &name.to_str()))),
        None => error,
    }
}

/// Why no TLS was agreed on: trying again is no help.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(in crate::cli) struct Untrusted(pub(in crate::cli) String);

impl Untrusted {
    /// What is in `error`, if it is that.
    pub(in crate::cli) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref().and_then(|inner| inner.downcast_ref())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _, net::TcpListener, sync::Arc, thread};

    use http_body_util::Empty;
    use hyper::{Method, header::HeaderMap};
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
    use rustls::{
        ServerConfig, ServerConnection, StreamOwned,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer},
    };
    use tempfile::TempDir;

    use super::{super::tests::args, *};
    use crate::cli::client::HubClient;

    /// An issuer of this test, and its certificate as a file.
    struct TestIssuer {
        issuer: CertifiedIssuer<'static, KeyPair>,
        dir: TempDir,
    }

    impl TestIssuer {
        fn new(name: &str) -> Self {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed");
            let dir = tempfile::tempdir().expect("a directory");
            fs::write(dir.path().join("ca.pem"), issuer.pem()).expect("written");
            Self { issuer, dir }
        }

        fn file(&self) -> String {
            self.dir.path().join("ca.pem").to_str().expect("UTF-8").into()
        }

        /// A server for `names` that answers one request with "{}"; where it is, and what it was asked.
        fn serve(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> (u16, ServerThread) {
            let names: Vec<String> = names.iter().map(|&name| name.into()).collect();
            let mut params = CertificateParams::new(names).expect("names");
            change(&mut params);
            let key = KeyPair::generate().expect("a key");
            answer_with(&params.signed_by(&key, &self.issuer).expect("signed"), &key)
        }
    }

    type Change = fn(&mut CertificateParams);
    type ServerThread = thread::JoinHandle<io::Result<String>>;

    /// A server with this certificate that answers one request with "{}"; where it is, and what it was asked.
    fn answer_with(certificate: &rcgen::Certificate, key: &KeyPair) -> (u16, ServerThread) {
        let certificate: CertificateDer<'static> = certificate.der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("they fit");
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        (port, thread::spawn(move || converse(&listener, config)))
    }

    fn converse(listener: &TcpListener, config: ServerConfig) -> io::Result<String> {
        let (socket, _) = listener.accept()?;
        socket.set_read_timeout(Some(std::time::Duration::from_secs(20)))?;
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::new(config)).expect("a server"), socket);
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            io::Read::read_exact(&mut stream, &mut byte)?;
            asked.push(byte[0]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")?;
        stream.conn.send_close_notify();
        stream.flush()?;
        Ok(String::from_utf8(asked).expect("ASCII"))
    }

    /// The status of a request by these arguments.
    fn ask(line: &[&str]) -> Result<u16, CliError> {
        let hub = HubClient::reach(&args(line))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let body = Empty::<bytes::Bytes>::new();
        let answer = runtime.block_on(hub.send(Method::GET, "/healthz", HeaderMap::new(), body))?;
        Ok(answer.status().as_u16())
    }

    #[test]
    fn a_hub_with_a_certificate_of_a_named_issuer_is_reached_and_shown_the_token() {
        let issuer = TestIssuer::new("ours");
        for name in ["localhost", "127.0.0.1"] {
            let (port, asked) = issuer.serve(&[name], |_| ());
            let url = format!("https://{name}:{port}/live");
            let status = ask(&["--url", &url, "--ca", &issuer.file(), "--token", "secret"]).expect("trusted");
            assert_eq!(status, 200);
            let asked = asked.join().expect("a server").expect("asked");
            assert!(asked.starts_with("GET /live/healthz HTTP/1.1\r\n"), "{asked}");
            assert!(asked.contains("\r\nauthorization: Bearer secret\r\n"), "{asked}");
            assert!(asked.contains(&format!("\r\nhost: {name}:{port}\r\n")), "{asked}");
        }
    }

    #[test]
    fn whom_it_cannot_trust_it_shows_nothing_and_says_why() {
        let (issuer, other, twin) = (TestIssuer::new("ours"), TestIssuer::new("another"), TestIssuer::new("ours"));
        let cases: [(&TestIssuer, &[&str], Change, &str); 6] = [
            (&twin, &["localhost"], |_| (), "made with another key"),
            (&other, &["localhost"], |_| (), "does not trust; give the issuer's own with --ca"),
            (
                &issuer,
                &["hub.example", "*.hub.example"],
                |_| (),
                "is for hub.example, *.hub.example, not for localhost;",
            ),
            (&issuer, &["127.0.0.1"], |_| (), "is for 127.0.0.1, not for localhost;"),
            (
                &issuer,
                &["localhost"],
                |params| params.not_after = date_time_ymd(2020, 1, 2),
                "has expired (2020-01-02T",
            ),
            (
                &issuer,
                &["localhost"],
                |params| params.not_before = date_time_ymd(2999, 1, 2),
                "not valid yet (2999-01-02T",
            ),
        ];
        for (trusted, names, change, want) in cases {
            let (port, asked) = issuer.serve(names, change);
            let url = format!("https://localhost:{port}");
            let error = ask(&["--url", &url, "--ca", &trusted.file(), "--token", "secret"]).expect_err(want);
            assert!(matches!(error, CliError::Untrusted { .. }), "{error:?}");
            let told = error.to_string();
            assert!(told.contains(want) && told.contains(&url), "{told}");
            assert!(asked.join().expect("a server").is_err(), "it was asked: {want}");
        }
    }

    /// A certificate that vouches for itself, with this CN and these names.
    fn own(cn: &str, names: &[&str]) -> (rcgen::Certificate, KeyPair) {
        let names: Vec<String> = names.iter().map(|&name| name.into()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, cn);
        let key = KeyPair::generate().expect("a key");
        (params.self_signed(&key).expect("signed"), key)
    }

    #[test]
    fn a_certificate_that_vouches_for_itself_is_told_as_such_whatever_else_is_trusted() {
        let dir = tempfile::tempdir().expect("a directory");
        let trusted = dir.path().join("trusted.pem");
        let namesake = || own("localhost", &["localhost"]).0.pem();
        for (own, roots, want) in [
            (own("localhost", &["localhost"]), namesake(), "vouches for itself"),
            (own("localhost", &["localhost"]), TestIssuer::new("another").issuer.pem(), "vouches for itself"),
            (own("localhost", &[]), namesake(), "vouches for itself"),
        ] {
            fs::write(&trusted, roots).expect("written");
            let (port, _asked) = answer_with(&own.0, &own.1);
            let url = format!("https://localhost:{port}");
            let told = ask(&["--url", &url, "--ca", trusted.to_str().expect("UTF-8")]).expect_err(want).to_string();
            assert!(told.contains(want) && told.contains("--ca") && !told.contains("another key"), "{told}");
        }
        // Trusted by itself it has no name that counts.
        let own = own("localhost", &[]);
        fs::write(&trusted, own.0.pem()).expect("written");
        let (port, _asked) = answer_with(&own.0, &own.1);
        let url = format!("https://localhost:{port}");
        let told = ask(&["--url", &url, "--ca", trusted.to_str().expect("UTF-8")]).expect_err("no name").to_string();
        assert!(told.contains("no subjectAltName") && told.contains("DNS:localhost"), "{told}");
    }

    #[test]
    fn a_server_without_tls_is_told_as_such() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let server = thread::spawn(move || {
            let (mut socket, _) = listener.accept().expect("a client");
            // Read before it is closed, or a reset could overtake the answer.
            let _hello = io::Read::read(&mut socket, &mut [0; 4096]);
            socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").expect("it reads");
        });
        let told = ask(&["--url", &format!("https://localhost:{port}"), "--ca", &TestIssuer::new("ours").file()]);
        let told = told.expect_err("no TLS").to_string();
        assert!(told.contains("does not speak TLS; is it http://?"), "{told}");
        server.join().expect("a server");
    }

    #[test]
    fn a_file_of_certificates_that_holds_none_is_told() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("ca.pem");
        let path = path.to_str().expect("UTF-8");
        let told = |want: &str| {
            let told = ask(&["--url", "https://localhost:1", "--ca", path]).expect_err(want).to_string();
            assert!(told.contains(want) && told.contains(path), "{told}");
        };
        told("No such file");
        fs::write(path, "nothing").expect("written");
        told("BEGIN CERTIFICATE");
        fs::write(path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").expect("written");
        told("cannot be used");
        let endless = ask(&["--url", "https://localhost:1", "--ca", "/dev/zero"]).expect_err("endless").to_string();
        assert!(endless.contains("more than 4 MiB"), "{endless}");
    }

    #[test]
    fn a_handshake_that_never_ends_is_given_up() {
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("https://localhost:{}", silent.local_addr().expect("an address").port());
        let hub = HubClient::reach(&args(&["--url", &url, "--ca", &TestIssuer::new("ours").file()])).expect("a hub");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let request = hub.send(Method::GET, "/", HeaderMap::new(), Empty::<bytes::Bytes>::new());
        let told = runtime.expect("a runtime").block_on(request).expect_err("silence").to_string();
        assert!(told.contains("cannot reach the hub") && told.contains("timed out"), "{told}");
    }
}
