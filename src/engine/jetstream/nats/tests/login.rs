use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use nkeys::KeyPair;
use serde_json::{Value, json};

use super::*;
use crate::engine::jetstream::nats::{NatsError, Range};

/// A JWT of the servers: what `issuer` says of `subject`.
fn signed(issuer: &KeyPair, subject: &KeyPair, claims: &Value) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let about = json!({
        "jti": "test", "iat": 1_700_000_000, "name": "test", "iss": issuer.public_key(), "sub": subject.public_key(), "nats": claims
    });
    let text = format!("{}.{}", part(&json!({ "typ": "JWT", "alg": "ed25519-nkey" })), part(&about));
    let signature = issuer.sign(text.as_bytes()).unwrap();
    format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

/// The JWT of an account that may do everything; the servers refuse JetStream for the system's.
fn account(operator: &KeyPair, account: &KeyPair, has_jetstream: bool) -> String {
    let mut limits = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1
    });
    if has_jetstream {
        for limit in ["mem_storage", "disk_storage", "streams", "consumer"] {
            limits[limit] = (-1).into();
        }
    }
    signed(operator, account, &json!({ "type": "account", "version": 2, "limits": limits }))
}

#[tokio::test]
async fn a_refused_login_is_an_error_at_once_and_names_no_secret() {
    let users = "authorization { users: [{ user: hub, password: right }] }";
    let cluster = NatsCluster::with(1, users);
    let mut config = config(cluster.urls(), "login");
    let login =
        |user: &str, password: &str| NatsCredentials::UserPassword { user: user.into(), password: password.into() };
    for credentials in
        [NatsCredentials::None, login("hub", "wrong-secret"), NatsCredentials::Token("wrong-secret".into())]
    {
        config.credentials = credentials;
        let error = Nats::connect(&config).await.err().unwrap();
        assert!(matches!(error, NatsError::Login(_)), "{error:?}");
        assert!(!format!("{error:?} {error} {config:?}").contains("wrong-secret"));
    }
    config.credentials = login("hub", "right");
    let nats = Nats::connect(&config).await.unwrap();
    assert!(nats.is_connected());
    assert_eq!((nats.server().name.as_str(), nats.server().version.as_str()), ("n0", "2.15.1"));
    let connections = || cluster.monitored(0, "/connz").unwrap()["num_connections"].clone();
    assert_eq!(connections(), 1);
    drop(nats);
    let deadline = Instant::now() + WAIT;
    while connections() != 0 {
        assert!(Instant::now() < deadline, "a dropped client stays connected");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_key_and_a_token_log_in() {
    // The pair of the NATS documentation.
    let seed = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
    let key = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
    let cluster = NatsCluster::with(1, &format!("authorization {{ users: [{{ nkey: {key} }}] }}"));
    let mut config = config(cluster.urls(), "key");
    let path = cluster.dir().join("seed.nk");
    std::fs::write(&path, format!("{seed}\n")).unwrap();
    config.credentials = NatsCredentials::NKeySeed(path.clone());
    assert!(Nats::connect(&config).await.unwrap().is_connected());
    std::fs::write(&path, "no seed").unwrap();
    assert!(matches!(Nats::connect(&config).await.err().unwrap(), NatsError::Login(_)));
    let cluster = NatsCluster::with(1, "authorization { token: a-token }");
    config.servers = cluster.urls();
    config.credentials = NatsCredentials::Token("a-token".into());
    assert!(Nats::connect(&config).await.unwrap().is_connected());
}

#[tokio::test]
async fn a_file_of_credentials_logs_in_when_its_account_has_signed_it() {
    let (operator, system, hubs) = (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_account());
    let more = format!(
        "operator: {:?}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload {{ {}: {:?}, {}: {:?} }}",
        signed(&operator, &operator, &json!({ "type": "operator", "version": 2 })),
        system.public_key(),
        system.public_key(),
        account(&operator, &system, false),
        hubs.public_key(),
        account(&operator, &hubs, true),
    );
    let cluster = NatsCluster::with(1, &more);
    let path = cluster.dir().join("hub.creds");
    let write = |issuer: &KeyPair| {
        let user = KeyPair::new_user();
        let claims = json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1 });
        let (jwt, seed) = (signed(issuer, &user, &claims), user.seed().unwrap());
        let text = format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        std::fs::write(&path, text).unwrap();
    };
    let mut config = config(cluster.urls(), "creds");
    config.credentials = NatsCredentials::File(path.clone());
    write(&hubs);
    let nats = Nats::connect(&config).await.unwrap();
    assert_eq!(nats.stream().await.err(), Some(NatsError::NoStream), "its account has JetStream");
    write(&KeyPair::new_account());
    assert!(matches!(Nats::connect(&config).await.err().unwrap(), NatsError::Login(_)));
    config.credentials = NatsCredentials::None;
    assert!(matches!(Nats::connect(&config).await.err().unwrap(), NatsError::Login(_)));
}

