//! Rounds: each contender is measured in each round, in another order each time, so that other work on the machine
//! affects all of them alike.

use std::time::Duration;

use gapless::{
    lifecycle::descriptors,
    load::{DeliveryFaults, Load, LoadError, LoadOutcome, LoadPlan, LoadTopics, Wants},
};

use super::{
    contender::{Contender, Cores, Kind},
    machine::{self, CpuRole},
    report::Report,
};

/// Whether to only check that everything works: a second or two per bench, and figures without meaning.
pub(crate) fn quick() -> bool {
    std::env::var_os("GAPLESS_BENCH_QUICK").is_some_and(|value| value != "0")
}

/// `normally`, or `quickly` in a quick run.
pub(crate) fn sized<T>(normally: T, quickly: T) -> T {
    if quick() { quickly } else { normally }
}

/// Rounds of a bench.
pub(crate) fn count() -> usize {
    let asked = std::env::var("GAPLESS_BENCH_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    asked.unwrap_or(sized(3, 1))
}

/// How long a contender is under load in a case.
pub(crate) fn interval() -> Duration {
    sized(Duration::from_secs(1), Duration::from_millis(200))
}

/// Measures each of `kinds` in each round, as a new process each time. One that cannot be started, or fails, is noted;
/// the hub must not fail.
pub(crate) fn run(
    report: &mut Report,
    kinds: &[Kind],
    cores: Cores,
    mut measure: impl FnMut(&Contender, &mut Report) -> Result<(), LoadError>,
) {
    machine::pin(CpuRole::Load);
    let mut kinds: Vec<Kind> = kinds.iter().copied().filter(|kind| chosen(*kind)).collect();
    for round in 1..=count() {
        report.next_round();
        kinds.rotate_left(1);
        kinds.retain(|kind| {
            // Progress, because a bench takes minutes.
            eprintln!("{}: round {round}: {}", report.name(), kind.name());
            let outcome = Contender::start(*kind, cores)
                .and_then(|contender| measure(&contender, report).map_err(|error| format!("{}: {error}", kind.name())));
            let Err(error) = outcome else { return true };
            assert!(!kind.is_ours(), "{error}");
            report.note(error);
            false
        });
    }
}

/// `GAPLESS_BENCH_ONLY=floor,nchan` measures only those.
fn chosen(kind: Kind) -> bool {
    std::env::var("GAPLESS_BENCH_ONLY").map_or(true, |only| only.split(',').any(|name| name == kind.name()))
}

/// Raises the limit of open files for `connections`, in this process and in the contenders, which inherit it.
pub(crate) fn raise_limit(connections: usize) {
    assert_eq!(descriptors::raise_limit(connections), None, "raise the limit on open files (ulimit -n)");
}

/// One topic, one publisher, and `streams` of it.
pub(crate) fn one_topic(contender: &Contender, streams: usize) -> Result<Load, LoadError> {
    let topics = LoadTopics { names: vec!["news".into()], publishers: 1 };
    let mut load = Load::new(contender.target.clone(), topics.clone())?;
    load.subscribe(streams, |_| Wants::topic(&topics, 0))?;
    Ok(load)
}

/// Runs `traffic` and returns its outcome and the server's CPU seconds. Delivery faults of the hub fail the bench;
/// those of others are noted.
pub(crate) fn measured(
    contender: &Contender,
    load: &mut Load,
    traffic: &LoadPlan,
    report: &mut Report,
) -> Result<(LoadOutcome, f64), LoadError> {
    let before = contender.used();
    let outcome = load.run(traffic)?;
    let cpu = contender.cpu(&before);
    check_faults(contender, &outcome.faults, report);
    Ok((outcome, cpu))
}

/// `None` when a peer has closed a connection: that is noted, and it is measured again in the next round. The hub must
/// not.
pub(crate) fn unless_cut<T>(
    contender: &Contender,
    case: &str,
    outcome: Result<T, LoadError>,
    report: &mut Report,
) -> Result<Option<T>, LoadError> {
    match outcome {
        Err(error) if !contender.kind.is_ours() => {
            report.note(format!("{}, {case}: {error}", contender.kind.name()));
            Ok(None)
        }
        outcome => outcome.map(Some),
    }
}

/// Fails the bench when the hub has lost, duplicated or reordered an event; notes it for others.
pub(crate) fn check_faults(contender: &Contender, faults: &DeliveryFaults, report: &mut Report) {
    if !faults.none() {
        let what = format!("{}: {faults}", contender.kind.name());
        assert!(!contender.kind.is_ours(), "{what}");
        report.note(what);
    }
}
