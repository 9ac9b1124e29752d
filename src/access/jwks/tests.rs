//! Fetching keys from a real server on the loopback.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use jsonwebtoken::Algorithm;
use parking_lot::Mutex;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;

use super::*;
use crate::access::{
    Access, AccessSettings, Refusal,
    settings::{IssuerSettings, KeySource},
    testing::{NOW, TestKey, claims, issuer},
};

/// Bound of every wait, longer than any step takes.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// The response of a server, and how many requests it got.
#[derive(Default)]
struct JwksScript {
    answer: Mutex<String>,
    requests: AtomicUsize,
    /// Held by a test while the server must not answer.
    paused: Mutex<()>,
}

struct Server {
    script: Arc<JwksScript>,
    port: u16,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let script = Arc::new(JwksScript::default());
        let served = Arc::clone(&script);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                serve(&mut client.expect("a client"), &served);
            }
        });
        Self { script, port }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/keys?code=hunter2", self.port)
    }

    fn set_response(&self, answer: &str) {
        answer.clone_into(&mut self.script.answer.lock());
    }

    fn set_keys(&self, keys: &[serde_json::Value]) {
        self.set_response(&set(&json!({ "keys": keys }).to_string(), ""));
    }

    fn requests(&self) -> usize {
        self.script.requests.load(Ordering::SeqCst)
    }

    fn issuer(&self) -> IssuerSettings {
        issuer(&["ES256"], KeySource::Jwks(self.url()))
    }

    fn access(&self, timing: Timing) -> Access {
        let settings = AccessSettings { issuers: vec![self.issuer()], ..AccessSettings::default() };
        Access::with(settings, timing, &fetch_config()).expect("sound")
    }
}

fn serve(client: &mut (impl Read + Write), script: &JwksScript) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|read| read > 0) {
        head.push(byte[0]);
    }
    script.requests.fetch_add(1, Ordering::SeqCst);
    drop(script.paused.lock());
    let answer = script.answer.lock().clone();
    // The client may have closed the connection.
    let _gone = client.write_all(answer.as_bytes());
    let _gone = client.flush();
}

/// A response with a JWK set.
fn set(body: &str, headers: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}", body.len())
}

fn fetch_config() -> FetchConfig {
    FetchConfig { timeout: MAX_WAIT, roots: None }
}

/// An hour between refreshes, so that a test sees only the requests that it causes.
fn timing() -> Timing {
    let hour = Duration::from_hours(1);
    Timing { refresh: hour, early: hour, retry: hour, keep: hour, ..Timing::default() }
}

fn url(text: &str) -> Url {
    Url::new(text).expect("a URL")
}

