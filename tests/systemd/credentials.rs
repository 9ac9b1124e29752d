//! `credential:NAME` for every setting that names a file.

use std::{fs, process::Command};

/// Each kind of setting that names a file, in one configuration.
const CONFIG: &str = r#"
[tls]
cert = "credential:cert.pem"
key = "credential:key.pem"
[access]
revoked = "credential:revoked"
[[access.issuers]]
issuer = "https://login.example"
audience = "gapless"
algorithms = ["HS256"]
key_file = "credential:hs256"
[relay.providers.lab]
dialect = "openai"
url = "http://127.0.0.1:1/v1"
key_file = "credential:lab"
[nats]
token_file = "credential:nats-token"
"#;

fn check(directory: Option<&str>) -> (Option<i32>, String) {
    let own = tempfile::tempdir().unwrap();
    let config = own.path().join("gapless.toml");
    fs::write(&config, CONFIG).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
    command.args(["check", "--offline", "--config"]).arg(&config).env_remove("CREDENTIALS_DIRECTORY");
    command.envs(directory.map(|directory| ("CREDENTIALS_DIRECTORY", directory)));
    let out = command.output().unwrap();
    let said = String::from_utf8(out.stderr).unwrap() + &String::from_utf8(out.stdout).unwrap();
    (out.status.code(), said)
}

#[test]
fn every_setting_that_names_a_file_takes_a_credential() {
    let directory = tempfile::tempdir().unwrap();
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let files = [
        ("cert.pem", certified.cert.pem()),
        ("key.pem", certified.signing_key.serialize_pem()),
        ("revoked", String::new()),
        ("hs256", "k".repeat(64)),
        ("lab", "sk-lab".into()),
        ("nats-token", "token".into()),
    ];
    for (name, text) in &files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    let path = directory.path().to_str().unwrap();
    let (code, said) = check(Some(path));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("key = \"credential:key.pem\""), "the printed configuration works elsewhere, too: {said}");
    for (name, _) in &files {
        let hidden = directory.path().join("hidden");
        fs::rename(directory.path().join(name), &hidden).unwrap();
        let (code, said) = check(Some(path));
        assert!(code == Some(78) && said.contains(path), "{name}: {said}");
        fs::rename(hidden, directory.path().join(name)).unwrap();
    }
}

#[test]
fn without_credentials_each_setting_says_what_the_unit_lacks() {
    let (code, said) = check(None);
    assert_eq!(code, Some(78));
    for name in ["cert.pem", "key.pem", "revoked", "hs256", "lab", "nats-token"] {
        assert!(said.contains(&format!("LoadCredential={name}:FILE")), "{name}: {said}");
    }
}
