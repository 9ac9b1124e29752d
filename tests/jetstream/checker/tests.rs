//! Each rule, fed a history that breaks it and nothing else.

use std::collections::HashSet;

use gapless::event::EventId;

use super::{Rule, check};
use crate::history::{Expect, Fate, Finish, History, HubLog, Item, Number, Publish, ReaderLog, SentEvent, TopicFacts};

fn id(seq: u64) -> EventId {
    EventId::parse(&format!("aaaa-{seq}")).unwrap()
}

fn event(seq: u64, number: Number) -> Item {
    Item::Event { id: id(seq), number }
}

fn gap(topic: usize) -> Item {
    Item::Gap { topic: Some(topic), reason: "trimmed".into() }
}

fn topic(name: &str, fate: Fate) -> TopicFacts {
    TopicFacts { name: name.into(), fate, closed_at: None }
}

/// Topic 0 is kept, topic 1 keeps its newest event, topic 2 was deleted. Events 0 to 3 are of topic 0, at ids 1, 2, 5, 6 (2 and 3 are
/// a batch); 4 and 5 of topic 1, at 3 and 7; 6 of topic 2, at 4. Two hubs, and a reader of all three topics, who missed event 6.
fn right() -> History {
    let sent = [0, 0, 0, 0, 1, 1, 2].map(|topic| SentEvent { topic, close: false });
    let publish = |events: &[Number], seqs: &[u64], began, acknowledged| Publish {
        events: events.to_vec(),
        began,
        acknowledged: Some(acknowledged),
        receipts: vec![seqs.iter().copied().map(id).collect()],
        ..Publish::default()
    };
    let log = |hub| HubLog {
        hub,
        items: vec![event(1, 0), event(2, 1), event(5, 2), event(6, 3), event(7, 5)],
        topics: [(0, (Some(id(6)), 4)), (1, (Some(id(7)), 1))].into(),
    };
    let items = vec![
        Item::Connected { hub: 0, cursor: None },
        Item::Cursor(id(0)),
        event(1, 0),
        event(2, 1),
        event(3, 4),
        Item::Connected { hub: 1, cursor: Some(id(3)) },
        event(5, 2),
        gap(2),
        event(6, 3),
        event(7, 5),
    ];
    let reader = ReaderLog {
        name: "reader 0".into(),
        wants: HashSet::from([0, 1, 2]),
        from_now: false,
        items,
        finish: Finish::All,
    };
    History {
        topics: vec![topic("a", Fate::Kept), topic("b", Fate::Trimmed(1)), topic("c", Fate::Deleted)],
        sent: sent.to_vec(),
        publishes: vec![
            publish(&[0], &[1], 0, 10),
            publish(&[1], &[2], 20, 30),
            publish(&[4], &[3], 25, 40),
            publish(&[6], &[4], 41, 50),
            publish(&[2, 3], &[5, 6], 51, 60),
            publish(&[5], &[7], 61, 70),
        ],
        readers: vec![reader],
        logs: vec![log(0), log(1)],
    }
}

/// The rules that a changed history breaks.
fn breaks(rules: &[Rule], change: impl FnOnce(&mut History)) {
    let mut history = right();
    change(&mut history);
    let verdict = check(&history);
    let mut rules = rules.to_vec();
    rules.sort_unstable();
    assert!(verdict.breaks_only(&rules), "{rules:?} expected, and found {}", verdict.report());
}

fn items(history: &mut History) -> &mut Vec<Item> {
    &mut history.readers[0].items
}

#[test]
fn a_right_history_breaks_no_rule() {
    breaks(&[], |_| {});
}

#[test]
fn an_acknowledged_event_that_no_log_has_is_lost() {
    breaks(&[Rule::Acknowledged, Rule::Batch], |history| {
        history.sent.push(SentEvent { topic: 0, close: false });
        history.publishes[4].events.push(7);
    });
    breaks(&[Rule::Acknowledged, Rule::Figures], |history| {
        for log in &mut history.logs {
            log.items.remove(1);
        }
    });
    // A topic that keeps one event has to have that one.
    breaks(&[Rule::Acknowledged, Rule::Figures], |history| {
        for log in &mut history.logs {
            log.items.pop();
        }
    });
}

#[test]
fn an_event_that_only_a_reader_saw_is_lost_too() {
    breaks(&[Rule::Acknowledged, Rule::Figures], |history| {
        history.publishes[1] = Publish { events: vec![1], began: 20, unknown: true, ..Publish::default() };
        for log in &mut history.logs {
            log.items.remove(1);
        }
    });
}

