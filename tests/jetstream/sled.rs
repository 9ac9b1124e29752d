//! The workload over hubs with stores of their own: one hub keeps every rule, and the checker finds what is broken on purpose.

use std::time::Duration;

use crate::{
    hubs::Hubs,
    round::{self, Plan},
    script::{Script, Site, Step},
};

fn plan(script: Script) -> Plan {
    Plan { seed: crate::seed(), prefix: "w".into(), script, pause: Duration::from_millis(400) }
}

#[test]
fn a_hub_that_is_killed_and_paused_keeps_every_rule() {
    let home = tempfile::tempdir().unwrap();
    let mut site = Site { hubs: Hubs::over_sled(&[home.path().join("store")]) };
    let script = Script::lasting(20.0)
        .at(3.0, Step::KillHub(0))
        .at(4.0, Step::StartHub(0))
        .at(7.0, Step::PauseHub(0))
        .at(11.0, Step::ResumeHub(0))
        .at(13.0, Step::TerminateHub(0))
        .at(15.0, Step::StartHub(0))
        .at(17.0, Step::KillHub(0))
        .at(17.2, Step::StartHub(0));
    let addresses = site.hubs.addresses();
    let verdict = round::run(&mut site, &addresses, &plan(script));
    assert!(verdict.violations.is_empty(), "{}\n{}", verdict.report(), site.hubs.logs());
}
