//! Compares the ledger, the log and what each subscriber received.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
};

use crate::{
    ledger::{Entry, Ledger, seq, topic_of},
    subscriber::{Item, Seen},
};

/// The statistics of a run.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    acknowledged: usize,
    /// Publishes without a receipt whose events are there.
    unknown_but_kept: usize,
    /// Publishes without a receipt that left nothing.
    absent: usize,
    /// Acknowledged events that retention has taken since.
    trimmed: usize,
    deliveries: usize,
    connections: u64,
    gaps: usize,
}

/// Topics with this prefix may lose events to retention, if the subscriber receives a gap.
const SHORT: &str = "short/";

/// Checks all invariants. `log` is the whole log after the last restart.
pub(crate) fn check(ledger: &Ledger, log: &Seen, seen: &[Seen]) -> Figures {
    let mut figures = Figures::default();
    ledger.read(|entries| {
        let all = SeenEvents::of(entries, seen.iter().chain([log]));
        let kept: BTreeSet<u64> = log.events().map(|(id, _)| seq(id)).collect();
        for entry in entries {
            judge(entry, &all, &kept, &mut figures);
        }
        for seen in seen.iter().chain([log]) {
            delivered(seen, &all, &mut figures);
        }
    });
    figures
}

/// Every event that was delivered or has a receipt.
struct SeenEvents<'a> {
    by_seq: BTreeMap<u64, &'a str>,
    by_data: HashMap<&'a str, u64>,
}

impl<'a> SeenEvents<'a> {
    /// No position may belong to two events, and no event may have two positions, in all reports of all times.
    fn of(entries: &'a [Entry], seen: impl Iterator<Item = &'a Seen>) -> Self {
        let mut all = Self { by_seq: BTreeMap::new(), by_data: HashMap::new() };
        let receipts = entries.iter().flat_map(|entry| {
            let ids = entry.ids.iter().flatten();
            ids.zip(&entry.events).map(|(id, event)| (&**id, &*event.data))
        });
        for (id, data) in receipts.chain(seen.flat_map(Seen::events)) {
            let other = all.by_seq.insert(seq(id), data);
            assert!(other.is_none_or(|other| other == data), "{id} is two events: {data:.80} and {other:.80?}");
            let other = all.by_data.insert(data, seq(id));
            assert!(other.is_none_or(|other| other == seq(id)), "{id} and {other:?} are one event: {data:.80}");
        }
        all
    }
}

/// An acknowledged publish is in the log; any other is whole or absent.
fn judge(entry: &Entry, all: &SeenEvents<'_>, kept: &BTreeSet<u64>, figures: &mut Figures) {
    let lasting = || entry.events.iter().filter(|event| !may_be_trimmed(&event.topic));
    let there = lasting().filter_map(|event| all.by_data.get(&*event.data)).filter(|seq| kept.contains(seq)).count();
    match &entry.ids {
        Some(ids) => {
            figures.acknowledged += ids.len();
            figures.trimmed += ids.iter().filter(|id| !kept.contains(&seq(id))).count();
            assert!(ids.windows(2).all(|pair| seq(&pair[0]) < seq(&pair[1])), "a batch keeps its order: {ids:?}");
            assert_eq!(there, lasting().count(), "acknowledged as {ids:?}, and lost: {entry:?}");
        }
        None if lasting().count() == 0 => {}
        None => {
            assert!(there == 0 || there == lasting().count(), "half a batch is there: {entry:?}");
            *(if there == 0 { &mut figures.absent } else { &mut figures.unknown_but_kept }) += 1;
        }
    }
}

/// One subscriber: in order, nothing twice, nothing missing except reported gaps.
fn delivered(seen: &Seen, all: &SeenEvents<'_>, figures: &mut Figures) {
    let query = &seen.query;
    figures.connections += seen.connections.len() as u64;
    let mut walks: BTreeMap<&str, Vec<Step>> = BTreeMap::new();
    let mut last = 0;
    for item in &seen.items {
        match item {
            Item::Gap { topic, reason } => {
                figures.gaps += 1;
                assert!(may_be_trimmed(topic) && reason == "trimmed", "{query:?} was told of {item:?} after {last}");
                walks.entry(topic).or_default().push(Step::Gap);
            }
            Item::Event { id, data } => {
                figures.deliveries += 1;
                assert!(seq(id) > last, "{query:?} was given {id} after {last}");
                last = seq(id);
                walks.entry(topic_of(data)).or_default().push(Step::Event(last));
            }
        }
    }
    let began = if query.now { seen.events().next().map_or(0, |(id, _)| seq(id)) } else { 0 };
    let mut wanted: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (&seq, &data) in all.by_seq.range(began..).filter(|(_, data)| query.is_for(topic_of(data))) {
        wanted.entry(topic_of(data)).or_default().push(seq);
    }
    for (topic, wanted) in wanted {
        let walk = walks.remove(topic).unwrap_or_default();
        follows(&walk, &wanted, !query.now && may_be_trimmed(topic)).unwrap_or_else(|seq| {
            let around = around(seen, seq);
            panic!("{query:?} was not given {seq} of {topic}, and not told: {:.80}\n{around}", all.by_seq[&seq]);
        });
    }
    assert!(walks.is_empty(), "{query:?} was given what nobody published: {walks:?}");
}

/// What a subscriber was given around a position, by connection.
fn around(seen: &Seen, missing: u64) -> String {
    let at = seen.items.iter().position(|item| matches!(item, Item::Event { id, .. } if seq(id) > missing));
    let at = at.unwrap_or(seen.items.len());
    let mut lines = Vec::new();
    let mut connections = seen.connections.iter().peekable();
    for (index, item) in seen.items.iter().enumerate().take(at + 40) {
        let near = index + 40 >= at;
        while let Some((_, connection)) = connections.next_if(|(from, _)| *from <= index) {
            if near {
                lines.push(format!("-- a connection {connection}"));
            }
        }
        if near {
            lines.push(match item {
                Item::Event { id, data } => format!("{index}: {id} {:?}", data.split(' ').take(2).collect::<Vec<_>>()),
                gap @ Item::Gap { .. } => format!("{index}: {gap:?}"),
            });
        }
    }
    lines.join("\n")
}

/// What a subscriber received in one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Event(u64),
    Gap,
}

/// Whether `walk` has each of `wanted` in order, or a gap in its place; `Err` is the first that is missing.
/// With `late`, what stands before the first event was trimmed before the subscriber came.
fn follows(walk: &[Step], wanted: &[u64], late: bool) -> Result<(), u64> {
    let mut walk = walk.iter().peekable();
    let mut told = late;
    for &seq in wanted {
        while walk.next_if(|step| **step == Step::Gap).is_some() {
            told = true;
        }
        if walk.next_if(|step| **step == Step::Event(seq)).is_some() {
            told = false;
        } else if !told {
            return Err(seq);
        }
    }
    Ok(())
}

fn may_be_trimmed(topic: &str) -> bool {
    topic.starts_with(SHORT)
}

impl Seen {
    fn events(&self) -> impl Iterator<Item = (&str, &str)> {
        self.items.iter().filter_map(|item| match item {
            Item::Event { id, data } => Some((&**id, &**data)),
            Item::Gap { .. } => None,
        })
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, unknown_but_kept, absent, trimmed, deliveries, connections, gaps } = self;
        write!(
            f,
            "{acknowledged} events acknowledged, {trimmed} of them trimmed since; of publishes cut off {unknown_but_kept} \
             were kept and {absent} left nothing; {deliveries} deliveries over {connections} connections, {gaps} gaps told"
        )
    }
}