#[test]
fn hubs_that_return_different_logs_are_told_apart() {
    breaks(&[Rule::SameLog, Rule::Acknowledged, Rule::Figures], |history| {
        history.logs[1].items.remove(1);
    });
    breaks(&[Rule::Figures], |history| {
        history.logs[1].topics.insert(0, (Some(id(5)), 4));
    });
    breaks(&[Rule::Figures], |history| {
        history.logs[1].topics.insert(0, (Some(id(6)), 5));
    });
}

#[test]
fn one_id_for_two_events_is_found() {
    breaks(&[Rule::OneEventPerId, Rule::OneIdPerEvent], |history| items(history)[2] = event(1, 1));
}

#[test]
fn an_event_that_is_stored_twice_is_found() {
    breaks(&[Rule::OneIdPerEvent, Rule::Figures], |history| {
        for log in &mut history.logs {
            log.items.push(event(8, 1));
        }
        items(history).push(event(8, 1));
    });
}

#[test]
fn an_event_of_unknown_fate_may_be_there_once_or_not_at_all() {
    let publish = |history: &mut History| {
        history.sent.push(SentEvent { topic: 0, close: false });
        history.publishes.push(Publish { events: vec![7], began: 65, unknown: true, ..Publish::default() });
    };
    breaks(&[], publish);
    let store = |history: &mut History, seq| {
        for log in &mut history.logs {
            log.items.push(event(seq, 7));
            log.topics.insert(0, (Some(id(seq)), 5));
        }
        items(history).push(event(seq, 7));
    };
    breaks(&[], |history| {
        publish(history);
        store(history, 8);
    });
    breaks(&[Rule::OneIdPerEvent, Rule::Figures], |history| {
        publish(history);
        store(history, 8);
        store(history, 9);
    });
}

#[test]
fn an_event_that_a_reader_is_sent_twice_or_late_is_found() {
    breaks(&[Rule::Rising], |history| items(history).insert(4, event(2, 1)));
    breaks(&[Rule::Rising, Rule::Missing], |history| items(history).swap(2, 3));
    breaks(&[Rule::Rising], |history| items(history).insert(5, Item::Cursor(id(2))));
}

#[test]
fn an_event_that_a_reader_is_not_sent_is_found() {
    breaks(&[Rule::Missing], |history| drop(items(history).remove(3)));
    // Also the last one, and also after a cursor that has passed it.
    breaks(&[Rule::Missing], |history| drop(items(history).pop()));
    breaks(&[Rule::Missing], |history| {
        items(history).pop();
        items(history).push(Item::Cursor(id(9)));
    });
    // A reader that is stopped needs no more than what comes before its newest event.
    breaks(&[], |history| {
        items(history).pop();
        history.readers[0].finish = Finish::Stopped;
    });
    breaks(&[Rule::Missing], |history| {
        items(history).remove(3);
        history.readers[0].finish = Finish::Stopped;
    });
}

#[test]
fn a_removed_event_needs_a_gap_in_its_place() {
    let change = |history: &mut History| {
        history.sent.push(SentEvent { topic: 2, close: false });
        let receipts = vec![vec![id(8)]];
        let publish = Publish { events: vec![7], began: 75, acknowledged: Some(80), receipts, ..Publish::default() };
        history.publishes.push(publish);
        // The reader knows the topic, so it did not come late to it.
        items(history)[7] = event(4, 6);
        items(history).swap(6, 7);
    };
    breaks(&[Rule::Missing], change);
    breaks(&[], |history| {
        change(history);
        items(history).push(gap(2));
    });
    breaks(&[Rule::Missing], |history| {
        change(history);
        items(history).push(gap(1));
    });
}

#[test]
fn a_reader_from_now_needs_what_follows_its_first_cursor() {
    breaks(&[], |history| {
        history.readers[0].from_now = true;
        items(history)[1] = Item::Cursor(id(2));
        items(history).drain(2..4);
    });
    breaks(&[Rule::Missing], |history| {
        history.readers[0].from_now = true;
        items(history)[1] = Item::Cursor(id(1));
        items(history).drain(2..4);
    });
}

#[test]
fn a_gap_without_a_reason_is_found() {
    breaks(&[Rule::Gap], |history| items(history).push(gap(0)));
    breaks(&[Rule::Gap], |history| items(history).push(Item::Gap { topic: Some(1), reason: "lost".into() }));
    breaks(&[Rule::Gap], |history| items(history).push(Item::Gap { topic: None, reason: "unknown".into() }));
    breaks(&[Rule::Gap], |history| history.logs[0].items.push(gap(0)));
    breaks(&[], |history| history.logs[0].items.push(gap(1)));
}

#[test]
fn an_end_that_comes_too_early_or_is_none_is_found() {
    let end = |seq| Item::End { topic: 0, deleted: false, last: Some(id(seq)) };
    breaks(&[], |history| items(history).push(end(6)));
    breaks(&[Rule::End], |history| items(history).push(end(8)));
    breaks(&[Rule::End], |history| items(history).insert(4, end(2)));
}

