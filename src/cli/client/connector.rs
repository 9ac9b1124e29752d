//! Messages for the errors of TLS.

use std::io;

use super::trust;
use crate::client::connector::tls_error;

/// The error of a connection to `host`, in words and with what to do when the handshake has failed.
pub(in crate::cli) fn explained(error: io::Error, host: &str) -> io::Error {
    match tls_error(&error) {
        Some(reason) => io::Error::new(error.kind(), Untrusted(trust::describe(reason, host))),
        None => error,
    }
}

/// Why a TLS handshake failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
struct Untrusted(String);

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
    use crate::cli::CliError;

    /// A test CA, and its certificate as a file.
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

        /// A server for `names` that answers one request with "{}": its port, and its thread, which returns the
        /// request.
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
        let hub = args(line).client()?;
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
            (&twin, &["localhost"], |_| (), "signed with another key"),
            (&other, &["localhost"], |_| (), "does not trust the issuer of its certificate"),
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
            let message = error.to_string();
            assert!(message.contains(want) && message.contains(&url), "{message}");
            assert!(asked.join().expect("a server").is_err(), "it got a request: {want}");
        }
    }

    /// A self-signed certificate with this CN and these names.
    fn own(cn: &str, names: &[&str]) -> (rcgen::Certificate, KeyPair) {
        let names: Vec<String> = names.iter().map(|&name| name.into()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, cn);
        let key = KeyPair::generate().expect("a key");
        (params.self_signed(&key).expect("signed"), key)
    }

    #[test]
    fn a_self_signed_certificate_has_its_own_message() {
        let dir = tempfile::tempdir().expect("a directory");
        let trusted = dir.path().join("trusted.pem");
        let namesake = || own("localhost", &["localhost"]).0.pem();
        for (own, roots, want) in [
            (own("localhost", &["localhost"]), namesake(), "self-signed"),
            (own("localhost", &["localhost"]), TestIssuer::new("another").issuer.pem(), "self-signed"),
            (own("localhost", &[]), namesake(), "self-signed"),
        ] {
            fs::write(&trusted, roots).expect("written");
            let (port, _asked) = answer_with(&own.0, &own.1);
            let url = format!("https://localhost:{port}");
            let message = ask(&["--url", &url, "--ca", trusted.to_str().expect("UTF-8")]).expect_err(want).to_string();
            assert!(
                message.contains(want) && message.contains("--ca") && !message.contains("another key"),
                "{message}"
            );
        }
        // If it is trusted itself, its missing subjectAltName is the reason.
        let own = own("localhost", &[]);
        fs::write(&trusted, own.0.pem()).expect("written");
        let (port, _asked) = answer_with(&own.0, &own.1);
        let url = format!("https://localhost:{port}");
        let message = ask(&["--url", &url, "--ca", trusted.to_str().expect("UTF-8")]).expect_err("no name").to_string();
        assert!(message.contains("no subjectAltName") && message.contains("DNS:localhost"), "{message}");
    }

    #[test]
    fn a_server_without_tls_has_its_own_message() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let server = thread::spawn(move || {
            let (mut socket, _) = listener.accept().expect("a client");
            // Read before closing, or a reset could overtake the response.
            let _hello = io::Read::read(&mut socket, &mut [0; 4096]);
            socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").expect("it reads");
        });
        let message = ask(&["--url", &format!("https://localhost:{port}"), "--ca", &TestIssuer::new("ours").file()]);
        let message = message.expect_err("no TLS").to_string();
        assert!(message.contains("does not speak TLS; use http://"), "{message}");
        server.join().expect("a server");
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("ca.pem");
        let path = path.to_str().expect("UTF-8");
        let refused_with = |want: &str| {
            let message = ask(&["--url", "https://localhost:1", "--ca", path]).expect_err(want).to_string();
            assert!(message.contains(want) && message.contains(path), "{message}");
        };
        refused_with("No such file");
        fs::write(path, "nothing").expect("written");
        refused_with("BEGIN CERTIFICATE");
        fs::write(path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").expect("written");
        refused_with("cannot be used");
        let endless = ask(&["--url", "https://localhost:1", "--ca", "/dev/zero"]).expect_err("endless").to_string();
        assert!(endless.contains("more than 4 MiB"), "{endless}");
    }

    #[test]
    fn a_handshake_has_a_timeout() {
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("https://localhost:{}", silent.local_addr().expect("an address").port());
        let hub = args(&["--url", &url, "--ca", &TestIssuer::new("ours").file()]).client().expect("a hub");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let request = hub.send(Method::GET, "/", HeaderMap::new(), Empty::<bytes::Bytes>::new());
        let message = runtime.expect("a runtime").block_on(request).expect_err("silence").to_string();
        assert!(message.contains("cannot reach the hub") && message.contains("timed out"), "{message}");
    }
}
