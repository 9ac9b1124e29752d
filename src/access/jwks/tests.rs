//! Fetching, from a real server on the loopback.

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
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;
use ureq::tls::Certificate;

use super::*;
use crate::access::{
    Access, AccessSettings, Refusal,
    settings::{IssuerSettings, KeySource},
    testing::{NOW, TestKey, claims, issuer},
};

/// Longer than anything here takes, so that a hang is a failure and not a wait.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a server says, and how often it was asked.
#[derive(Default)]
struct JwksScript {
    answer: Mutex<String>,
    asked: AtomicUsize,
    /// Held while an answer must wait.
    gate: Mutex<()>,
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
        let told = Arc::clone(&script);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                serve(&mut client.expect("a client"), &told);
            }
        });
        Self { script, port }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/keys?code=hunter2", self.port)
    }

    fn says(&self, answer: &str) {
        answer.clone_into(&mut self.script.answer.lock());
    }

    fn has(&self, keys: &[serde_json::Value]) {
        self.says(&set(&json!({ "keys": keys }).to_string(), ""));
    }

    fn asked(&self) -> usize {
        self.script.asked.load(Ordering::SeqCst)
    }

    fn issuer(&self) -> IssuerSettings {
        issuer(&["ES256"], KeySource::Jwks(self.url()))
    }

    fn access(&self, timing: Timing) -> Access {
        let settings = AccessSettings { issuers: vec![self.issuer()], ..AccessSettings::default() };
        Access::with(settings, timing, &manner()).expect("sound")
    }
}

fn serve(client: &mut (impl Read + Write), script: &JwksScript) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|read| read > 0) {
        head.push(byte[0]);
    }
    script.asked.fetch_add(1, Ordering::SeqCst);
    drop(script.gate.lock());
    let answer = script.answer.lock().clone();
    // Who has enough, or waits no longer, is gone.
    let _gone = client.write_all(answer.as_bytes());
    let _gone = client.flush();
}

/// An answer with a JWK set.
fn set(body: &str, headers: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}", body.len())
}

fn manner() -> FetchConfig {
    FetchConfig { timeout: PATIENCE, roots: None }
}

/// Fetches by itself once in an hour, so that a test sees only what it causes.
fn timing() -> Timing {
    let hour = Duration::from_hours(1);
    Timing { refresh: hour, early: hour, retry: hour, keep: hour, ..Timing::default() }
}

fn url(text: &str) -> Url {
    Url::new(text).expect("a URL")
}

/// A watch on `access`, and how to wait for its next word.
fn watched(access: &Access) -> mpsc::Receiver<()> {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    access.watch(Arc::new(move || {
        let _unheard = tell.lock().send(());
    }));
    told
}

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn token(pair: &TestKey, id: &str) -> Vec<u8> {
    pair.signed(&json!({ "alg": "ES256", "kid": id }).to_string(), &claims().to_string()).into_bytes()
}

#[test]
fn keys_are_fetched_and_then_judge_by_themselves() {
    let (server, pair) = (Server::start(), &TestKey::all()[1]);
    server.has(&[pair.jwk("a")]);
    let access = server.access(timing());
    let told = access.authenticate(&token(pair, "a"), NOW);
    assert_eq!((told, server.asked()), (Err(Refusal::KeysUnavailable), 0), "and judging has fetched nothing");
    watched(&access).recv_timeout(PATIENCE).expect("the keys are new");
    assert!(access.authenticate(&token(pair, "a"), NOW).is_ok());
    assert_eq!(server.asked(), 1);
}