#[tokio::test]
async fn own_roots_are_trusted_and_others_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let [key, certificate, other] = ["key.pem", "certificate.pem", "other.pem"].map(|name| dir.path().join(name));
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    let stranger = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    std::fs::write(&other, stranger.cert.pem()).unwrap();
    let cluster = NatsCluster::with(1, &format!("tls {{ cert_file: {certificate:?}, key_file: {key:?} }}"));
    let mut config = config(cluster.urls(), "tls");
    assert!(Nats::connect(&config).await.is_err(), "the system does not trust it");
    config.roots = Some(other);
    assert!(Nats::connect(&config).await.is_err());
    config.roots = Some(certificate);
    assert!(Nats::connect(&config).await.unwrap().is_connected());
    // Roots require TLS of a server that does not.
    let plain = NatsCluster::with(1, "");
    config.servers = plain.urls();
    assert!(Nats::connect(&config).await.is_err());
}

#[tokio::test]
async fn an_address_with_a_user_and_a_missing_file_cannot_be_used() {
    for server in ["nats://user:secret@127.0.0.1:4222", "http://127.0.0.1:4222", "nats://"] {
        let error = Nats::connect(&config(vec![server.into()], "x")).await.err().unwrap();
        assert!(matches!(error, NatsError::Setup(_)), "{error:?}");
        assert!(!error.to_string().contains("secret"));
    }
    let mut config = config(vec!["127.0.0.1:4222".into()], "x");
    for credentials in [NatsCredentials::File("/nowhere.creds".into()), NatsCredentials::NKeySeed("/nowhere.nk".into())]
    {
        config.credentials = credentials;
        assert!(matches!(Nats::connect(&config).await.err().unwrap(), NatsError::Setup(_)));
    }
}

#[tokio::test]
async fn what_the_account_may_not_do_is_denied_without_waiting() {
    let users = "authorization { users: [{ user: hub, password: right, permissions: {
        publish: [\"$JS.API.STREAM.INFO.>\", \"$JS.API.STREAM.CREATE.>\"], subscribe: [\"_INBOX.>\"] } }] }";
    let cluster = NatsCluster::with(1, users);
    let mut config = config(cluster.urls(), "denied");
    config.credentials = NatsCredentials::UserPassword { user: "hub".into(), password: "right".into() };
    let nats = Nats::connect(&config).await.unwrap();
    assert_eq!(nats.stream().await.err(), Some(NatsError::NoStream));
    nats.create_stream(&StreamSettings { replicas: 1, max_bytes: None }).await.unwrap();
    let range = Range { filter: "denied.>".into(), from: 1, max: 1, max_bytes: 1 };
    assert!(matches!(nats.write(vec![event("denied.e.a", "x")], 0, WAIT).await, Err(WriteError::Denied(_))));
    assert!(matches!(nats.write(events("denied", 3), 0, WAIT).await, Err(WriteError::Denied(_))));
    assert!(matches!(nats.message(1).await, Err(NatsError::Denied(_))));
    assert!(matches!(nats.delete(1).await, Err(NatsError::Denied(_))));
    assert!(matches!(nats.live().await.err(), Some(NatsError::Denied(_))));
    assert!(matches!(nats.last_per_subject("denied.>", true, drop).await, Err(NatsError::Denied(_))));
    assert!(matches!(nats.range(range).await, Err(NatsError::Denied(_))));
}
