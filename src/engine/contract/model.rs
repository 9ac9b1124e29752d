//! Whatever happens to topics, every page is what a plain list says it must be.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{
    prelude::{Just, Strategy, any, prop_oneof},
    test_runner::{Config, TestRunner},
};

use super::*;

const NAMES: [&str; 4] = ["a", "b/1", "b/2", "b/3"];

/// What a reader may ask for.
const WISHES: [&[&str]; 6] = [&["a"], &["b/1"], &["a", "b/2"], &["b/*"], &["**"], &["b/3", "b/*"]];

#[derive(Debug, Clone)]
enum ModelStep {
    Publish(usize),
    Trim(usize, u64),
    Delete(usize),
    /// Takes back one of a topic's kept events.
    Remove(usize, usize),
    Reopen,
}

/// A topic as a plain list.
#[derive(Default)]
struct ModelTopic {
    kept: Vec<u64>,
    /// Taken back, or told so.
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

pub(crate) fn every_page_is_what_a_plain_list_says<B: StoreFactory>() {
    let mut runner =
        TestRunner::new(Config { cases: 40, max_shrink_iters: 40, failure_persistence: None, ..Config::default() });
    // Walked, picked or merged.
    let ways = prop_oneof![Just((0, 0)), Just((2, 0)), Just((9, 0)), Just((2, 9)), Just((9, 9))];
    let case = (steps(), ways, 1..5usize, 1..50usize);
    runner
        .run(&case, |(steps, ways, events, bytes)| {
            check::<B>(&steps, ways, events, bytes);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

fn check<B: StoreFactory>(
    steps: &[ModelStep],
    (merge_topics, pick_topics): (usize, usize),
    max_events: usize,
    max_bytes: usize,
) {
    let mut house = Fixture::<B>::with(LogConfig { merge_topics, pick_topics, ..LogConfig::default() });
    let mut topics: BTreeMap<&str, ModelTopic> = NAMES.iter().map(|name| (*name, ModelTopic::default())).collect();
    for step in steps {
        apply(&mut house, &mut topics, step);
    }
    let head = house.engine.head();
    for (name, plain) in &topics {
        for item in house.read(&[*name], ReadFrom::Earliest).items {
            let PageItem::Event(event) = item else { panic!("no gap is told from the beginning") };
            let removed = plain.removed.contains(&event.seq.0);
            assert_eq!(event.new.name.is_removed(), removed, "{} of {name}", event.seq);
        }
    }
    for wish in WISHES {
        for start in 0..=head.0 {
            let want = told(&topics, wish, start);
            let from = ReadFrom::After(Seq(start));
            assert_eq!(short(&house.read(wish, from)), want, "{wish:?} after {start} in one page");
            let pages = house.read_in_pages(wish, from, max_events, max_bytes);
            assert_eq!(short(&pages), want, "{wish:?} after {start} in small pages");
            assert_eq!((pages.through, pages.at_end), (head, true));
        }
    }
}

fn apply<B: StoreFactory>(house: &mut Fixture<B>, topics: &mut BTreeMap<&str, ModelTopic>, step: &ModelStep) {
    match *step {
        ModelStep::Publish(topic) => {
            let seq = house.publish(NAMES[topic]);
            topics.get_mut(NAMES[topic]).expect("known").kept.push(seq.0);
        }
        ModelStep::Trim(topic, limit) => {
            // Never wider than before: a store need not have taken back the space of what was trimmed, and after a
            // restart under a wider limit such events are kept again.
            let plain = topics.get_mut(NAMES[topic]).expect("known");
            let limit = plain.limit.map_or(limit, |before| before.min(limit));
            house.trim(NAMES[topic], limit);
            plain.limit = Some(limit);
        }
        ModelStep::Delete(topic) => {
            house.delete(NAMES[topic]);
            let plain = topics.get_mut(NAMES[topic]).expect("known");
            *plain = ModelTopic { mark: plain.kept.last().copied().unwrap_or(plain.mark), ..ModelTopic::default() };
        }
        ModelStep::Remove(topic, nth) => {
            let plain = topics.get_mut(NAMES[topic]).expect("known");
            let Some(&seq) = plain.kept.get(nth) else { return };
            assert!(house.remove(NAMES[topic], Seq(seq)));
            if plain.removed.insert(seq) {
                let notice = house.engine.head().0;
                plain.kept.push(notice);
                plain.removed.insert(notice);
            }
        }
        ModelStep::Reopen => house.reopen(),
    }
    for plain in topics.values_mut() {
        while plain.limit.is_some_and(|limit| plain.kept.len() as u64 > limit) {
            plain.mark = plain.kept.remove(0);
        }
    }
    let all: usize = topics.values().map(|plain| plain.kept.len()).sum();
    house.until("trimmed", |engine| engine.status().events == all as u64);
}

/// What a reader after `start` must be told, in short.
fn told(topics: &BTreeMap<&str, ModelTopic>, wish: &[&str], start: u64) -> Vec<String> {
    let wanted = selection(wish);
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
