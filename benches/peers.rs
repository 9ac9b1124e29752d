//! **How do Mercure and Centrifugo perform under the same load, and what do they guarantee?**
//!
//! Mercure 0.24.2 (its library in net/http; keeping events in Bolt, or not at all: its local transport) and Centrifugo
//! 6.9.1 (history in its memory, or in a Redis on the same processor that has no append-only file, syncs it every
//! second, or always), beside the hub, Nchan and durable-streams: the same load generator, which checks that every
//! stream receives each event once and in order, and notes what is lost. Streams are Server-Sent Events: Mercure's
//! with a JWT, Centrifugo's `uni_sse`. Server on one processor, load on the other; 256 B per event; every contender a
//! new process in every round. Fan-out: one topic, one event in flight, then 64. Idle: 10,000 streams; a Go heap is
//! measured with the garbage in it. Replay: clients that connect at once and ask for all events, by Mercure's
//! `lastEventID`, and by Centrifugo's recovery from offset 0. Publish: 16 topics of one stream each, 1 or 64
//! connections with one event in flight each; the times to an event's acknowledgement and to its delivery. What each
//! means by an acknowledgement is noted below.

#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]

mod support;

use gapless::load::{Load, LoadError, LoadMode, LoadPlan, LoadTopics, PublishMode, Wants};
use support::{
    contender::{Contender, Cores, Kind},
    peers::{Aof, History, Transport},
    questions::{self, CPU, CPU_REPLAYED, Cases},
    report::{Better, Compare, Report},
    rounds,
};

const BOLT: Kind = Kind::Mercure(Transport::Bolt);
const LOCAL: Kind = Kind::Mercure(Transport::Local);
const CENTRIFUGO: Kind = Kind::Centrifugo(History::Memory);
const REDIS: Kind = Kind::Centrifugo(History::Redis(Aof::No));
const EVERY_SECOND: Kind = Kind::Centrifugo(History::Redis(Aof::EverySecond));
const ALWAYS: Kind = Kind::Centrifugo(History::Redis(Aof::Always));

/// All that keep nothing, or in memory, and all that keep it on disk.
const FAN_OUT: [Kind; 8] =
    [Kind::Sled, Kind::Memory, Kind::Nchan, Kind::DurableStreams, BOLT, LOCAL, CENTRIFUGO, REDIS];
/// Those that keep anything.
const REPLAY: [Kind; 7] = [Kind::Sled, Kind::Memory, Kind::Nchan, Kind::DurableStreams, BOLT, CENTRIFUGO, REDIS];
const PUBLISH: [Kind; 9] =
    [Kind::Sled, Kind::Memory, Kind::Nchan, Kind::DurableStreams, BOLT, CENTRIFUGO, REDIS, EVERY_SECOND, ALWAYS];

const RATE: &str = "rate";

fn main() {
    if !support::asked() {
        return;
    }
    let mut report = Report::new("peers");
    rounds::raise_limit(10_000);
    for streams in rounds::sized(vec![1_000, 10_000], vec![100]) {
        // No paced case: a peer that falls behind works it off for longer than all other cases take.
        let case = Cases { paced: None, ..Cases::of(streams) };
        rounds::run(&mut report, &FAN_OUT, Cores::One, |contender, report| {
            questions::fan_out(contender, &case, report)
        });
        for case in [&case.single, &case.saturated] {
            for other in [BOLT, CENTRIFUGO] {
                against(&mut report, other, case, CPU, "deliveries per CPU second", true);
            }
        }
    }
    let streams = rounds::sized(10_000, 200);
    let cases = questions::idle_cases(streams);
    rounds::run(&mut report, &FAN_OUT, Cores::One, |contender, report| {
        questions::idle(contender, streams, &cases, report)
    });
    // Mercure replays at most 1,000 events to a stream and then closes it.
    for (clients, events) in rounds::sized([(50, 900), (50, 5_000)], [(5, 200), (5, 1_200)]) {
        rounds::run(&mut report, &REPLAY, Cores::One, |contender, report| {
            questions::replay(contender, clients, events, report)
        });
        for other in [BOLT, CENTRIFUGO] {
            let case = questions::replay_case(clients, events);
            against(&mut report, other, &case, CPU_REPLAYED, "events per CPU second", true);
        }
    }
    for publishers in [1, 64] {
        let case = format!("POST, {publishers} connections");
        rounds::run(&mut report, &PUBLISH, Cores::One, |contender, report| {
            publish(contender, publishers, &case, report)
        });
        for other in [BOLT, ALWAYS] {
            against(&mut report, other, &case, RATE, "events a second", false);
        }
    }
    for promise in PROMISES {
        report.note(promise);
    }
    report.finish();
}

