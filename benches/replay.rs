//! **What does it cost to replay old events?**
//!
//! 19,000 events of 256 B are published to one topic; then 50 clients connect at once and ask for all of them:
//! microseconds of the server's CPU per replayed event, and events a second. Server on one processor, load on the
//! other. The hub keeps the newest 1 MiB of a topic in its ring and the rest in its store, whose pages the file system
//! has cached; Nchan has all of them in memory.

mod support;

use support::{
    contender::{Cores, Kind},
    questions::{self, CPU_REPLAYED},
    report::{Better, Compare, Report},
    rounds,
};

fn main() {
    if !support::asked() {
        return;
    }
    let mut report = Report::new("replay");
    rounds::raise_limit(1_000);
    let (clients, events) = rounds::sized((50, 19_000), (5, 2_000));
    let case = questions::replay_case(clients, events);
    let kinds = [Kind::Sled, Kind::Memory, Kind::Nchan, Kind::DurableStreams];
    rounds::run(&mut report, &kinds, Cores::One, |contender, report| {
        questions::replay(contender, clients, events, report)
    });
    for (hub, reach, aim) in [(Kind::Memory, 0.1, 0.04), (Kind::Sled, 0.3, 0.1)] {
        let compare = Compare {
            case: &case,
            measure: CPU_REPLAYED,
            tells: "cpu per event, us",
            inverse: false,
            better: Better::Lower,
            reach: Some(reach),
            aim: Some(aim),
        };
        report.aim(hub.name(), &compare);
        for other in [Kind::Nchan, Kind::DurableStreams] {
            let (tells, better, reach, aim) = ("events per CPU second", Better::Higher, None, None);
            let compare = Compare { case: &case, measure: CPU_REPLAYED, tells, inverse: true, better, reach, aim };
            report.compare(hub.name(), other.name(), &compare);
        }
    }
    report.finish();
}
