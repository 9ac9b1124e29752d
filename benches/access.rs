//! **What does it cost to authenticate a credential that is not cached?**
//!
//! Nanoseconds per call of `Access::authenticate` on one thread, for a token with three patterns: a static token among
//! a hundred, and JWTs of 332 B (HS256) to 631 B (RS256); valid ones, the same with a bad signature, and one whose
//! algorithm is not accepted, which is refused before any signature is checked. The hub caches valid credentials, so
//! this is the cost of a client's first request, and of each request of an attacker.

mod support;

use std::{hint::black_box, time::Instant};

use gapless::{
    access::{
        Access, AccessSettings, Grant,
        mint::{self, Mint},
        settings::{IssuerSettings, KeySource, StaticToken},
    },
    event::Filter,
};
use support::{median, report::Report, rounds};

/// When the tokens are valid, in Unix seconds.
const NOW: u64 = 1_795_233_960;
const ROUNDS: usize = 9;
const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn main() {
    if !support::asked() {
        return;
    }
    let mut report = Report::new("access");
    statics(&mut report);
    for (name, key) in [
        ("HS256", SECRET.to_owned()),
        ("ES256", pem(&rcgen::PKCS_ECDSA_P256_SHA256)),
        ("RS256", pem(&rcgen::PKCS_RSA_SHA256)),
        ("EdDSA", pem(&rcgen::PKCS_ED25519)),
    ] {
        signed(&mut report, name, key);
    }
    report.finish();
}

fn pem(algorithm: &'static rcgen::SignatureAlgorithm) -> String {
    rcgen::KeyPair::generate_for(algorithm).expect("a key").serialize_pem()
}

fn grant() -> Grant {
    let filters = |texts: &[&str]| texts.iter().map(|text| Filter::new(text).expect("valid")).collect();
    Grant { publish: filters(&["jobs/*"]), subscribe: filters(&["jobs/**", "news"]), ..Grant::default() }
}

fn statics(report: &mut Report) {
    let (mut tokens, mut last) = (Vec::new(), String::new());
    for index in 0..100 {
        let (token, hash) = mint::static_token();
        let sha256 = gapless::access::from_hex(&hash).expect("a hash");
        tokens.push(StaticToken { name: index.to_string(), sha256, grant: grant() });
        last = token;
    }
    let access = Access::new(AccessSettings { tokens, ..AccessSettings::default() }).expect("sound");
    row(report, "static, of a hundred", &access, last.as_bytes(), true);
    row(report, "static, unknown", &access, b"gpl_0123456789012345678901234567890123456789012", false);
}

fn signed(report: &mut Report, name: &str, key: String) {
    let issuer = IssuerSettings {
        issuer: "https://login.example".into(),
        audience: "gapless".into(),
        algorithms: vec![name.into()],
        keys: KeySource::Inline(key),
    };
    let settings = AccessSettings { issuers: vec![issuer], ..AccessSettings::default() };
    let token = Mint::new(&settings, None, None).expect("a key to sign with").token(&grant(), Some("ann"), NOW, 60);
    let access = Access::new(settings).expect("sound");
    row(report, &format!("{name}, {} B, good", token.len()), &access, token.as_bytes(), true);
    let mut bad = token.clone().into_bytes();
    let dot = token.rfind('.').expect("three parts");
    bad[dot + 2] = if bad[dot + 2] == b'A' { b'B' } else { b'A' };
    row(report, &format!("{name}, bad signature"), &access, &bad, false);
    if name == "RS256" {
        let other = format!("eyJhbGciOiJIUzI1NiJ9{}", &token[token.find('.').expect("three parts")..]);
        row(report, "RS256, called HS256", &access, other.as_bytes(), false);
    }
}

/// The median of the rounds.
fn row(report: &mut Report, what: &str, access: &Access, token: &[u8], good: bool) {
    let calls: u32 = rounds::sized(5_000, 50);
    let round = |_| {
        let begun = Instant::now();
        for _ in 0..calls {
            assert_eq!(access.authenticate(black_box(token), NOW).is_ok(), good, "{what}");
        }
        begun.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
    };
    report.row(what, median((0..ROUNDS).map(round).collect()), "ns");
}