#[test]
fn answers_that_are_no_set_are_told_and_change_nothing() {
    let (server, pair) = (Server::start(), &TestKey::all()[1]);
    server.has(&[pair.jwk("a")]);
    let ring = JwksCache::new(url(&server.url()), &[Algorithm::ES256], timing(), manner());
    assert_eq!(ring.refresh(), Ok(true));
    assert_eq!(ring.refresh(), Ok(false), "the same again");
    let large = set(&format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(256 << 10)), "");
    let endless = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", "x".repeat(300 << 10));
    let elsewhere = Server::start();
    elsewhere.has(&[TestKey::fresh(Algorithm::ES256).jwk("a")]);
    let redirect = format!("HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", elsewhere.url());
    let secret = json!({ "keys": [{ "kty": "oct", "k": "A".repeat(86), "kid": "a" }] }).to_string();
    for (answer, want) in [
        (&*large, "more than 262144 bytes"),
        (&endless, "more than 262144 bytes"),
        (&redirect, "redirect"),
        (&set(&secret, ""), "no key that is for signatures"),
        (&set("<html>", ""), "is no JSON"),
        (&set("{\"keys\":[]}", ""), "without keys"),
        ("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "answers 500"),
        ("HTTP/1.1 204 Nothing\r\n\r\n", "answers 204"),
        ("hello\r\n\r\n", "http://127.0.0.1"),
        ("", "http://127.0.0.1"),
    ] {
        server.says(answer);
        let told = ring.refresh().expect_err(want);
        assert!(told.contains(want) && !told.contains("hunter2"), "{want}: {told}");
        assert_eq!(ring.keys().len(), 1, "{want}: those of before stay");
    }
    assert_eq!(elsewhere.asked(), 0, "nobody follows a redirect");
}

#[test]
fn a_server_that_never_answers_is_left() {
    let (server, quick) = (Server::start(), FetchConfig { timeout: Duration::from_millis(50), roots: None });
    let closed = server.script.gate.lock();
    let ring = JwksCache::new(url(&server.url()), &[Algorithm::ES256], timing(), quick);
    assert!(ring.refresh().expect_err("no answer").contains("no whole answer within"));
    drop(closed);
}

#[test]
fn a_rotation_is_told_and_ends_what_the_old_key_has_signed() {
    let (server, old, new) = (Server::start(), &TestKey::all()[1], TestKey::fresh(Algorithm::ES256));
    server.has(&[old.jwk("old")]);
    let access = server.access(timing());
    let told = watched(&access);
    told.recv_timeout(PATIENCE).expect("the first keys");
    let pass = access.authenticate(&token(old, "old"), NOW).expect("good");
    server.has(&[old.jwk("old"), new.jwk("new")]);
    assert_eq!(
        access.authenticate(&token(&new, "new"), NOW),
        Err(Refusal::KeysUnavailable),
        "its key is being fetched"
    );
    told.recv_timeout(PATIENCE).expect("another key");
    assert!(access.authenticate(&token(&new, "new"), NOW).is_ok() && access.renew(&pass, NOW).is_ok());
    server.has(&[new.jwk("new")]);
    access.fetch().expect("an answer");
    assert_eq!(access.renew(&pass, NOW), Err(Refusal::KeyGone));
    assert_eq!(access.authenticate(&token(old, "old"), NOW), Err(Refusal::UnknownKey));
}

#[test]
fn tokens_with_unknown_keys_cause_one_fetch_in_a_while_of_each_issuer() {
    let (server, pair) = (Server::start(), &TestKey::all()[1]);
    server.has(&[pair.jwk("a")]);
    let access = server.access(timing());
    watched(&access).recv_timeout(PATIENCE).expect("the first keys");
    assert_eq!(access.authenticate(&token(pair, "junk"), NOW), Err(Refusal::KeysUnavailable));
    eventually("the early fetch is over", || {
        access.authenticate(&token(pair, "junk"), NOW) == Err(Refusal::UnknownKey)
    });
    for n in 0..1000 {
        assert_eq!(access.authenticate(&token(pair, &format!("junk-{n}")), NOW), Err(Refusal::UnknownKey));
    }
    assert_eq!(server.asked(), 2, "one by itself, one for all the junk");
    assert_eq!(
        access.authenticate(&token(&TestKey::fresh(Algorithm::ES256), "a"), NOW),
        Err(Refusal::Signature),
        "a known key"
    );
    assert_eq!(server.asked(), 2);
}

#[test]
fn junk_may_ask_again_after_the_while() {
    let (server, pair) = (Server::start(), &TestKey::all()[1]);
    server.has(&[pair.jwk("a")]);
    let access = server.access(Timing { early: Duration::ZERO, ..timing() });
    watched(&access).recv_timeout(PATIENCE).expect("the first keys");
    eventually("it asks again and again", || {
        assert_eq!(access.authenticate(&token(pair, "junk"), NOW), Err(Refusal::KeysUnavailable));
        server.asked() > 4
    });
}

