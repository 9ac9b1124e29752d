//! Floods of bad tokens cost little, and good tokens are served meanwhile.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    jwt::{ISSUER, Signer, claims, publish},
    support::{PATIENCE, assert_problem, hub::Hub, wire},
};

/// Requests that an attacker has under way on each of its connections.
const PIPELINED: usize = 100;
/// Its connections.
const CONNECTIONS: usize = 4;
/// Good requests that are timed, one after another.
const GOOD: u32 = 100;

fn hub(signer: &Signer, more: &[&str]) -> (Hub, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.pem");
    std::fs::write(&path, signer.0.public_key_pem()).unwrap();
    let key = toml::Value::from(path.to_str().unwrap());
    let issuers =
        format!("[{{ issuer = \"{ISSUER}\", audience = \"gapless\", algorithms = [\"ES256\"], key_file = {key} }}]");
    (Hub::start_with(&[&["--access-issuers", &issuers, "--shards", "2"], more].concat()), directory)
}

fn request(authorization: &str) -> String {
    format!("GET /topics HTTP/1.1\r\nhost: localhost\r\n{authorization}\r\n")
}

/// Sends `request` on one connection, `PIPELINED` at a time, until `over`; counts the refusals.
fn flood(address: SocketAddr, request: &str, over: &AtomicBool, refused: &AtomicU64) {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let (batch, mut bytes) = (request.repeat(PIPELINED), vec![0; 1 << 16]);
    while !over.load(Relaxed) {
        socket.write_all(batch.as_bytes()).unwrap();
        let mut ends = 0;
        while ends < PIPELINED {
            let read = socket.read(&mut bytes).unwrap();
            assert!(read > 0, "it is hung up on");
            // Each problem is one line of JSON.
            ends += memchr::memchr_iter(b'}', &bytes[..read]).count();
        }
        refused.fetch_add(PIPELINED as u64, Relaxed);
    }
}

/// Ends the floods, also when a good request fails the test.
struct EndFloods<'a>(&'a AtomicBool);

impl Drop for EndFloods<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// How long the good requests take while others flood the hub with `bad`, and how many of those were refused a second.
fn timed(hub: &Hub, good: &str, bad: &str) -> (Duration, f64) {
    let (over, refused) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let _ends = EndFloods(&over);
        for _ in 0..CONNECTIONS {
            scope.spawn(|| flood(hub.address, bad, &over, &refused));
        }
        while refused.load(Relaxed) == 0 {
            std::thread::yield_now();
        }
        let (began, before) = (Instant::now(), refused.load(Relaxed));
        for n in 0..GOOD {
            let answer = wire::request(hub.address, "GET", "/topics", &[("authorization", good)], b"");
            assert_eq!(answer.status, 200, "good request {n}: {}", answer.text());
        }
        let (took, count) = (began.elapsed(), refused.load(Relaxed) - before);
        #[expect(clippy::cast_precision_loss, reason = "for a person to read")]
        let rate = count as f64 / took.as_secs_f64();
        (took, rate)
    })
}

#[test]
fn a_flood_of_bad_tokens_slows_good_ones_no_more_than_one_of_no_tokens() {
    let (signer, stranger) = (Signer::new(), Signer::new());
    let (hub, _key) = hub(&signer, &[]);
    let good = format!("Bearer {}", signer.sign(None, &claims(&json!({}))));
    assert_eq!(publish(&hub, &good["Bearer ".len()..], "x").status, 200);
    let bad = request(&format!("authorization: Bearer {}\r\n", stranger.sign(None, &claims(&json!({})))));
    // Seen: 1.1 to 1.4 times as long; 3.5 times when the signature of each is checked. Another program may take a processor
    // away for one of the two, but not each time.
    let quick = (0..3).any(|_| {
        let (without, anonymous) = timed(&hub, &good, &request(""));
        let (with, tokens) = timed(&hub, &good, &bad);
        eprintln!(
            "{GOOD} good: {without:?} beside {anonymous:.0}/s without a token, {with:?} beside {tokens:.0}/s bad ones"
        );
        with * 2 < without * 5
    });
    assert!(quick, "good tokens wait for bad ones");
}

#[test]
fn an_address_that_sends_bad_tokens_waits_and_tokens_known_as_good_do_not() {
    let (signer, stranger) = (Signer::new(), Signer::new());
    let (hub, _key) = hub(&signer, &["--limits-bad-credentials", "1"]);
    let (good, unseen) = (signer.sign(None, &claims(&json!({}))), signer.sign(None, &claims(&json!({ "jti": "2" }))));
    // On one shard: the other one has not cached it.
    assert_eq!(publish(&hub, &good, "x").status, 200);
    let bad = stranger.sign(None, &claims(&json!({})));
    let refused = (0..50).map(|_| publish(&hub, &bad, "x")).find(|answer| answer.status != 401).expect("it must wait");
    assert_problem(&refused, 429, "rate-limited");
    for _ in 0..20 {
        publish(&hub, &bad, "x");
        assert_eq!(publish(&hub, &good, "x").status, 200, "on whichever core");
    }
    assert_problem(&publish(&hub, &unseen, "x"), 429, "rate-limited");
}
