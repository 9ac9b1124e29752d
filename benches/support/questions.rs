//! Measurements that more than one bench makes, the same for every contender.

#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use gapless::load::{
    Load, LoadError, LoadMode, LoadOutcome, LoadPlan, LoadTopics, PublishMode, Wants, dialect::StartAt,
};

use super::{
    contender::{Contender, Kind},
    report::Report,
    rounds,
};

const KIB: f64 = 1024.0;
const BYTES: usize = 256;

/// Microseconds of the server's CPU per delivery, publishing included.
pub(crate) const CPU: &str = "cpu per delivery";
pub(crate) const P99: &str = "latency p99";
/// KiB of the server's memory.
pub(crate) const EACH: &str = "memory per stream";
/// Microseconds of the server's CPU per replayed event.
pub(crate) const CPU_REPLAYED: &str = "cpu per event";

/// Names of the cases of a fan-out to a number of streams of one topic.
pub(crate) struct Cases {
    pub(crate) streams: usize,
    /// One event in flight.
    pub(crate) single: String,
    /// 64 in flight.
    pub(crate) saturated: String,
    /// 500 events a second; `None` when that is not measured.
    pub(crate) paced: Option<String>,
}

impl Cases {
    pub(crate) fn of(streams: usize) -> Self {
        Self {
            streams,
            single: format!("1 in flight, {streams} subscribers"),
            saturated: format!("64 in flight, {streams} subscribers"),
            // With more than a thousand streams this exceeds one processor for every contender.
            paced: (streams <= 1_000).then(|| format!("500 events/s, {streams} subscribers")),
        }
    }
}

/// Events of 256 B for [`rounds::interval`].
pub(crate) fn traffic(pace: LoadMode, form: PublishMode) -> LoadPlan {
    LoadPlan { events: u64::MAX, time: rounds::interval(), pace, bytes: BYTES, form }
}

/// The hub is sent a publish stream; the others need a request for each event.
pub(crate) fn many(contender: &Contender) -> PublishMode {
    if contender.kind.is_ours() { PublishMode::Lines } else { PublishMode::Requests }
}

/// Measures the fan-out of an event to all streams of a topic.
pub(crate) fn fan_out(contender: &Contender, case: &Cases, report: &mut Report) -> Result<(), LoadError> {
    let mut load = rounds::one_topic(contender, case.streams)?;
    let warm = LoadPlan { events: 20, ..traffic(LoadMode::Window(1), PublishMode::Requests) };
    rounds::measured(contender, &mut load, &warm, report)?;
    if contender.kind != Kind::FloorBatch {
        let traffic = traffic(LoadMode::Window(1), PublishMode::Requests);
        let (outcome, cpu) = rounds::measured(contender, &mut load, &traffic, report)?;
        delivered(contender, &case.single, &outcome, cpu, report);
    }
    if contender.kind != Kind::Floor {
        let traffic = traffic(LoadMode::Window(64), many(contender));
        let measured = rounds::measured(contender, &mut load, &traffic, report);
        let measured = rounds::unless_cut(contender, &case.saturated, measured, report)?;
        let Some((outcome, cpu)) = measured else { return Ok(()) };
        delivered(contender, &case.saturated, &outcome, cpu, report);
        let rate = outcome.delivered_per_second() / 1e6;
        report.sample(&case.saturated, contender.kind.name(), "deliveries", rate, "million/s");
    }
    if let Some(paced) = case.paced.as_ref().filter(|_| contender.kind != Kind::Floor) {
        let time = rounds::sized(Duration::from_secs(2), rounds::interval());
        let traffic = LoadPlan { time, ..traffic(LoadMode::Rate(500.0), many(contender)) };
        let measured = rounds::measured(contender, &mut load, &traffic, report);
        let Some((outcome, cpu)) = rounds::unless_cut(contender, paced, measured, report)? else { return Ok(()) };
        delivered(contender, paced, &outcome, cpu, report);
        let percent = 100.0 * outcome.delivered_per_second() / (500.0 * case.streams as f64);
        report.sample(paced, contender.kind.name(), "of the deliveries wanted", percent, "%");
    }
    Ok(())
}

