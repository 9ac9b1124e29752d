//! The units of `deploy/`: systemd's own verdict. tests/packages runs them.

use std::{fs, process::Command};

use super::manager::deploy;

/// The highest exposure that is allowed, of systemd's 0 (none) to 10.
const MAX_EXPOSURE: f64 = 2.0;

#[test]
fn the_service_is_exposed_little() {
    let out = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(deploy("gapless.service"))
        .output()
        .expect("systemd-analyze, which tests/install.sh installs");
    let text = String::from_utf8(out.stdout).unwrap();
    let level = text.split_once("Overall exposure level for gapless.service: ").expect(&text).1;
    let level: f64 = level.split(' ').next().unwrap().parse().unwrap();
    assert!(level <= MAX_EXPOSURE, "{text}");
}

#[test]
fn systemd_finds_no_mistake_in_the_units() {
    // It looks for the program, which is not installed here.
    let directory = tempfile::tempdir().unwrap();
    for unit in ["gapless.service", "gapless.socket"] {
        let text = fs::read_to_string(deploy(unit)).unwrap();
        let text = text.replace("/usr/local/bin/gapless", env!("CARGO_BIN_EXE_gapless"));
        fs::write(directory.path().join(unit), text).unwrap();
    }
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no", "--recursive-errors=no"]);
    for unit in ["gapless.service", "gapless.socket"] {
        verify.arg(directory.path().join(unit));
    }
    let out = verify.output().expect("systemd-analyze, which tests/install.sh installs");
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.success() && said.is_empty(), "{said}");
}

#[test]
fn the_service_leaves_a_hub_the_time_of_its_default_drain() {
    let text = fs::read_to_string(deploy("gapless.service")).unwrap();
    for line in ["Type=notify", "WatchdogSec=60s", "TimeoutStopSec=15s"] {
        assert!(text.lines().any(|own| own == line), "{line}");
    }
}
