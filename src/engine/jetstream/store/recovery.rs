//! From what was loaded to what the log engine recovers: the newest record of a topic tells its whole state.

use std::collections::BTreeMap;

use super::super::wire::SettingsRecord;
use super::load::{Loaded, LoadedTopic};
use super::reclaim::durable_mark;
use crate::{
    engine::log::store::{Recovered, TopicKey, TopicSettings, TopicSnapshot, TopicSummary},
    event::{Millis, Seq, TopicName},
};

/// What was recovered of a topic.
struct RecoveredTopic {
    key: TopicKey,
    tail: Seq,
    closes: bool,
    state: TopicSnapshot,
    /// The position that the state is of.
    at: Seq,
    settings: TopicSettings,
}

/// The deleted-through marks of names.
type Marks = BTreeMap<TopicName, Seq>;

/// Topics that still have messages though they have no events, up to a position.
type Garbage = BTreeMap<(TopicName, TopicKey), Seq>;

/// Passes the topics to `each`, and returns the rest.
pub(super) fn recovered(loaded: Loaded, each: &mut dyn FnMut(TopicSummary)) -> (Recovered, Marks, Garbage) {
    let Loaded { position, epoch, topics, removed, keys, clock, .. } = loaded;
    let mut recovered = Recovered {
        epoch,
        head: Seq::ZERO,
        next: Seq(position + 1),
        last_time: Millis(0),
        clock,
        settings: Vec::new(),
        newest_mark: Seq::ZERO,
        keys,
        pending_removals: Vec::new(),
        lost: Vec::new(),
        undone: Vec::new(),
    };
    let mut removed_of = BTreeMap::<(TopicName, TopicKey), Vec<(Seq, Seq, u64)>>::new();
    for ((topic, seq), record) in &removed {
        removed_of.entry((topic.clone(), record.key)).or_default().push((*seq, record.at, record.bytes));
        if record.pending {
            recovered.pending_removals.push((record.key, *seq));
        }
    }
    let (mut marks, mut garbage) = (Marks::new(), Garbage::new());
    for (name, loaded) in topics {
        if let Some(event) = &loaded.event {
            recovered.head = recovered.head.max(event.seq);
            recovered.last_time = recovered.last_time.max(event.time);
        }
        let mut topic = RecoveredTopic::of(&loaded);
        for (seq, at, bytes) in removed_of.get(&(name.clone(), topic.key)).into_iter().flatten() {
            // The state counts the data of what was removed after it.
            if *at > topic.at && *seq > topic.state.mark {
                topic.state.bytes = topic.state.bytes.saturating_sub(*bytes);
            }
        }
        let RecoveredTopic { key, tail, closes, state, mut settings, .. } = topic;
        let deleted = settings.deleted_through.unwrap_or_default();
        recovered.newest_mark = recovered.newest_mark.max(deleted);
        recovered.head = recovered.head.max(tail).max(deleted);
        let lives = tail > deleted;
        if lives && state.events > 0 {
            each(TopicSummary {
                key,
                name: name.clone(),
                first: state.first,
                first_prev: state.mark,
                first_time: state.first_time,
                last: tail,
                last_closes: closes,
                events: state.events,
                bytes: state.bytes,
            });
        } else if lives && key.0 > 0 {
            settings.emptied_through = Some(tail);
        } else if !settings.exists {
            settings.emptied_through = None;
        }
        if deleted > Seq::ZERO {
            marks.insert(name.clone(), deleted);
        }
        let mark = durable_mark(&settings, &state);
        if let Some(event) = loaded.event.filter(|event| event.seq <= mark) {
            garbage.insert((name.clone(), event.key), mark);
        }
        if settings != (TopicSettings { deleted_through: settings.deleted_through, ..TopicSettings::default() }) {
            recovered.settings.push((name, settings));
        }
    }
    (recovered, marks, garbage)
}

impl RecoveredTopic {
    fn of(loaded: &LoadedTopic) -> Self {
        let default = SettingsRecord {
            settings: TopicSettings::default(),
            key: TopicKey(0),
            tail: Seq::ZERO,
            state: TopicSnapshot::default(),
        };
        let (saved_at, saved) = loaded.settings.clone().unwrap_or((Seq::ZERO, default));
        let (mut key, mut tail, mut state, mut at) = (saved.key, saved.tail, saved.state, saved_at);
        let event = loaded.event.filter(|event| event.seq > durable_mark(&saved.settings, &saved.state));
        let mut closes = false;
        if let Some(event) = event {
            closes = event.closes;
            if event.seq > saved_at {
                (key, tail, at) = (event.key, event.seq, event.seq);
                state = event.state.expect("the load refuses a newest event without it");
            }
        }
        Self { key, tail, closes, state, at, settings: saved.settings }
    }
}
