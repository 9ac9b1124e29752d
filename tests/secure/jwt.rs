//! JWTs end to end: a stream ends with its token, and errors of a token are reported without its content.

use std::{fs, path::PathBuf, time::SystemTime};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    assert_problem, eventually,
    hub::Hub,
    wire::{self, Answer, EventStream},
};

pub(crate) const ISSUER: &str = "https://login.example";
const RELOADED: &str = "configuration reloaded";

/// An issuer's key.
pub(crate) struct Signer(pub(crate) KeyPair);

impl Signer {
    pub(crate) fn new() -> Self {
        Self(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap())
    }

    pub(crate) fn sign(&self, id: Option<&str>, claims: &Value) -> String {
        let header = Header { kid: id.map(Into::into), ..Header::new(Algorithm::ES256) };
        encode(&header, claims, &EncodingKey::from_ec_pem(self.0.serialize_pem().as_bytes()).unwrap()).unwrap()
    }
}

/// Seconds since 1970, `from_now` away.
pub(crate) fn time(from_now: i64) -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap() + from_now
}

/// Claims that are valid for a minute and grant everything; `with` overrides them.
pub(crate) fn claims(with: &Value) -> Value {
    let mut all = json!({ "iss": ISSUER, "aud": "gapless", "exp": time(60),
        "gapless": { "publish": ["**"], "subscribe": ["**"], "admin": true } });
    all.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
    all
}

/// A hub that trusts one key in a file, and has a revocation list.
struct Setup {
    hub: Hub,
    directory: TempDir,
}

