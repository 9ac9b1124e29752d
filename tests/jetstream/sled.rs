//! The workload over hubs with stores of their own: one hub keeps every rule, and what is broken on purpose is found.

use std::{path::Path, process::Command, time::Duration};

use tempfile::TempDir;

use crate::{
    checker::{Rule, Verdict},
    hubs::Hubs,
    proxy::{self, Mischief},
    round::{self, Plan},
    script::{Script, Step},
    site::Site,
};

/// Longest pause of a publisher: some 150 publishes a second of all.
const PAUSE: Duration = Duration::from_millis(400);

/// With what is broken on purpose, some readers never have all.
const LATE: Duration = Duration::from_secs(5);

fn plan(script: Script) -> Plan {
    Plan { seed: crate::seed(), prefix: "w".into(), script, pause: PAUSE, late: LATE }
}

/// One hub over a store.
fn one_hub() -> (TempDir, Site) {
    let home = tempfile::tempdir().unwrap();
    let hubs = Hubs::over_sled(&[home.path().join("store")]);
    (home, Site::of_hubs(hubs))
}

/// Fails unless each of the rules is broken.
fn assert_breaks(verdict: &Verdict, rules: &[Rule]) {
    let report = verdict.report();
    println!("found, as it should be:\n{report}");
    for rule in rules {
        assert!(verdict.violations.iter().any(|violation| violation.rule == *rule), "{rule:?} was not seen");
    }
}

#[test]
fn a_hub_that_is_killed_and_paused_keeps_every_rule() {
    let (_home, mut site) = one_hub();
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
    let plan = Plan { late: Duration::from_mins(1), ..plan(script) };
    let verdict = round::run(&mut site, &addresses, &plan);
    assert!(verdict.violations.is_empty(), "{}\n{}", verdict.report(), site.hubs.logs());
}

/// Two hubs that know nothing of each other, over copies of one store: of one epoch.
#[test]
fn hubs_with_stores_of_their_own_are_found() {
    let home = tempfile::tempdir().unwrap();
    let stores = [home.path().join("a"), home.path().join("b")];
    {
        let mut hubs = Hubs::over_sled(&stores[..1]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let made = tokio::task::LocalSet::new();
        made.block_on(&runtime, async {
            hubs.ready().await.unwrap();
            hubs.terminate(0).await;
        });
    }
    copy(&stores[0], &stores[1]);
    let mut site = Site::of_hubs(Hubs::over_sled(&stores));
    let addresses = site.hubs.addresses();
    let verdict = round::run(&mut site, &addresses, &plan(Script::lasting(5.0)));
    let rules = [
        Rule::OneEventPerId,
        Rule::OneIdPerEvent,
        Rule::Rising,
        Rule::Missing,
        Rule::Acknowledged,
        Rule::SameLog,
        Rule::Receipts,
    ];
    assert_breaks(&verdict, &rules);
}

/// A store that is gone after a kill has another epoch, and nothing of what was acknowledged.
#[test]
fn a_store_that_is_lost_is_found() {
    let (home, mut site) = one_hub();
    let script = Script::lasting(6.0)
        .at(3.0, Step::KillHub(0))
        .at(3.1, Step::Delete(home.path().join("store")))
        .at(3.2, Step::StartHub(0));
    let addresses = site.hubs.addresses();
    let verdict = round::run(&mut site, &addresses, &plan(script));
    assert_breaks(&verdict, &[Rule::OneEpoch, Rule::Acknowledged, Rule::Gap]);
}

/// The newest part of the log is gone after a kill, as after a lost tail; the epoch stays.
#[test]
fn a_store_that_goes_back_is_found() {
    let (home, mut site) = one_hub();
    let (store, copied) = (home.path().join("store"), home.path().join("copy"));
    let script = Script::lasting(11.0)
        .at(2.0, Step::KillHub(0))
        .at(2.1, Step::Copy(store.clone(), copied.clone()))
        .at(2.2, Step::StartHub(0))
        .at(7.0, Step::KillHub(0))
        .at(7.1, Step::Delete(store.clone()))
        .at(7.2, Step::Copy(copied, store))
        .at(7.3, Step::StartHub(0));
    let addresses = site.hubs.addresses();
    let verdict = round::run(&mut site, &addresses, &plan(script));
    assert_breaks(&verdict, &[Rule::Acknowledged]);
}

#[test]
fn an_event_that_is_dropped_on_its_way_is_found() {
    assert_breaks(&through_a_proxy(Mischief::Drop), &[Rule::Missing]);
}

#[test]
fn an_event_that_is_sent_again_is_found() {
    assert_breaks(&through_a_proxy(Mischief::Repeat), &[Rule::Rising, Rule::Missing]);
}

#[test]
fn an_event_that_is_changed_on_its_way_is_found() {
    assert_breaks(&through_a_proxy(Mischief::Change), &[Rule::Sent]);
}

fn through_a_proxy(mischief: Mischief) -> Verdict {
    let (_home, mut site) = one_hub();
    let addresses = site.hubs.addresses();
    let proxy = proxy::start(addresses[0], mischief);
    round::run(&mut site, &[proxy], &plan(Script::lasting(6.0)))
}

pub(crate) fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-r").args([from, to]).status().expect("cp runs").success());
}
