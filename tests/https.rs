//! The client commands over TLS, with the root certificates that their environment names.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Output, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::aws_lc_rs, pki_types::PrivateKeyDer};

/// A bound on every wait, far above what it takes, so that a hang fails the test.
const PATIENCE: Duration = Duration::from_secs(20);

/// A fake hub at `https://localhost` that answers each connection with the next of `answers`; its certificate is in `file`.
fn hub(file: &Path, answers: &'static [&'static str]) -> (String, thread::JoinHandle<Vec<String>>) {
    hub_with(file, &generate_simple_self_signed(vec!["localhost".into()]).expect("signed"), answers)
}

/// The same with a certificate of the caller's choice.
fn hub_with(
    file: &Path,
    CertifiedKey { cert, signing_key }: &CertifiedKey<rcgen::KeyPair>,
    answers: &'static [&'static str],
) -> (String, thread::JoinHandle<Vec<String>>) {
    fs::write(file, cert.pem()).expect("written");
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("they fit");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("https://localhost:{}", listener.local_addr().expect("an address").port());
    let serve = move |answer: &&str| {
        let (socket, _) = listener.accept().expect("a client");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).expect("a server"), socket);
        let head = read_head(&mut stream);
        stream.write_all(answer.as_bytes()).expect("it reads");
        stream.conn.send_close_notify();
        stream.flush().expect("it reads");
        head
    };
    (url, thread::spawn(move || answers.iter().map(serve).collect()))
}

fn read_head(stream: &mut StreamOwned<ServerConnection, TcpStream>) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("ASCII")
}

fn gapless(args: &[&str], roots: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
    command.args(args).env_remove("GAPLESS_TOKEN").env_remove("SSL_CERT_DIR").env("SSL_CERT_FILE", roots);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let started = Instant::now();
    while child.try_wait().expect("a child").is_none() && started.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(5));
    }
    // A hang is a failure: a killed process has no exit code.
    let _ended = child.kill();
    child.wait_with_output().expect("its output")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn it_follows_across_connections_with_the_roots_that_the_environment_names() {
    let dir = tempfile::tempdir().expect("a directory");
    let (file, token) = (dir.path().join("hub.pem"), dir.path().join("token"));
    fs::write(&token, "filed\n").expect("written");
    let (url, hub) = hub(
        &file,
        &[
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\nretry: 100\n\nid: abcd-1\ndata: a\n\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
        ],
    );
    let output = gapless(&["tail", "t", "--url", &url, "--token-file", &token.display().to_string()], &file);
    assert_eq!((&*text(&output.stdout), &*text(&output.stderr), output.status.code()), ("a\n", "", Some(0)));
    let requests = hub.join().expect("two connections");
    assert!(requests[1].contains("last-event-id: abcd-1\r\n"), "{requests:?}");
    assert!(requests.iter().all(|request| request.contains("authorization: Bearer filed\r\n")), "{requests:?}");
}

#[test]
fn an_issuers_own_certificate_as_openssl_makes_it_is_told_with_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("hub.pem");
    let mut params = rcgen::CertificateParams::new(vec!["localhost".into()]).expect("a name");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let signing_key = rcgen::KeyPair::generate().expect("a key");
    let made = CertifiedKey { cert: params.self_signed(&signing_key).expect("signed"), signing_key };
    let (url, _hub) = hub_with(&file, &made, &[""]);
    let told = text(&gapless(&["publish", "t", "data", "--url", &url], &file).stderr);
    assert!(told.contains("which a server must not use") && told.contains("CA:FALSE"), "{told}");
}

#[test]
fn an_untrusted_hub_ends_it_at_once_and_missing_roots_are_reported() {
    let dir = tempfile::tempdir().expect("a directory");
    let (file, others) = (dir.path().join("hub.pem"), dir.path().join("others.pem"));
    let other = generate_simple_self_signed(vec!["localhost".into()]).expect("signed");
    fs::write(&others, other.cert.pem()).expect("written");
    for command in [&["tail", "t"][..], &["publish", "t", "data"]] {
        // It reads no request: it has none to answer.
        let (url, _hub) = hub(&file, &[""]);
        let args = [command, &["--url", &url]].concat();
        let output = gapless(&args, &others);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            text(&output.stderr).starts_with(&format!("gapless: cannot make a trusted connection to {url}: ")),
            "{}",
            text(&output.stderr)
        );
        let told = text(&gapless(&args, &dir.path().join("nothing")).stderr);
        assert!(told.contains("has no trusted root certificates") && told.contains("--ca or SSL_CERT_FILE"), "{told}");
    }
}