#[test]
fn keys_stay_while_a_server_is_away_and_not_for_ever() {
    let (server, pair) = (Server::start(), &TestKey::all()[1]);
    server.has(&[pair.jwk("a")]);
    let quick = Duration::from_millis(5);
    let access = server.access(Timing { refresh: quick, retry: quick, ages: (quick, quick), ..timing() });
    let told = watched(&access);
    told.recv_timeout(PATIENCE).expect("the first keys");
    server.says("HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n");
    let before = server.asked();
    eventually("it has failed some times", || server.asked() > before + 3);
    let pass = access.authenticate(&token(pair, "a"), NOW).expect("the keys of before");
    let told_of_unknown = access.authenticate(&token(pair, "b"), NOW);
    assert_eq!(told_of_unknown, Err(Refusal::KeysUnavailable), "nobody knows what the server would say");

    let impatient = server.access(Timing { refresh: quick, retry: quick, keep: Duration::ZERO, ..timing() });
    impatient.adopt(&access);
    assert!(impatient.renew(&pass, NOW).is_ok());
    watched(&impatient).recv_timeout(PATIENCE).expect("they are dropped");
    assert_eq!(impatient.renew(&pass, NOW), Err(Refusal::KeysUnavailable), "not refused: nobody knows");
}

#[test]
fn a_reload_begins_with_the_keys_of_the_same_issuer_alone() {
    let (server, pair) = (Server::start(), &TestKey::all()[1]);
    server.has(&[pair.jwk("a")]);
    let before = server.access(timing());
    before.fetch().expect("an answer");
    let after = server.access(timing());
    after.adopt(&before);
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
        let other = Access::with(settings, timing(), &manner()).expect("sound");
        other.adopt(&before);
        assert_eq!(other.authenticate(&token(pair, "a"), NOW), Err(Refusal::KeysUnavailable), "it has none yet");
    }
}

#[test]
fn who_watches_is_told_nothing_after_the_end() {
    let (server, pair) = (Server::start(), &TestKey::all()[1]);
    server.has(&[pair.jwk("a")]);
    let access = server.access(timing());
    let closed = server.script.gate.lock();
    let told = watched(&access);
    eventually("a fetch is under way", || server.asked() == 1);
    drop(access);
    drop(closed);
    // The sender goes with the thread, and the thread with its fetch.
    assert_eq!(told.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
}

#[test]
fn the_age_that_a_server_names_is_kept_within_bounds() {
    let (server, pair) = (Server::start(), &TestKey::all()[1]);
    let body = json!({ "keys": [pair.jwk("a")] }).to_string();
    let ring = JwksCache::new(url(&server.url()), &[Algorithm::ES256], Timing::default(), manner());
    for (headers, want) in [
        ("", 300),
        ("Cache-Control: max-age=600\r\n", 600),
        ("Cache-Control: max-age=0\r\n", 60),
        ("Cache-Control: max-age=31536000\r\n", 3600),
    ] {
        server.says(&set(&body, headers));
        let (_, next) = ring.attempt().expect("an answer");
        assert_eq!(next, Duration::from_secs(want), "{headers}");
    }
}

/// One TLS connection, served with a certificate of its own; and that certificate.
fn tls_server(answer: String) -> (u16, Certificate<'static>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let trusted = Certificate::from_der(made.cert.der()).to_owned();
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
fn keys_come_by_tls_from_whom_the_system_trusts_alone() {
    let pair = &TestKey::all()[1];
    let (port, certificate) = tls_server(set(&json!({ "keys": [pair.jwk("a")] }).to_string(), ""));
    let at = format!("https://localhost:{port}/keys");
    let ring = |roots| {
        let manner = FetchConfig { timeout: PATIENCE, roots: Some(Arc::new(roots)) };
        JwksCache::new(url(&at), &[Algorithm::ES256], timing(), manner)
    };
    assert_eq!(ring(vec![certificate]).refresh(), Ok(true));
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let told = ring(vec![Certificate::from_der(other.cert.der()).to_owned()]).refresh().expect_err("a stranger");
    assert!(told.contains("cannot be believed"), "{told}");
}
