//! Keys at a URL, from a real server: they rotate without a signal, and an unknown key is a temporary error.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::Arc,
};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::{
    jwt::{ISSUER, Signer, claims, publish, watch},
    support::{assert_problem, eventually, hub::Hub},
};

/// An issuer's server, for as long as the process lives.
struct Keys {
    port: u16,
    set: Arc<Mutex<Vec<Value>>>,
    asked: Arc<Mutex<u32>>,
}

impl Keys {
    fn serve() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (set, asked) = (Arc::<Mutex<Vec<Value>>>::default(), Arc::<Mutex<u32>>::default());
        let (shown, counted) = (Arc::clone(&set), Arc::clone(&asked));
        std::thread::spawn(move || {
            for mut socket in listener.incoming().map_while(Result::ok) {
                let _head = socket.read(&mut [0; 4096]);
                *counted.lock() += 1;
                let body = json!({ "keys": *shown.lock() }).to_string();
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: max-age=1\r\n";
                let _ = write!(socket, "{head}connection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            }
        });
        Self { port, set, asked }
    }

    /// Shows these keys, by name.
    fn show(&self, keys: &[(&str, &Signer)]) {
        let jwk = |(id, signer): &(&str, &Signer)| {
            // An uncompressed point: 4, x, y.
            let point = signer.0.public_key_raw();
            let part = |at: usize| BASE64_URL_SAFE_NO_PAD.encode(&point[at..at + 32]);
            json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": id, "x": part(1), "y": part(33) })
        };
        *self.set.lock() = keys.iter().map(jwk).collect();
    }

    fn hub(&self) -> Hub {
        let issuers = format!(
            "[{{ issuer = \"{ISSUER}\", audience = \"gapless\", algorithms = [\"ES256\"], \
             jwks = \"http://127.0.0.1:{}/keys\" }}]",
            self.port
        );
        Hub::start_with(&["--access-issuers", &issuers])
    }
}

#[test]
fn a_key_that_is_taken_from_the_url_ends_what_it_opened_without_a_signal() {
    let (keys, old, new) = (Keys::serve(), Signer::new(), Signer::new());
    keys.show(&[("old", &old)]);
    let hub = keys.hub();
    let by_old = old.sign(Some("old"), &claims(&json!({})));
    eventually("its keys are there", || publish(&hub, &by_old, "before").status == 200);
    let mut goes = watch(&hub, &by_old, None);
    keys.show(&[("new", &new)]);
    // The server says that its keys hold for a second, and the hub takes a minute for that: a token with a key that it does not
    // know has them fetched at once.
    let by_new = new.sign(Some("new"), &claims(&json!({})));
    let problem = assert_problem(&publish(&hub, &by_new, "x"), 503, "keys-unavailable");
    assert!(problem["detail"].as_str().unwrap().contains("try again"));
    eventually("the new key is there", || publish(&hub, &by_new, "after").status == 200);
    let seen: Vec<_> = std::iter::from_fn(|| goes.next()).map(|message| message.data).collect();
    assert!(seen.is_empty() || seen == ["after"], "it ends within a second: {seen:?}");
    assert!(goes.retry().is_some());
    assert_problem(&publish(&hub, &by_old, "x"), 401, "unauthorized");
}

#[test]
fn an_event_source_whose_key_is_not_known_yet_is_told_to_retry() {
    let (keys, signer) = (Keys::serve(), Signer::new());
    let hub = keys.hub();
    let token = signer.sign(Some("new"), &claims(&json!({})));
    let mut early = watch(&hub, &token, None);
    assert_eq!(early.incoming.status, 200, "anything else would stop it for good");
    assert_eq!(early.next(), None);
    assert!(early.retry().is_some_and(|ms| ms >= 3000));
    // An empty set is invalid, so the hub keeps fetching.
    keys.show(&[("new", &signer)]);
    eventually("it is let in later", || publish(&hub, &token, "x").status == 200);
    let fetched = *keys.asked.lock();
    for n in 0..50 {
        let answer = publish(&hub, &Signer::new().sign(Some(&format!("made-up-{n}")), &claims(&json!({}))), "x");
        assert!([401, 429, 503].contains(&answer.status), "{}", answer.text());
    }
    assert!(*keys.asked.lock() <= fetched + 1, "whoever invents keys has the issuer asked once in 30 s");
}
