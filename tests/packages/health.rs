//! `gapless health`: the exit code tells whether the hub of this configuration is alive, or ready.

use std::{
    fs,
    net::TcpListener,
    process::{Command, Output},
};

use super::support::{comes_true, hub::Hub, tokens, wire::Upload};

fn health(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
    command.arg("health").args(arguments).envs(environment.iter().copied()).env_remove("RUST_LOG");
    command.output().unwrap()
}

/// Exit code and everything that is said.
fn asked(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let out = health(arguments, environment);
    (out.status.code(), String::from_utf8(out.stdout).unwrap() + &String::from_utf8(out.stderr).unwrap())
}

#[test]
fn it_asks_the_listener_that_the_hub_is_configured_with() {
    let place = tempfile::tempdir().unwrap();
    let unix = format!("unix:{}", place.path().join("hub.sock").display());
    let hub = Hub::start_at(&format!("127.0.0.1:0,{unix}"), &[]);
    let listen = hub.address.to_string();
    for arguments in [&["--listen", &*listen][..], &["--listen", &unix], &["--url", &hub.url()], &["--url", &unix]] {
        for ready in [&[][..], &["--ready"]] {
            assert_eq!(asked(&[arguments, ready].concat(), &[]), (Some(0), "ok\n".into()), "{arguments:?}");
        }
    }
    assert_eq!(asked(&[], &[("GAPLESS_LISTEN", &listen)]).0, Some(0));
    let config = place.path().join("gapless.toml");
    fs::write(&config, format!("listen = [\"127.0.0.1:0\", \"{listen}\"]\n")).unwrap();
    assert_eq!(asked(&["--config", config.to_str().unwrap()], &[]).0, Some(0), "port 0 cannot be asked");
    // All addresses of the machine are asked on the loopback.
    let everywhere = format!("0.0.0.0:{}", hub.address.port());
    assert_eq!(asked(&["--listen", &everywhere, "--open"], &[]).0, Some(0));
}

#[test]
fn a_hub_with_tls_is_asked_with_the_certificate_that_is_configured() {
    let place = tempfile::tempdir().unwrap();
    let files = |name: &str| {
        // Not for 127.0.0.1, and of no issuer that is trusted.
        let certified = rcgen::generate_simple_self_signed(vec!["hub.example".into()]).unwrap();
        let (cert, key) = (place.path().join(format!("{name}.pem")), place.path().join(format!("{name}.key")));
        fs::write(&cert, certified.cert.pem()).unwrap();
        fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
        [cert, key].map(|path| path.to_str().unwrap().to_owned())
    };
    let ([cert, key], [other, other_key]) = (files("hub"), files("other"));
    // A port that is known before: the hub's first line names an https address, which the helper does not expect.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let tokens = tokens(&[("ci", "publish = [\"**\"]")]);
    let hub = Hub::start_at(&port, &["--tls-cert", &cert, "--tls-key", &key, "--access-tokens", &tokens]);
    let flags = ["--listen", &*port, "--tls-cert", &cert, "--tls-key", &key];
    assert_eq!(asked(&flags, &[]), (Some(0), "ok\n".into()));
    assert_eq!(asked(&[&flags[..], &["--ready"]].concat(), &[]).0, Some(0));
    let wrong = ["--listen", &*port, "--tls-cert", &other, "--tls-key", &other_key];
    let (code, said) = asked(&[&wrong[..], &["--ready"]].concat(), &[]);
    assert!(code == Some(1) && said.contains("another certificate than the file of tls.cert"), "{code:?} {said}");
    // As after a renewal that the hub could not load: it serves with the certificate that it has.
    assert_eq!(asked(&wrong, &[]), (Some(0), "ok\n".into()));
    drop(hub);
    assert_eq!(asked(&wrong, &[]).0, Some(1));
}

#[test]
fn a_hub_that_drains_is_alive_and_not_ready() {
    let hub = Hub::start();
    let listen = hub.address.to_string();
    let mut upload = Upload::open(hub.address, "/publish?topic=held", &[]);
    upload.send("ha");
    assert!(comes_true(|| hub.stats()["connections"].as_u64() >= Some(2)));
    hub.terminate();
    assert!(comes_true(|| hub.log().contains("draining")));
    assert_eq!(asked(&["--listen", &listen], &[]).0, Some(0));
    let (code, said) = asked(&["--listen", &listen, "--ready"], &[]);
    assert!(code == Some(1) && said.contains("stopping"), "{code:?} {said}");
}

#[test]
fn who_does_not_answer_is_not_healthy() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = silent.local_addr().unwrap().to_string();
    let (code, said) = asked(&["--listen", &listen, "--timeout", "1"], &[]);
    assert!(code == Some(1) && said.contains(&listen), "{code:?} {said}");
    drop(silent);
    let (code, said) = asked(&["--listen", &listen], &[]);
    assert!(code == Some(1) && said.contains("cannot reach the hub"), "{code:?} {said}");
}

#[test]
fn mistakes_have_their_own_exit_codes() {
    assert_eq!(asked(&["--listen", "nonsense"], &[]).0, Some(78));
    assert_eq!(asked(&["--timeout", "0"], &[]).0, Some(2));
    let (code, said) = asked(&["--listen", "127.0.0.1:0"], &[]);
    assert!(code == Some(1) && said.contains("--url"), "{code:?} {said}");
}
