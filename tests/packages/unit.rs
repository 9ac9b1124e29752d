//! `deploy/gapless.service` and `deploy/gapless.socket` as they are, run by systemd.

use std::fs;

use super::{machine::Machine, namespaces, support::eventually};

/// Connects again and again, and wants each request answered: no connection may be refused or reset.
const CLIENT: &str = r#"
answered=0
while [ ! -e /var/enough ]; do
  exec 3<>/dev/tcp/127.0.0.1/8080 || { echo refused; exit 1; }
  printf 'GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n' >&3 || { echo reset; exit 1; }
  IFS= read -r -t 30 line <&3 || { echo 'no answer'; exit 1; }
  case $line in "HTTP/1.1 200"*) answered=$((answered + 1)) ;; *) echo "$line"; exit 1 ;; esac
  exec 3>&-
done
echo "answered $answered"
"#;

/// A machine with the program and the units where OPERATIONS puts them.
fn machine() -> Machine {
    let machine = Machine::boot();
    fs::copy(env!("CARGO_BIN_EXE_gapless"), machine.path("/usr/local/bin/gapless")).unwrap();
    for unit in ["gapless.service", "gapless.socket"] {
        let from = format!("{}/deploy/{unit}", env!("CARGO_MANIFEST_DIR"));
        fs::copy(from, machine.path(&format!("/etc/systemd/system/{unit}"))).unwrap();
    }
    machine
}

#[test]
fn the_units_serve_reload_and_restart_without_refusing_anybody() {
    if !namespaces::are_allowed() {
        return;
    }
    let machine = machine();
    // A secret that the hub's user cannot read, passed as a credential.
    machine.write("/etc/secret", &"k".repeat(64));
    machine.run(&["chmod", "0600", "/etc/secret"]);
    machine.write(
        "/etc/gapless.toml",
        "[[access.issuers]]\nissuer = \"https://login.example\"\naudience = \"gapless\"\nalgorithms = [\"HS256\"]\n\
         key_file = \"credential:hs256\"\n",
    );
    machine.write(
        "/etc/systemd/system/gapless.service.d/own.conf",
        "[Service]\nLoadCredential=hs256:/etc/secret\nEnvironment=GAPLESS_CONFIG=/etc/gapless.toml\n",
    );
    machine.run(&["systemctl", "daemon-reload"]);
    machine.run(&["systemctl", "enable", "--now", "gapless.socket", "gapless.service"]);
    assert_eq!(machine.property("ActiveState"), "active");
    assert_eq!(machine.property("StatusText"), "serving 0 streams of 0 topics");
    machine.run(&["systemctl", "reload", "gapless.service"]);
    eventually("it has reloaded", || machine.property("StatusText") == "reloaded the configuration");

    for client in ["one", "two"] {
        machine.begin(client, CLIENT);
    }
    let first = machine.property("MainPID");
    for _ in 0..3 {
        machine.run(&["systemctl", "restart", "gapless.service"]);
    }
    assert_ne!(machine.property("MainPID"), first);
    machine.write("/var/enough", "");
    for client in ["one", "two"] {
        let path = format!("/var/{client}");
        eventually("the client ends", || !machine.read(&path).is_empty());
        let said = machine.read(&path);
        let answered = said.strip_prefix("answered ").and_then(|count| count.trim().parse::<u32>().ok());
        assert!(answered > Some(3), "{said}\n{}", machine.journal());
    }
    assert_eq!(machine.property("NRestarts"), "0");
    machine.run(&["systemctl", "stop", "gapless.socket", "gapless.service"]);
    assert_eq!(machine.property("Result"), "success", "{}", machine.journal());
}

#[test]
fn the_watchdog_starts_a_hub_that_hangs_again() {
    if !namespaces::are_allowed() {
        return;
    }
    let machine = machine();
    // As short as the time between two signs of life allows: the test waits for it.
    machine.write("/etc/systemd/system/gapless.service.d/own.conf", "[Service]\nWatchdogSec=4s\n");
    machine.run(&["systemctl", "daemon-reload"]);
    machine.run(&["systemctl", "start", "gapless.service"]);
    let hung = machine.property("MainPID");
    machine.run(&["bash", "-c", &format!("kill -STOP {hung}")]);
    eventually("it is started again", || {
        machine.property("NRestarts") == "1" && machine.property("ActiveState") == "active"
    });
    assert_ne!(machine.property("MainPID"), hung);
    assert!(machine.journal().contains("Watchdog timeout"), "{}", machine.journal());
    machine.run(&["gapless", "health", "--ready"]);
}
