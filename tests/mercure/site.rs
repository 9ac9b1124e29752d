//! A hub of Mercure, tokens for it, and its requests.

use std::{net::SocketAddr, ops::Deref};

use aws_lc_rs::hmac;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    engine::{Capability, has},
    hub::Hub,
    wire::{self, Answer, EventStream},
};

/// The key that is in the documents of the specification's own hub.
pub(crate) const KEY: &str = "!ChangeThisMercureHubJWTSecretKey!";

/// The URL and the issuer that its tests have.
pub(crate) const URL: &str = "https://localhost/.well-known/mercure";
pub(crate) const ISSUER: &str = "https://localhost";

/// The path of the hub.
pub(crate) const PATH: &str = "/.well-known/mercure";

/// A running hub that speaks Mercure.
pub(crate) struct MercureHub {
    pub(crate) hub: Hub,
    /// Removed with it.
    keys: TempDir,
}

impl Deref for MercureHub {
    type Target = Hub;

    fn deref(&self) -> &Hub {
        &self.hub
    }
}

impl MercureHub {
    /// A hub with one key for both kinds of tokens, whose public updates anyone may read.
    pub(crate) fn start() -> Self {
        Self::start_with(&["--mercure-anonymous"])
    }

    /// A hub with one key for both kinds of tokens.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let keys = tempfile::tempdir().unwrap();
        let file = keys.path().join("key");
        std::fs::write(&file, format!("{KEY}\n")).unwrap();
        let file = file.to_str().unwrap();
        let url = format!("--mercure-url={URL}");
        let issuer = format!("--mercure-issuer={ISSUER}");
        // The other protocol is there too, but for an engine that does not serve it.
        let beside = if has(Capability::DurableStreams) { ",durable-streams" } else { "" };
        let protocols = &*format!("--protocols=mercure{beside}");
        let own = [protocols, "--mercure-publisher-key", file, "--mercure-subscriber-key", file, &url, &issuer];
        Self { hub: Hub::start_with(&[&own[..], arguments].concat()), keys }
    }

    /// The same hub, after it was killed.
    pub(crate) fn killed(mut self) -> Self {
        self.hub.kill();
        Self { hub: self.hub.again(), keys: self.keys }
    }

    /// Publishes an update with a token for every topic; returns its id.
    pub(crate) fn publish(&self, fields: &[(&str, &str)]) -> String {
        let answer = self.try_publish(fields);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.headers.get("content-type"), Some("text/plain; charset=utf-8"));
        answer.text()
    }

    /// The answer to a publish with a token for every topic.
    pub(crate) fn try_publish(&self, fields: &[(&str, &str)]) -> Answer {
        let token = bearer(&publisher(&["*"]));
        post(self.address, &[("authorization", &token)], fields)
    }

    /// Subscribes without a token.
    pub(crate) fn subscribe(&self, query: &str) -> EventStream {
        self.subscribe_with(query, &[])
    }

    /// Subscribes with these headers.
    pub(crate) fn subscribe_with(&self, query: &str, headers: &[(&str, &str)]) -> EventStream {
        let headers = [&[("accept", "text/event-stream")], headers].concat();
        let incoming = wire::open(self.address, "GET", &format!("{PATH}?{query}"), &headers, b"");
        assert_eq!(incoming.status, 200);
        EventStream::of(incoming, None)
    }

    /// Subscribes with a token for these topics.
    pub(crate) fn subscribe_as(&self, granted: &[&str], query: &str) -> EventStream {
        self.subscribe_with(query, &[("authorization", &bearer(&subscriber(granted)))])
    }

    /// The answer to a request for a subscription that is refused.
    pub(crate) fn refused(&self, query: &str, headers: &[(&str, &str)]) -> Answer {
        wire::request(self.address, "GET", &format!("{PATH}?{query}"), headers, b"")
    }
}

/// Posts a form.
pub(crate) fn post(address: SocketAddr, headers: &[(&str, &str)], fields: &[(&str, &str)]) -> Answer {
    let headers = [&[("content-type", "application/x-www-form-urlencoded")], headers].concat();
    wire::request(address, "POST", PATH, &headers, form(fields).as_bytes())
}

/// The fields as a form.
pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    let pair = |(key, value): &(&str, &str)| format!("{key}={}", escaped(value));
    fields.iter().map(pair).collect::<Vec<_>>().join("&")
}

/// A text for a query or a form.
pub(crate) fn escaped(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The value of `Authorization` for a token.
pub(crate) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// A token of dialect 0 that may publish to these topics.
pub(crate) fn publisher(topics: &[&str]) -> String {
    token("JWT", &json!({"mercure": {"publish": topics}}))
}

/// A token of dialect 0 that may read private updates of these topics.
pub(crate) fn subscriber(topics: &[&str]) -> String {
    token("JWT", &json!({"mercure": {"subscribe": topics}}))
}

/// A token with these claims.
pub(crate) fn token(kind: &str, claims: &Value) -> String {
    token_by(KEY, kind, claims)
}

/// A token that is signed with a key.
pub(crate) fn token_by(key: &str, kind: &str, claims: &Value) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(&json!({"alg": "HS256", "typ": kind})), part(claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), message.as_bytes());
    format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

/// Seconds since 1970, and some more.
pub(crate) fn in_seconds(seconds: i64) -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap() + seconds
}

/// The claims of a token of dialect 1 that is right.
pub(crate) fn access_claims(actions: &[&str], topics: &Value) -> Value {
    let detail = json!({"type": "https://mercure.rocks/authorization-detail", "actions": actions, "topics": topics});
    json!({"iss": ISSUER, "aud": URL, "exp": in_seconds(60), "authorization_details": [detail]})
}