/// Reports the CPU and the latency of deliveries.
pub(crate) fn delivered(contender: &Contender, case: &str, outcome: &LoadOutcome, cpu: f64, report: &mut Report) {
    let name = contender.kind.name();
    report.sample(case, name, CPU, cpu * 1e6 / outcome.delivered as f64, "us");
    report.sample(case, name, "latency p50", outcome.latency_ms(50.0), "ms");
    report.sample(case, name, P99, outcome.latency_ms(99.0), "ms");
    report.sample(case, name, "latency p999", outcome.latency_ms(99.9), "ms");
}

/// Names of the cases with idle `streams`: when they are connected, and when each has received ten events.
pub(crate) fn idle_cases(streams: usize) -> [String; 2] {
    [format!("{streams} streams connected"), format!("{streams} streams after 10 events")]
}

/// Measures the memory and CPU of idle streams.
pub(crate) fn idle(
    contender: &Contender,
    streams: usize,
    cases: &[String; 2],
    report: &mut Report,
) -> Result<(), LoadError> {
    let name = contender.kind.name();
    // A few streams first, so that what a server allocates only once is not counted.
    let warm = rounds::one_topic(contender, 20)?;
    settle();
    let before = contender.resident();
    drop(warm);

    let load = rounds::one_topic(contender, streams);
    let Some(mut load) = rounds::unless_cut(contender, &cases[0], load, report)? else { return Ok(()) };
    settle();
    report.sample(&cases[0], name, EACH, (contender.resident() - before) / streams as f64 / KIB, "KiB");
    let used = contender.used();
    sleep(Duration::from_secs(1));
    report.sample(&cases[0], name, "cpu while idle", contender.cpu(&used) * 1e3, "ms/s");

    let (time, pace, form) = (Duration::from_secs(30), LoadMode::Window(1), PublishMode::Requests);
    let traffic = LoadPlan { events: 10, time, pace, bytes: BYTES, form };
    let measured = rounds::measured(contender, &mut load, &traffic, report);
    if rounds::unless_cut(contender, &cases[1], measured, report)?.is_none() {
        return Ok(());
    }
    settle();
    report.sample(&cases[1], name, EACH, (contender.resident() - before) / streams as f64 / KIB, "KiB");
    Ok(())
}

/// Waits until freed memory is returned and pending work is done.
fn settle() {
    sleep(rounds::sized(Duration::from_secs(1), Duration::from_millis(300)));
}

/// Name of the case in which `clients` replay `events` each.
pub(crate) fn replay_case(clients: usize, events: u64) -> String {
    format!("{clients} clients, {events} events each")
}

/// Measures a replay of `events` to each of `clients`. A peer that closes a stream before its end gets no
/// figures; how much arrived is noted.
pub(crate) fn replay(contender: &Contender, clients: usize, events: u64, report: &mut Report) -> Result<(), LoadError> {
    let (case, name) = (replay_case(clients, events), contender.kind.name());
    let topics = LoadTopics { names: vec!["news".into()], publishers: 1 };
    let mut load = Load::new(contender.target.clone(), topics.clone())?;
    let (time, pace, form) = (Duration::from_mins(1), LoadMode::Window(256), many(contender));
    let (outcome, _) =
        rounds::measured(contender, &mut load, &LoadPlan { events, time, pace, bytes: BYTES, form }, report)?;
    let published = outcome.published;
    if published < events {
        report.note(format!("{name}: {published} of {events} events were published within a minute"));
    }

    // The first replay warms the server up and is not counted.
    let mut first = true;
    for count in [1, clients] {
        let (before, begun) = (contender.used(), Instant::now());
        let wants = |_| Wants { from: StartAt::Earliest, ..Wants::topic(&topics, 0) };
        let faults = match load.subscribe(count, wants).and_then(|()| load.settle()) {
            Err(error) if !contender.kind.is_ours() => {
                let (got, of) = (load.delivered(), count as u64 * published);
                report.note(format!("{name}, {case}: {got} of {of} events came, then {error}"));
                return Ok(());
            }
            faults => faults?,
        };
        let (cpu, time) = (contender.cpu(&before), begun.elapsed().as_secs_f64());
        rounds::check_faults(contender, &faults, report);
        if !std::mem::take(&mut first) {
            let all = (count as u64 * published) as f64;
            report.sample(&case, name, CPU_REPLAYED, cpu * 1e6 / all, "us");
            report.sample(&case, name, "events", all / time / 1e6, "million/s");
        }
    }
    Ok(())
}
