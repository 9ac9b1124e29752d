//! The Debian package: it is built of the binary, installed, started, upgraded and removed on a Debian machine.

use std::{fs, path::Path, process::Command};

use super::{
    machine::Machine,
    namespaces::{self, directory},
    support::eventually,
};

/// Builds a package of this version; without compression, which only takes time here.
fn build(version: &str, out: &Path) -> String {
    let script = format!("{}/deploy/deb/build.sh", env!("CARGO_MANIFEST_DIR"));
    let built = Command::new(script)
        .args(["--binary", env!("CARGO_BIN_EXE_gapless"), "--version", version, "--compression", "none", "--out"])
        .arg(out)
        // Of no commit: the sources may not be in a repository.
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    String::from_utf8(built.stdout).unwrap().trim().into()
}

#[test]
fn a_package_has_the_same_bytes_when_it_is_built_again() {
    let (one, other) = (directory(), directory());
    let [one, other] = [one.path(), other.path()].map(|out| fs::read(build("1", out)).unwrap());
    assert!(one == other, "they differ");
}

#[test]
fn a_package_is_installed_started_upgraded_and_removed() {
    if !namespaces::are_allowed() {
        return;
    }
    let machine = Machine::boot();
    let packages = machine.path("/var/packages");
    fs::create_dir(&packages).unwrap();
    for version in ["0.1.0~1", "0.1.0~2"] {
        build(version, &packages);
    }
    let install = |version| {
        let of = fs::read_dir(&packages).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let name = of.into_iter().find(|name| name.contains(version)).unwrap();
        machine.run(&["dpkg", "--install", "--force-confold", &format!("/var/packages/{name}")])
    };

    install("0.1.0~1");
    assert_eq!(machine.property("ActiveState"), "active", "{}", machine.journal());
    assert_eq!(machine.run(&["systemctl", "is-enabled", "gapless.service"]).trim(), "enabled");
    machine.run(&["gapless", "health", "--ready", "--config", "/etc/gapless/gapless.toml"]);
    machine.run(&["systemd-analyze", "verify", "--man=no", "/usr/lib/systemd/system/gapless.service"]);
    let (user, main) = (machine.run(&["id", "-u", "gapless"]), machine.property("MainPID"));
    assert_eq!(machine.run(&["stat", "-c", "%u", &format!("/proc/{main}")]), user, "it runs as its user");
    assert_eq!(machine.run(&["stat", "-c", "%U:%G %a", "/etc/gapless/gapless.toml"]).trim(), "root:gapless 640");
    assert_eq!(machine.run(&["stat", "-c", "%U %a", "/var/lib/gapless"]).trim(), "gapless 700");
    for file in [
        "man/man1/gapless.1.gz",
        "man/man1/gapless-health.1.gz",
        "bash-completion/completions/gapless",
        "zsh/vendor-completions/_gapless",
        "fish/vendor_completions.d/gapless.fish",
        "doc/gapless/copyright",
    ] {
        assert!(machine.path("/usr/share").join(file).exists(), "{file}");
    }

    machine.run(&["gapless", "publish", "kept", "over an upgrade"]);
    let config = machine.read("/etc/gapless/gapless.toml") + "[log]\nrequests = true\n";
    machine.write("/etc/gapless/gapless.toml", &config);
    install("0.1.0~2");
    eventually("the new one serves", || {
        machine.property("MainPID") != main && machine.property("ActiveState") == "active"
    });
    assert_eq!(machine.read("/etc/gapless/gapless.toml"), config, "the configuration is the administrator's");
    assert_eq!(
        machine.run(&["gapless", "tail", "kept", "--from", "earliest", "--count", "1"]).trim(),
        "over an upgrade"
    );

    machine.run(&["dpkg", "--remove", "gapless"]);
    assert_eq!(machine.property("ActiveState"), "inactive");
    assert!(!machine.succeeds(&["test", "-e", "/usr/bin/gapless"]));
    assert!(machine.succeeds(&["test", "-e", "/etc/gapless/gapless.toml"]), "a removal keeps the configuration");
    machine.run(&["dpkg", "--purge", "gapless"]);
    assert!(!machine.succeeds(&["test", "-e", "/etc/gapless/gapless.toml"]));
    assert!(machine.succeeds(&["test", "-e", "/var/lib/gapless/format"]), "the store is never removed");

    install("0.1.0~2");
    assert_eq!(machine.property("ActiveState"), "active", "{}", machine.journal());
    assert_eq!(
        machine.run(&["gapless", "tail", "kept", "--from", "earliest", "--count", "1"]).trim(),
        "over an upgrade"
    );
}