impl Setup {
    fn new(signer: &Signer) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let quoted = |name| toml::Value::from(path(name).to_str().unwrap());
        fs::write(path("key.pem"), signer.0.public_key_pem()).unwrap();
        fs::write(path("revoked"), "").unwrap();
        let settings = format!(
            "[access]\nleeway = \"0s\"\nrevoked = {}\nissuers = [{{ issuer = \"{ISSUER}\", audience = \"gapless\", \
             algorithms = [\"ES256\"], key_file = {} }}]\n",
            quoted("revoked"),
            quoted("key.pem")
        );
        fs::write(path("gapless.toml"), settings).unwrap();
        let hub = Hub::start_with(&["--config", path("gapless.toml").to_str().unwrap(), "--log-level", "trace"]);
        Self { hub, directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn reload(&self) {
        let before = self.hub.log().matches(RELOADED).count();
        self.hub.signal("HUP");
        eventually("it has read it again", || self.hub.log().matches(RELOADED).count() > before);
    }
}

pub(crate) fn watch(hub: &Hub, token: &str, last: Option<&str>) -> EventStream {
    wire::watch(hub.address, &format!("topic=t&access_token={token}"), last)
}

pub(crate) fn publish(hub: &Hub, token: &str, data: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    hub.post("/publish?topic=t", &[("authorization", &bearer)], data.as_bytes())
}

#[test]
fn a_stream_ends_with_its_token_and_goes_on_with_a_fresh_one() {
    let signer = Signer::new();
    let setup = Setup::new(&signer);
    let lasting = signer.sign(None, &claims(&json!({})));
    let mut stream = watch(&setup.hub, &signer.sign(None, &claims(&json!({ "exp": time(3) }))), None);
    let mut idle = watch(&setup.hub, &signer.sign(None, &claims(&json!({ "exp": time(3) }))), None);
    assert_eq!(publish(&setup.hub, &lasting, "before").status, 200);
    assert_eq!((stream.data(1), idle.data(1)), (vec!["before".into()], vec!["before".into()]));
    let mut other = watch(&setup.hub, &lasting, None);
    assert_eq!((stream.next(), idle.next()), (None, None), "they end by themselves");
    assert!(stream.retry().is_some_and(|ms| ms >= 3000), "{:?}", stream.retry());
    publish(&setup.hub, &lasting, "meanwhile");
    let id = stream.last_id().unwrap().to_owned();
    let mut fresh = watch(&setup.hub, &signer.sign(None, &claims(&json!({}))), Some(&id));
    publish(&setup.hub, &lasting, "after");
    assert_eq!(fresh.data(2), ["meanwhile", "after"]);
    assert_eq!(other.data(2), ["meanwhile", "after"], "nobody else's ends");
}

#[test]
fn a_token_s_holder_learns_when_it_ends_and_what_it_grants() {
    let signer = Signer::new();
    let setup = Setup::new(&signer);
    let grant = json!({ "publish": ["jobs/*"], "subscribe": ["jobs/**"], "relay": ["lab/gpt-*"], "admin": false });
    let (id, end) = ("s3cret-id", 4_102_444_800_u64);
    let claims = claims(&json!({ "sub": "ann", "jti": id, "exp": end, "gapless": grant }));
    let token = signer.sign(None, &claims);
    let bearer = format!("Bearer {token}");
    let answer = wire::request(setup.hub.address, "GET", "/whoami", &[("authorization", &bearer)], b"");
    assert!(!answer.text().contains(id) && !answer.text().contains(&token), "{}", answer.text());
    assert_eq!(
        answer.json(),
        json!({
            "version": env!("CARGO_PKG_VERSION"), "authentication": "jwt", "holder": format!("ann of {ISSUER}"),
            "expires": "2100-01-01T00:00:00.000Z", "publish": ["jobs/*"], "subscribe": ["jobs/**"],
            "models": ["lab/gpt-*"], "admin": false, "operators_here": true, "relay": null,
        })
    );
}

#[test]
fn the_error_of_a_token_is_reported_and_none_of_its_content() {
    let (signer, stranger) = (Signer::new(), Signer::new());
    let setup = Setup::new(&signer);
    let secret = |with: Value| {
        claims(
            &json!({ "sub": "s3cret-subject" })
                .as_object()
                .map(|base| {
                    let mut all = base.clone();
                    all.extend(with.as_object().unwrap().clone());
                    Value::Object(all)
                })
                .unwrap(),
        )
    };
    // The public key as an HMAC secret, which a hub that lets the token choose the algorithm would accept.
    let public = EncodingKey::from_secret(signer.0.public_key_pem().as_bytes());
    let confused = encode(&Header::new(Algorithm::HS256), &secret(json!({})), &public).unwrap();
    let good = signer.sign(None, &secret(json!({})));
    let mut parts = good.split('.').skip(1);
    // {"alg":"none"}
    let none = format!("eyJhbGciOiJub25lIn0.{}.{}", parts.next().unwrap(), parts.next().unwrap());
    for (what, token, said) in [
        ("expired", signer.sign(None, &secret(json!({ "exp": time(-10) }))), "expired at"),
        ("not yet", signer.sign(None, &secret(json!({ "nbf": time(50) }))), "not valid before"),
        ("audience", signer.sign(None, &secret(json!({ "aud": "s3cret-other" }))), "claim aud must be"),
        ("issuer", signer.sign(None, &secret(json!({ "iss": "https://s3cret.example" }))), "claim iss must be"),
        ("for ever", signer.sign(None, &secret(json!({ "exp": null }))), "claim exp"),
        ("none", none, "algorithm that is not accepted"),
        ("HS256 by a public key", confused, "algorithm that is not accepted"),
        ("a stranger's", stranger.sign(Some("s3cret-kid"), &secret(json!({}))), "no key that this hub trusts"),
        ("cut", good[..good.len() - 10].to_owned(), ""),
    ] {
        for target in ["/events?topic=t", "/topics/t"] {
            let bearer = format!("Bearer {token}");
            let answer = wire::request(setup.hub.address, "GET", target, &[("authorization", &bearer)], b"");
            let detail = assert_problem(&answer, 401, "unauthorized")["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(said), "{what}: {detail}");
            assert!(answer.headers.get("www-authenticate").unwrap().contains("invalid_token"), "{what}");
            for part in token.split('.').chain(["s3cret"]) {
                assert!(!answer.text().contains(part) && !setup.hub.log().contains(part), "{what}: {part}");
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(publish(&setup.hub, &good, "x").status, 200);
}

#[test]
fn a_revoked_token_ends_its_streams_and_no_others() {
    let signer = Signer::new();
    let setup = Setup::new(&signer);
    let token = |claim: Value| signer.sign(None, &claims(&claim));
    let all = [json!({ "jti": "one" }), json!({ "sub": "ann" }), json!({ "jti": "two", "sub": "bob" })].map(token);
    let mut streams = all.each_ref().map(|token| watch(&setup.hub, token, None));
    publish(&setup.hub, &all[2], "before");
    for stream in &mut streams {
        assert_eq!(stream.data(1), ["before"]);
    }
    fs::write(setup.path("revoked"), "jti:one\nsub:ann\n").unwrap();
    setup.reload();
    let [jti, sub, stays] = &mut streams;
    assert_eq!((jti.next(), sub.next()), (None, None));
    publish(&setup.hub, &all[2], "after");
    assert_eq!(stays.data(1), ["after"]);
    for token in &all[..2] {
        let problem = assert_problem(&publish(&setup.hub, token, "x"), 401, "unauthorized");
        assert!(problem["detail"].as_str().unwrap().contains("revoked"), "{problem}");
    }
}

#[test]
fn another_key_in_the_file_ends_what_the_old_one_opened() {
    let (old, new) = (Signer::new(), Signer::new());
    let setup = Setup::new(&old);
    fs::write(setup.path("key.pem"), old.0.public_key_pem() + &new.0.public_key_pem()).unwrap();
    setup.reload();
    let tokens = [&old, &new].map(|signer| signer.sign(None, &claims(&json!({}))));
    let [mut goes, mut stays] = tokens.each_ref().map(|token| watch(&setup.hub, token, None));
    publish(&setup.hub, &tokens[0], "before");
    assert_eq!((goes.data(1), stays.data(1)), (vec!["before".into()], vec!["before".into()]));
    fs::write(setup.path("key.pem"), new.0.public_key_pem()).unwrap();
    setup.reload();
    assert_eq!(goes.next(), None);
    publish(&setup.hub, &tokens[1], "after");
    assert_eq!(stays.data(1), ["after"]);
    assert_problem(&publish(&setup.hub, &tokens[0], "x"), 401, "unauthorized");
}