/// Watches `access`. The receiver gets a message for each change of keys.
fn watched(access: &Access) -> mpsc::Receiver<()> {
    let (sender, changes) = mpsc::channel();
    let sender = Mutex::new(sender);
    access.watch(Arc::new(move || {
        let _no_receiver = sender.lock().send(());
    }));
    changes
}

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !holds() {
        assert!(begun.elapsed() < MAX_WAIT, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn token(pair: &TestKey, id: &str) -> Vec<u8> {
    pair.signed(&json!({ "alg": "ES256", "kid": id }).to_string(), &claims().to_string()).into_bytes()
}

#[test]
fn keys_are_fetched_by_a_thread_and_never_by_authentication() {
    let (server, pair) = (Server::start(), &TestKey::all()[1]);
    server.set_keys(&[pair.jwk("a")]);
    let access = server.access(timing());
    let error = access.authenticate(&token(pair, "a"), NOW);
    assert_eq!((error, server.requests()), (Err(Refusal::KeysUnavailable), 0), "authentication fetches nothing");
    watched(&access).recv_timeout(MAX_WAIT).expect("the keys are new");
    assert!(access.authenticate(&token(pair, "a"), NOW).is_ok());
    assert_eq!(server.requests(), 1);
}

#[test]
fn an_answer_that_is_not_a_set_is_an_error_and_changes_nothing() {
    let (server, pair) = (Server::start(), &TestKey::all()[1]);
    server.set_keys(&[pair.jwk("a")]);
    let cache = JwksCache::new(url(&server.url()), &[Algorithm::ES256], timing(), fetch_config());
    assert_eq!(cache.refresh(), Ok(true));
    assert_eq!(cache.refresh(), Ok(false), "the same again");
    let large = set(&format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(256 << 10)), "");
    let endless = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", "x".repeat(300 << 10));
    let elsewhere = Server::start();
    elsewhere.set_keys(&[TestKey::fresh(Algorithm::ES256).jwk("a")]);
    let redirect = format!("HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", elsewhere.url());
    let secret = json!({ "keys": [{ "kty": "oct", "k": "A".repeat(86), "kid": "a" }] }).to_string();
    for (answer, want) in [
        (&*large, "more than 262144 bytes"),
        (&endless, "more than 262144 bytes"),
        (&redirect, "redirect"),
        (&set(&secret, ""), "no signature key"),
        (&set("<html>", ""), "is not JSON"),
        (&set("{\"keys\":[]}", ""), "without keys"),
        ("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "answers 500"),
        ("HTTP/1.1 204 Nothing\r\n\r\n", "answers 204"),
        ("hello\r\n\r\n", "http://127.0.0.1"),
        ("", "http://127.0.0.1"),
    ] {
        server.set_response(answer);
        let error = cache.refresh().expect_err(want);
        assert!(error.contains(want) && !error.contains("hunter2"), "{want}: {error}");
        assert_eq!(cache.keys().len(), 1, "{want}: those of before stay");
    }
    assert_eq!(elsewhere.requests(), 0, "a redirect is not followed");
}

#[test]
fn a_fetch_has_a_timeout() {
    let (server, quick) = (Server::start(), FetchConfig { timeout: Duration::from_millis(50), roots: None });
    let closed = server.script.paused.lock();
    let cache = JwksCache::new(url(&server.url()), &[Algorithm::ES256], timing(), quick);
    assert!(cache.refresh().expect_err("no answer").contains("no complete answer within"));
    drop(closed);
}

#[test]
fn a_rotation_is_reported_and_ends_tokens_of_the_old_key() {
    let (server, old, new) = (Server::start(), &TestKey::all()[1], TestKey::fresh(Algorithm::ES256));
    server.set_keys(&[old.jwk("old")]);
    let access = server.access(timing());
    let changes = watched(&access);
    changes.recv_timeout(MAX_WAIT).expect("the first keys");
    let principal = access.authenticate(&token(old, "old"), NOW).expect("good");
    server.set_keys(&[old.jwk("old"), new.jwk("new")]);
    assert_eq!(
        access.authenticate(&token(&new, "new"), NOW),
        Err(Refusal::KeysUnavailable),
        "its key is being fetched"
    );
    changes.recv_timeout(MAX_WAIT).expect("another key");
    assert!(access.authenticate(&token(&new, "new"), NOW).is_ok() && access.renew(&principal, NOW).is_ok());
    server.set_keys(&[new.jwk("new")]);
    access.fetch().expect("an answer");
    assert_eq!(access.renew(&principal, NOW), Err(Refusal::KeyGone));
    assert_eq!(access.authenticate(&token(old, "old"), NOW), Err(Refusal::UnknownKey));
}

#[test]
fn tokens_with_unknown_keys_cause_one_early_refresh_per_interval() {
    let (server, pair) = (Server::start(), &TestKey::all()[1]);
    server.set_keys(&[pair.jwk("a")]);
    let access = server.access(timing());
    watched(&access).recv_timeout(MAX_WAIT).expect("the first keys");
    assert_eq!(access.authenticate(&token(pair, "junk"), NOW), Err(Refusal::KeysUnavailable));
    eventually("the early fetch is over", || {
        access.authenticate(&token(pair, "junk"), NOW) == Err(Refusal::UnknownKey)
    });
    for n in 0..1000 {
        assert_eq!(access.authenticate(&token(pair, &format!("junk-{n}")), NOW), Err(Refusal::UnknownKey));
    }
    assert_eq!(server.requests(), 2, "one by itself, one for all the junk");
    assert_eq!(
        access.authenticate(&token(&TestKey::fresh(Algorithm::ES256), "a"), NOW),
        Err(Refusal::Signature),
        "a known key"
    );
    assert_eq!(server.requests(), 2);
}

#[test]
fn an_unknown_key_causes_a_refresh_again_after_the_interval() {
    let (server, pair) = (Server::start(), &TestKey::all()[1]);
    server.set_keys(&[pair.jwk("a")]);
    let access = server.access(Timing { early: Duration::ZERO, ..timing() });
    watched(&access).recv_timeout(MAX_WAIT).expect("the first keys");
    eventually("it asks again and again", || {
        assert_eq!(access.authenticate(&token(pair, "junk"), NOW), Err(Refusal::KeysUnavailable));
        server.requests() > 4
    });
}

#[test]
fn keys_stay_for_a_bounded_time_while_the_server_is_unreachable() {
    let (server, pair) = (Server::start(), &TestKey::all()[1]);
    server.set_keys(&[pair.jwk("a")]);
    let quick = Duration::from_millis(5);
    let access = server.access(Timing { refresh: quick, retry: quick, ages: (quick, quick), ..timing() });
    let changes = watched(&access);
    changes.recv_timeout(MAX_WAIT).expect("the first keys");
    server.set_response("HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n");
    let before = server.requests();
    eventually("it has failed some times", || server.requests() > before + 3);
    let principal = access.authenticate(&token(pair, "a"), NOW).expect("the keys of before");
    let unknown_key = access.authenticate(&token(pair, "b"), NOW);
    assert_eq!(unknown_key, Err(Refusal::KeysUnavailable), "the server may have the key");

    let impatient = server.access(Timing { refresh: quick, retry: quick, keep: Duration::ZERO, ..timing() });
    impatient.copy_fetched_keys(&access);
    assert!(impatient.renew(&principal, NOW).is_ok());
    watched(&impatient).recv_timeout(MAX_WAIT).expect("they are dropped");
    assert_eq!(
        impatient.renew(&principal, NOW),
        Err(Refusal::KeysUnavailable),
        "not refused: the server may have the key"
    );
}

#[test]
fn a_reload_keeps_only_the_keys_of_the_same_issuer() {
    let (server, pair) = (Server::start(), &TestKey::all()[1]);
    server.set_keys(&[pair.jwk("a")]);
    let before = server.access(timing());
    before.fetch().expect("an answer");
    let after = server.access(timing());
    after.copy_fetched_keys(&before);
    assert!(after.authenticate(&token(pair, "a"), NOW).is_ok());
    for change in [
        |issuer: &mut IssuerSettings| issuer.issuer.push('2'),
        |issuer: &mut IssuerSettings| issuer.audience.push('2'),
        |issuer: &mut IssuerSettings| issuer.algorithms = vec!["ES384".into(), "ES256".into()],
        |issuer: &mut IssuerSettings| issuer.keys = KeySource::Jwks("http://127.0.0.1:9/other".into()),
    ] {
        let mut issuer = server.issuer();
        change(&mut issuer);
        let settings = AccessSettings { issuers: vec![issuer], ..AccessSettings::default() };
        let other = Access::with(settings, timing(), &fetch_config()).expect("sound");
        other.copy_fetched_keys(&before);
        assert_eq!(other.authenticate(&token(pair, "a"), NOW), Err(Refusal::KeysUnavailable), "it has none yet");
    }
}

#[test]
fn nothing_is_reported_after_the_drop() {
    let (server, pair) = (Server::start(), &TestKey::all()[1]);
    server.set_keys(&[pair.jwk("a")]);
    let access = server.access(timing());
    let closed = server.script.paused.lock();
    let changes = watched(&access);
    eventually("a fetch is under way", || server.requests() == 1);
    drop(access);
    drop(closed);
    // The thread drops the sender when it ends, after its fetch.
    assert_eq!(changes.recv_timeout(MAX_WAIT), Err(mpsc::RecvTimeoutError::Disconnected));
}

#[test]
fn max_age_is_clamped() {
    let (server, pair) = (Server::start(), &TestKey::all()[1]);
    let body = json!({ "keys": [pair.jwk("a")] }).to_string();
    let cache = JwksCache::new(url(&server.url()), &[Algorithm::ES256], Timing::default(), fetch_config());
    for (headers, want) in [
        ("", 300),
        ("Cache-Control: max-age=600\r\n", 600),
        ("Cache-Control: max-age=0\r\n", 60),
        ("Cache-Control: max-age=31536000\r\n", 3600),
    ] {
        server.set_response(&set(&body, headers));
        let (_, next) = cache.fetch_and_store().expect("an answer");
        assert_eq!(next, Duration::from_secs(want), "{headers}");
    }
}

/// A TLS server with a self-signed certificate: its port, and the certificate.
fn tls_server(answer: String) -> (u16, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let trusted = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("sound")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a pair");
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").expect("a port"));
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        let script = JwksScript { answer: Mutex::new(answer), ..JwksScript::default() };
        for client in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).expect("sound");
            let mut stream = rustls::StreamOwned::new(connection, client.expect("a client"));
            serve(&mut stream, &script);
            stream.conn.send_close_notify();
            let _gone = stream.flush();
        }
    });
    (port, trusted)
}

#[test]
fn keys_are_fetched_only_from_a_server_with_a_trusted_certificate() {
    let pair = &TestKey::all()[1];
    let (port, certificate) = tls_server(set(&json!({ "keys": [pair.jwk("a")] }).to_string(), ""));
    let at = format!("https://localhost:{port}/keys");
    let cache = |roots| {
        let fetch_config = FetchConfig { timeout: MAX_WAIT, roots: Some(Arc::new(roots)) };
        JwksCache::new(url(&at), &[Algorithm::ES256], timing(), fetch_config)
    };
    assert_eq!(cache(vec![certificate]).refresh(), Ok(true));
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let error = cache(vec![other.cert.der().clone()]).refresh().expect_err("a stranger");
    assert!(error.contains("no trusted certificate"), "{error}");
}