/// The hub's figures beside those of `other`, without a target, because their guarantees differ.
fn against(report: &mut Report, other: Kind, case: &str, measure: &'static str, tells: &'static str, inverse: bool) {
    let (better, reach, aim) = (Better::Higher, None, None);
    report.compare(Kind::Sled.name(), other.name(), &Compare { case, measure, tells, inverse, better, reach, aim });
}

/// Topics of [`publish`], each with one stream that checks what it receives.
const TOPICS: usize = 16;

/// The cost of an event that one stream receives, and the times to its acknowledgement and its delivery.
fn publish(contender: &Contender, publishers: usize, case: &str, report: &mut Report) -> Result<(), LoadError> {
    let topics = LoadTopics { names: (0..TOPICS).map(|n| format!("jobs-{n}")).collect(), publishers };
    let mut load = Load::new(contender.target.clone(), topics.clone())?;
    load.subscribe(TOPICS, |n| Wants::topic(&topics, n))?;
    let traffic = questions::traffic(LoadMode::Window(1), PublishMode::Requests);
    rounds::measured(contender, &mut load, &LoadPlan { events: 2 * publishers as u64, ..traffic }, report)?;
    let (outcome, cpu) = rounds::measured(contender, &mut load, &traffic, report)?;
    let name = contender.kind.name();
    report.sample(case, name, RATE, outcome.published_per_second(), "events/s");
    report.sample(case, name, "ack p50", outcome.ack_ms(50.0), "ms");
    report.sample(case, name, "ack p99", outcome.ack_ms(99.0), "ms");
    report.sample(case, name, "heard p50", outcome.latency_ms(50.0), "ms");
    report.sample(case, name, "heard p99", outcome.latency_ms(99.0), "ms");
    report.sample(case, name, "cpu per published event", cpu * 1e6 / outcome.published as f64, "us");
    Ok(())
}

/// What each contender guarantees, by its own documentation and code.
const PROMISES: [&str; 6] = [
    "gapless (sled): an event is synced to disk before it is acknowledged or heard. Every event has an id; after a \
     reconnection with `Last-Event-ID` a stream goes on after it, whatever the distance, or says what is gone.",
    "mercure (bolt): an event is synced to disk, in a transaction of its own, before it is acknowledged or heard. Every \
     event has an id, and `Last-Event-ID` works. A connection is told at most 1,000 events of the past and is then cut \
     (`outBufferLength`), so that its client has to come again; an id is looked for among the 10,000 oldest events of all \
     topics (`maxHistoryScan`), and one that is not found is told in a header of the response, which EventSource does \
     not show, and not in the stream.",
    "mercure (local): nothing is kept, so nothing can be replayed.",
    "centrifugo (memory): an event is acknowledged when it is in the process' memory, whose end it does not outlive. The \
     events of `uni_sse` have no ids and `Last-Event-ID` is not supported: an EventSource that reconnects by itself gets \
     what is published from then on, or what its URL asked for at first. A client that keeps the offset and the epoch of \
     what it reads in the JSON, and opens a new EventSource with them, is given all it missed in one message, or told \
     that it was not recovered: all or nothing, up to `recovery_max_publication_limit` (300; here 20,000). That is what \
     is measured as a replay.",
    "centrifugo (redis): the same, in the memory of a process that may outlive it. With `everysec` up to a second of \
     acknowledged events is lost with the machine; with `always` an event is synced to disk before it is acknowledged.",
    "nchan: in memory. durable-streams: synced to disk before it is acknowledged; positions are offsets in the data.",
];
