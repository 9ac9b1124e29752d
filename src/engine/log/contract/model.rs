//! Model test: after random operations every page matches a model of plain lists.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{
    prelude::{Just, Strategy, any, prop_oneof},
    test_runner::{Config, TestRunner},
};

use super::*;

const NAMES: [&str; 4] = ["a", "b/1", "b/2", "b/3"];

/// The selections to read.
const SELECTIONS: [&[&str]; 6] = [&["a"], &["b/1"], &["a", "b/2"], &["b/*"], &["**"], &["b/3", "b/*"]];

#[derive(Debug, Clone)]
enum ModelStep {
    Publish(usize),
    Trim(usize, u64),
    Delete(usize),
    /// Removes one of a topic's retained events.
    Remove(usize, usize),
    Reopen,
}

/// The model of a topic.
#[derive(Default)]
struct ModelTopic {
    kept: Vec<u64>,
    /// Tombstones and notices.
    removed: BTreeSet<u64>,
    mark: u64,
    limit: Option<u64>,
}

fn steps() -> impl Strategy<Value = Vec<ModelStep>> {
    let topic = 0..NAMES.len();
    let step = prop_oneof![
        8 => topic.clone().prop_map(ModelStep::Publish),
        2 => (topic.clone(), 0..4u64).prop_map(|(topic, limit)| ModelStep::Trim(topic, limit)),
        1 => topic.clone().prop_map(ModelStep::Delete),
        2 => (topic, 0..6usize).prop_map(|(topic, nth)| ModelStep::Remove(topic, nth)),
        1 => any::<bool>().prop_map(|_| ModelStep::Reopen),
    ];
    proptest::collection::vec(step, 1..40)
}

pub(crate) fn every_page_matches_a_plain_list<F: StoreFactory>() {
    let mut runner =
        TestRunner::new(Config { cases: 40, max_shrink_iters: 40, failure_persistence: None, ..Config::default() });
    // By a scan, a pick or a merge.
    let ways = prop_oneof![Just((0, 0)), Just((2, 0)), Just((9, 0)), Just((2, 9)), Just((9, 9))];
    let case = (steps(), ways, 1..5usize, 1..50usize);
    runner
        .run(&case, |(steps, ways, events, bytes)| {
            check::<F>(&steps, ways, events, bytes);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

fn check<F: StoreFactory>(
    steps: &[ModelStep],
    (merge_topics, pick_topics): (usize, usize),
    max_events: usize,
    max_bytes: usize,
) {
    let mut fixture = LogFixture::<F>::with(LogConfig { merge_topics, pick_topics, ..LogConfig::fixture() });
    let mut topics: BTreeMap<&str, ModelTopic> = NAMES.iter().map(|name| (*name, ModelTopic::default())).collect();
    for step in steps {
        apply(&mut fixture, &mut topics, step);
    }
    let head = fixture.engine.head().seq;
    for (name, plain) in &topics {
        for item in fixture.read(&[*name], ReadFrom::Earliest).items {
            let PageItem::Event(event) = item else { panic!("a read from the earliest event reports no gap") };
            let removed = plain.removed.contains(&event.seq.0);
            assert_eq!(event.new.name.is_removed(), removed, "{} of {name}", event.seq);
        }
    }
    for filters in SELECTIONS {
        for start in 0..=head.0 {
            let want = expected(&topics, filters, start);
            let from = ReadFrom::After(Seq(start));
            assert_eq!(short(&fixture.read(filters, from)), want, "{filters:?} after {start} in one page");
            let pages = fixture.read_in_pages(filters, from, max_events, max_bytes);
            assert_eq!(short(&pages), want, "{filters:?} after {start} in small pages");
            assert_eq!((pages.through, pages.at_end), (head, true));
        }
    }
}

fn apply<F: StoreFactory>(fixture: &mut LogFixture<F>, topics: &mut BTreeMap<&str, ModelTopic>, step: &ModelStep) {
    match *step {
        ModelStep::Publish(topic) => {
            let seq = fixture.publish(NAMES[topic]);
            topics.get_mut(NAMES[topic]).expect("known").kept.push(seq.0);
        }
        ModelStep::Trim(topic, limit) => {
            // Never wider than before: the space of trimmed events may not be reclaimed yet, and after a restart under
            // a wider limit such events are retained again.
            let plain = topics.get_mut(NAMES[topic]).expect("known");
            let limit = plain.limit.map_or(limit, |before| before.min(limit));
            fixture.trim(NAMES[topic], limit);
            plain.limit = Some(limit);
        }
        ModelStep::Delete(topic) => {
            fixture.delete(NAMES[topic]);
            let plain = topics.get_mut(NAMES[topic]).expect("known");
            *plain = ModelTopic { mark: plain.kept.last().copied().unwrap_or(plain.mark), ..ModelTopic::default() };
        }
        ModelStep::Remove(topic, nth) => {
            let plain = topics.get_mut(NAMES[topic]).expect("known");
            let Some(&seq) = plain.kept.get(nth) else { return };
            assert!(fixture.remove(NAMES[topic], Seq(seq)));
            if plain.removed.insert(seq) {
                let notice = fixture.engine.head().seq.0;
                plain.kept.push(notice);
                plain.removed.insert(notice);
            }
        }
        ModelStep::Reopen => fixture.reopen(),
    }
    for plain in topics.values_mut() {
        while plain.limit.is_some_and(|limit| plain.kept.len() as u64 > limit) {
            plain.mark = plain.kept.remove(0);
        }
    }
    let all: usize = topics.values().map(|plain| plain.kept.len()).sum();
    fixture.until("trimmed", |engine| status(engine).events == all as u64);
}

/// The page that a read after `start` must return, in the notation of [`short`].
fn expected(topics: &BTreeMap<&str, ModelTopic>, filters: &[&str], start: u64) -> Vec<String> {
    let wanted = selection(filters);
    let mut items = Vec::new();
    for (name, plain) in topics.iter().filter(|(name, _)| wanted.matches(&topic(name))) {
        if plain.mark > start {
            let resumes = plain.kept.first().map_or("-".into(), ToString::to_string);
            items.push((plain.mark, format!("{name}!{resumes}")));
        }
        items.extend(plain.kept.iter().filter(|seq| **seq > start).map(|seq| (*seq, seq.to_string())));
    }
    items.sort();
    items.into_iter().map(|(_, text)| text).collect()
}
