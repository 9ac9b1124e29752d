//! One process per store, and errors at the start are reported at once.

use super::support::{hub::Hub, needs};

#[test]
fn a_second_process_on_a_store_ends_at_once_and_names_the_lock() {
    needs!(Disk);
    let hub = Hub::start();
    let data = hub.data();
    let (code, said) = Hub::refused(&["--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()]);
    assert!(!matches!(code, Some(0) | None), "{code:?}");
    assert!(said.contains("lock") && said.contains(data.to_str().unwrap()), "{said}");
    hub.publish("t", "the first goes on");
}

#[test]
fn the_store_can_be_opened_right_after_kill_9() {
    let mut hub = Hub::start();
    for _ in 0..3 {
        hub.kill();
        hub = hub.again();
    }
    hub.publish("t", "x");
}

#[test]
fn a_port_in_use_is_reported_with_what_to_do() {
    let hub = Hub::start();
    let (code, said) = Hub::refused(&["--listen", &hub.address.to_string()]);
    assert_eq!(code, Some(1));
    assert!(said.contains(&hub.address.to_string()) && said.contains("--listen"), "{said}");
}

#[test]
fn all_mistakes_of_a_configuration_are_reported_at_once() {
    let mistakes =
        ["--listen", "nowhere", "--stream-retry", "soon", "--publish-event-bytes", "many", "--store-max-bytes", "0"];
    let (code, said) = Hub::refused(&mistakes);
    assert_eq!(code, Some(78));
    for key in ["nowhere", "soon", "many", "--store-max-bytes"] {
        assert!(said.contains(key), "{key} is not named: {said}");
    }
}

#[test]
fn a_file_that_is_missing_or_wrong_is_78() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gapless.toml");
    let config = file.to_str().unwrap().to_owned();
    let refused = || Hub::refused(&["--config", &config]);
    let (code, said) = refused();
    assert_eq!((code, said.contains(&config)), (Some(78), true), "{said}");
    for wrong in ["listen = ", "lisen = \"127.0.0.1:0\"", "[stream]\nkeepalive = \"never\"", "[strem]\n"] {
        std::fs::write(&file, wrong).unwrap();
        let (code, said) = refused();
        assert_eq!(code, Some(78), "{wrong}: {said}");
    }
}

#[test]
fn listening_beyond_the_loopback_needs_open() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        let (code, said) = Hub::refused(&["--listen", address]);
        assert_eq!(code, Some(78));
        assert!(said.contains("--open"), "{said}");
    }
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gapless.toml");
    std::fs::write(&file, "[stream]\nretry = \"1s\"\nkeepalive = \"7s\"\nwrite_timeout = \"9s\"\n").unwrap();
    let check = std::process::Command::new(env!("CARGO_BIN_EXE_gapless"))
        .args(["check", "--config"])
        .arg(&file)
        .args(["--stream-retry", "3s"])
        .env("GAPLESS_STREAM_RETRY", "2s")
        .env("GAPLESS_STREAM_KEEPALIVE", "8s")
        .output()
        .unwrap();
    let said = String::from_utf8(check.stdout).unwrap();
    assert!(check.status.success());
    for line in ["retry = \"3s\"", "keepalive = \"8s\"", "write_timeout = \"9s\""] {
        assert!(said.contains(line), "{line}: {said}");
    }
}
