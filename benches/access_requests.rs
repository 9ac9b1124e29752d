//! **What does a credential add to the cost of a request?**
//!
//! Microseconds of the hub's CPU per `GET /topics/jobs/1`, eight in flight on one persistent connection, to a hub in
//! memory on a processor of its own: without credentials to an open hub; and to one that requires them, with a static
//! token and with JWTs (HS256, ES256) that it has cached, and with a new ES256 JWT in each request. The cost of the
//! header's bytes is included. A round has 40 turns of 500 requests per case (50 for new tokens), the cases in another
//! order each turn; a difference is to the open hub in the same round. Target: less than 5 us for a cached credential.
#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]

mod support;

use std::{
    fmt::Write as _,
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use gapless::{
    access::{
        AccessSettings, Grant,
        mint::{self, Mint},
        settings::{IssuerSettings, KeySource},
    },
    event::Filter,
};
use support::{
    PATIENCE,
    hub::Hub,
    machine::{self, CpuRole},
    report::{Better, Ratio, Report},
    rounds,
};

const OURS: &str = "gapless (memory)";
const MEASURE: &str = "CPU a request";
const ROUNDS: usize = 9;
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const ASKED: &str = "GET /topics/jobs/1";
/// Requests in flight: enough that the hub seldom sleeps, because the cost of a wake-up varies by more than what is
/// measured.
const TOGETHER: usize = 8;
/// The case that the others are compared with.
const OPEN: &str = "no credential, an open hub";

fn main() {
    if !support::asked() {
        return;
    }
    let dir = support::directory();
    let issuers = [("HS256", SECRET.to_owned()), ("ES256", pem())].map(|(algorithm, key)| IssuerSettings {
        issuer: format!("https://{}.example", algorithm.to_ascii_lowercase()),
        audience: "gapless".into(),
        algorithms: vec![algorithm.into()],
        keys: KeySource::Inline(key),
    });
    let mints = issuers.clone().map(|issuer| {
        Mint::new(&AccessSettings { issuers: vec![issuer], ..AccessSettings::default() }, None, None)
            .expect("a key to sign with")
    });
    let (token, hash) = mint::static_token();
    let file = dir.path().join("hub.toml");
    fs::write(&file, configuration(&hash, &issuers)).expect("writable");
    let hubs = [start(&dir.path().join("open"), &[]), start(&dir.path().join("closed"), &["--config", text(&file)])];
    let [hs256, es256] = [0, 1].map(|index| minted(&mints[index]));
    let fixed = [
        (OPEN, 0, None),
        ("static token", 1, Some(token)),
        ("HS256, seen before", 1, Some(hs256)),
        ("ES256, seen before", 1, Some(es256)),
    ];
    let mut cases: Vec<Case> = fixed.into_iter().map(|(name, hub, token)| Case::new(name, &hubs[hub], token)).collect();
    for case in &mut cases[..2] {
        // The topic must exist to be answered with 200.
        let publish = request("POST /publish?topic=jobs/1", case.token.as_deref());
        case.ask(&[publish]);
    }
    cases.push(Case::new("ES256, a new one each", &hubs[1], None));

    let (turns, count) = (rounds::sized(40, 2), rounds::sized(500, 100));
    let mut report = Report::new("access_requests");
    for _ in 0..rounds::sized(ROUNDS, 1) {
        report.next_round();
        for _ in 0..turns {
            cases.rotate_left(1);
            for case in &mut cases {
                // Minted beforehand, so that the requests are not delayed.
                let fresh = if case.fresh() { (0..count / 10).map(|_| minted(&mints[1])).collect() } else { vec![] };
                case.turn(count, &fresh);
            }
        }
        for case in &mut cases {
            let us = case.seconds * 1e6 / case.requests as f64;
            (case.seconds, case.requests) = (0.0, 0);
            report.sample(case.name, OURS, MEASURE, us, "us");
            case.us.push(us);
        }
    }
    let open = cases.iter().find(|case| case.name == OPEN).expect("it is one of them").us.clone();
    for case in cases.iter().filter(|case| case.name != OPEN) {
        let values = case.us.iter().zip(&open).map(|(us, open)| us - open).collect();
        let reach = (!case.fresh()).then_some(5.0);
        let (measure, better) = ("CPU a request in us, more than to an open hub", Better::Lower);
        report.ratio(Ratio { case: case.name.into(), measure, of: OURS, to: None, values, reach, aim: None, better });
    }
    report.finish();
}

/// A private key, whose public half the hub derives.
fn pem() -> String {
    rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key").serialize_pem()
}

fn minted(mint: &Mint) -> String {
    let filters = |texts: &[&str]| texts.iter().map(|text| Filter::new(text).expect("valid")).collect();
    let grant = Grant { publish: filters(&["jobs/*"]), subscribe: filters(&["jobs/**", "news"]), ..Grant::default() };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    mint.token(&grant, Some("ann"), now, 3600)
}

fn configuration(hash: &str, issuers: &[IssuerSettings]) -> String {
    let mut toml = format!("[[access.tokens]]\nname = \"ci\"\nsha256 = \"{hash}\"\n");
    toml += "publish = [\"jobs/*\"]\nsubscribe = [\"jobs/**\", \"news\"]\n";
    for IssuerSettings { issuer, audience, algorithms, keys } in issuers {
        let KeySource::Inline(key) = keys else { unreachable!("made above") };
        let algorithm = &algorithms[0];
        write!(
            toml,
            "[[access.issuers]]\nissuer = \"{issuer}\"\naudience = \"{audience}\"\nalgorithms = [\"{algorithm}\"]\n\
             key = '''{key}'''\n"
        )
        .expect("memory");
    }
    toml
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A hub on the first processor, and this process on the second.
fn start(data: &Path, flags: &[&str]) -> Hub {
    machine::pin(CpuRole::Server);
    let hub = Hub::start_with(data, &[&["--engine", "memory", "--shards", "1"], flags].concat());
    machine::pin(CpuRole::Load);
    hub
}

/// A hub, and the credential that it is sent.
struct Case<'h> {
    name: &'static str,
    hub: &'h Hub,
    token: Option<String>,
    connection: TcpStream,
    /// CPU of the hub in this round, and the number of requests.
    seconds: f64,
    requests: usize,
    /// Microseconds per request, one for each round.
    us: Vec<f64>,
}

impl<'h> Case<'h> {
    fn new(name: &'static str, hub: &'h Hub, token: Option<String>) -> Self {
        let connection = TcpStream::connect(hub.address).expect("it accepts");
        connection.set_nodelay(true).expect("a socket");
        connection.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self { name, hub, token, connection, seconds: 0.0, requests: 0, us: Vec::new() }
    }

    /// Whether each request has a new token.
    fn fresh(&self) -> bool {
        self.token.is_none() && self.name != OPEN
    }

    /// Makes `count` requests, or one with each token of `fresh`.
    fn turn(&mut self, count: usize, fresh: &[String]) {
        let same = request(ASKED, self.token.as_deref());
        let requests = if fresh.is_empty() {
            // Warm-up requests, not counted: they authenticate the token and wake the processor.
            self.ask_all(&vec![same.clone(); count / 10]);
            vec![same; count]
        } else {
            fresh.iter().map(|token| request(ASKED, Some(token))).collect()
        };
        let before = self.hub.used();
        self.ask_all(&requests);
        self.seconds += self.hub.used().since(&before);
        self.requests += requests.len();
    }

    fn ask_all(&mut self, requests: &[String]) {
        requests.chunks(TOGETHER).for_each(|some| self.ask(some));
    }

    /// Sends requests in one write and reads all of their responses.
    fn ask(&mut self, requests: &[String]) {
        self.connection.write_all(requests.concat().as_bytes()).expect("the hub reads");
        let (mut answers, mut length) = ([0; 16 << 10], 0);
        let count = |answers: &[u8], what: &[u8]| memchr::memmem::find_iter(answers, what).count();
        while count(&answers[..length], b"}\n") < requests.len() {
            let read = self.connection.read(&mut answers[length..]).expect("the hub answers");
            assert!(read > 0, "{}: it hung up", self.name);
            length += read;
        }
        let told = || String::from_utf8_lossy(&answers[..length]).into_owned();
        assert_eq!(count(&answers[..length], b"HTTP/1.1 200 "), requests.len(), "{}: {}", self.name, told());
    }
}

fn request(what: &str, token: Option<&str>) -> String {
    let shown = token.map_or(String::new(), |token| format!("authorization: Bearer {token}\r\n"));
    format!("{what} HTTP/1.1\r\nhost: localhost\r\n{shown}content-length: 0\r\n\r\n")
}