#[test]
fn an_epoch_that_changes_is_found() {
    breaks(&[Rule::OneEpoch], |history| items(history).push(Item::Cursor(EventId::parse("bbbb-9").unwrap())));
    breaks(&[Rule::OneEpoch, Rule::OneIdPerEvent], |history| {
        history.publishes[0].receipts[0][0] = EventId::parse("bbbb-9").unwrap();
    });
}

#[test]
fn what_nobody_sent_is_found() {
    let foreign = Item::Foreign { id: "aaaa-8".into(), text: "x".into() };
    breaks(&[Rule::Sent], |history| items(history).push(foreign.clone()));
    breaks(&[Rule::Sent], |history| history.logs[0].items.push(foreign.clone()));
    breaks(&[Rule::Sent], |history| {
        history.readers[0].wants.remove(&1);
    });
    breaks(&[Rule::Odd], |history| items(history).push(Item::Odd("status 500".into())));
    breaks(&[Rule::Odd], |history| history.logs[0].items.push(Item::Odd("status 500".into())));
}

#[test]
fn half_a_batch_or_one_in_another_order_is_found() {
    breaks(&[Rule::Batch, Rule::Figures], |history| {
        history.publishes[4] = Publish { events: vec![2, 3], began: 51, unknown: true, ..Publish::default() };
        for log in &mut history.logs {
            log.items.remove(2);
        }
        items(history).remove(6);
    });
    breaks(&[Rule::Batch], |history| {
        history.publishes[4].events.swap(0, 1);
        history.publishes[4].receipts[0].swap(0, 1);
    });
}

#[test]
fn receipts_of_one_key_that_differ_are_found() {
    breaks(&[], |history| history.publishes[1].receipts.push(vec![id(2)]));
    // The reader has it at one of the two ids only.
    breaks(&[Rule::Receipts, Rule::OneIdPerEvent, Rule::Missing], |history| {
        history.publishes[1].receipts.push(vec![id(9)]);
    });
}

#[test]
fn a_refused_publish_that_is_there_is_found() {
    breaks(&[Rule::Refused], |history| {
        history.publishes[1] = Publish { events: vec![1], began: 20, ..Publish::default() };
    });
}

#[test]
fn a_condition_that_did_not_hold_is_found() {
    breaks(&[], |history| {
        history.publishes[0].expect = Some(Expect::Nothing);
        history.publishes[1].expect = Some(Expect::Last(id(1)));
        history.publishes[4].expect = Some(Expect::Last(id(2)));
    });
    breaks(&[Rule::Premise], |history| history.publishes[1].expect = Some(Expect::Nothing));
    breaks(&[Rule::Premise], |history| history.publishes[4].expect = Some(Expect::Last(id(1))));
    // Of unknown fate, and there.
    breaks(&[Rule::Premise], |history| {
        let publish = &mut history.publishes[4];
        publish.expect = Some(Expect::Last(id(1)));
        (publish.acknowledged, publish.unknown) = (None, true);
        publish.receipts.clear();
    });
    breaks(&[Rule::Premise, Rule::PremiseOnce], |history| {
        history.publishes[1].expect = Some(Expect::Last(id(1)));
        history.publishes[4].expect = Some(Expect::Last(id(1)));
    });
}

#[test]
fn a_condition_that_was_refused_by_an_old_state_is_found() {
    let refuse = |history: &mut History, last| {
        history.sent.push(SentEvent { topic: 0, close: false });
        let expect = Some(Expect::Last(id(2)));
        let refusals = vec![last];
        history.publishes.push(Publish { events: vec![7], expect, refusals, began: 65, ..Publish::default() });
    };
    breaks(&[], |history| refuse(history, Some(id(5))));
    breaks(&[Rule::Refusal], |history| refuse(history, Some(id(1))));
    breaks(&[Rule::Refusal], |history| refuse(history, None));
}

#[test]
fn an_event_of_a_closed_topic_is_found() {
    breaks(&[], |history| history.sent[3].close = true);
    breaks(&[Rule::Closed], |history| history.sent[1].close = true);
    breaks(&[Rule::Closed], |history| history.topics[0].closed_at = Some(45));
    // One that had begun before may still get in, before the closing.
    breaks(&[], |history| history.topics[0].closed_at = Some(55));
}

#[test]
fn an_order_against_real_time_is_found() {
    breaks(&[], |history| history.publishes[2].began = 0);
    breaks(&[Rule::RealTime], |history| history.publishes[0].began = 35);
}

#[test]
fn a_reader_that_cannot_finish_is_found() {
    breaks(&[Rule::Finished], |history| history.readers[0].finish = Finish::Late("waits".into()));
}
