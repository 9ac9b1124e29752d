use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    task::Wake,
};

use super::*;
use crate::http::api::mercure::selector::MatcherKind;

/// Counts how often it was woken.
#[derive(Default)]
struct Alarm(AtomicUsize);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn subscriptions(topics: &[&str]) -> Vec<ActiveSubscription> {
    let of = |topic: &&str| Collection::new(MatcherKind::Topic, topic);
    topics.iter().map(|topic| ActiveSubscription { collection: of(topic), payload: None }).collect()
}

fn path(topic: &str) -> Box<str> {
    Collection::new(MatcherKind::Topic, topic).path().into()
}

fn comes(registry: &ActiveSubscriptions, topics: &[&str]) -> Registered {
    registry.add(subscriptions(topics), None, KnownChanges::None)
}

/// A stream that is told of subscriptions to these topics: its key, and the next change.
fn watches(registry: &ActiveSubscriptions, topics: &[&str]) -> (Registered, usize, u64) {
    let interest = Interest::In(topics.iter().map(|topic| path(topic)).collect());
    let registered = registry.add(Vec::new(), Some(interest), KnownChanges::None);
    let (key, from) = registered.watcher.expect("told");
    let WatchFrom::Now(next) = from else { panic!("{from:?}") };
    (registered, key, next)
}

#[test]
fn who_has_come_is_active_until_it_leaves() {
    let registry = ActiveSubscriptions::new();
    let one = comes(&registry, &["a", "b"]);
    let two = comes(&registry, &["b"]);
    let numbers = |path: Option<&str>| -> Vec<u64> {
        registry.subscribers(path, 0, u64::MAX, 10).iter().map(|subscriber| subscriber.number).collect()
    };
    assert_eq!(
        (numbers(None), numbers(Some(&path("a"))), numbers(Some(&path("b")))),
        (vec![0, 1], vec![0], vec![0, 1])
    );
    let b = Collection::new(MatcherKind::Topic, "b");
    assert_eq!(
        registry.find(&b, &one.subscriber.id).map(|(subscriber, place)| (subscriber.number, place)),
        Some((0, 1))
    );
    assert!(registry.find(&Collection::new(MatcherKind::Topic, "a"), &two.subscriber.id).is_none());
    registry.remove(&one);
    assert_eq!((numbers(None), numbers(Some(&path("a"))), numbers(Some(&path("b")))), (vec![1], vec![], vec![1]));
    assert!(registry.find(&b, &one.subscriber.id).is_none());
    registry.remove(&two);
    let tables = registry.tables.lock();
    assert!(tables.subscribers.is_empty() && tables.by_collection.is_empty());
}

#[test]
fn pages_follow_one_another() {
    let registry = ActiveSubscriptions::new();
    let _held: Vec<_> = (0..10).map(|n| comes(&registry, if n % 2 == 0 { &["a"] } else { &["b"] })).collect();
    let numbers = |path: Option<&str>, from, below, limit| -> Vec<u64> {
        registry.subscribers(path, from, below, limit).iter().map(|subscriber| subscriber.number).collect()
    };
    assert_eq!(numbers(None, 3, 9, 3), [3, 4, 5]);
    assert_eq!(numbers(Some(&path("a")), 3, 9, 3), [4, 6, 8]);
    assert_eq!(numbers(Some(&path("a")), 9, 9, 3), [0; 0]);
}

#[test]
fn equal_selectors_are_one_text_in_memory() {
    let registry = ActiveSubscriptions::new();
    let (one, two) = (comes(&registry, &["a"]), comes(&registry, &["a"]));
    let text = |registered: &Registered| registered.subscriber.subscriptions[0].collection.path().as_ptr();
    assert_eq!(text(&one), text(&two));
}

#[test]
fn a_change_wakes_those_that_may_be_told_of_it_and_no_others() {
    let registry = ActiveSubscriptions::new();
    let (_room, room, next) = watches(&registry, &["room"]);
    let (_other, other, _) = watches(&registry, &["other"]);
    let (in_room, elsewhere) = (Arc::new(Alarm::default()), Arc::new(Alarm::default()));
    let poll = |key, from, alarm: &Arc<Alarm>| registry.changes(key, from, 10, &Arc::clone(alarm).into());
    assert!(matches!(poll(room, next, &in_room), NextChanges::None(_)));
    assert!(matches!(poll(other, next, &elsewhere), NextChanges::None(_)));
    let guest = comes(&registry, &["x", "room"]);
    assert_eq!((in_room.0.load(SeqCst), elsewhere.0.load(SeqCst)), (1, 0));
    registry.remove(&guest);
    assert_eq!(in_room.0.load(SeqCst), 1, "it is awake");
    let NextChanges::Some(first, changes) = poll(room, next, &in_room) else { panic!() };
    assert_eq!(changes.iter().map(|change| change.active).collect::<Vec<_>>(), [true, false]);
    assert!(matches!(poll(room, first + 2, &in_room), NextChanges::None(_)));
    assert!(matches!(poll(other, next, &elsewhere), NextChanges::None(_)), "none of these is for it");
}

#[test]
fn a_stream_that_nothing_concerns_is_not_behind_however_much_changes() {
    let registry = ActiveSubscriptions::new();
    let (_held, key, next) = watches(&registry, &["room"]);
    let (waker, count) = (Waker::noop(), crate::http::api::mercure::subscriptions::changes::MAX_CHANGES);
    for _ in 0..count {
        registry.remove(&comes(&registry, &["elsewhere"]));
    }
    let guest = comes(&registry, &["room"]);
    let NextChanges::Some(_, changes) = registry.changes(key, next, 10, waker) else { panic!() };
    assert_eq!(changes[0].subscriber.number, guest.subscriber.number);
    for _ in 0..count {
        registry.remove(&comes(&registry, &["elsewhere"]));
    }
    assert!(
        matches!(registry.changes(key, next, 10, waker), NextChanges::Forgotten),
        "it has not read what it was due"
    );
}

#[test]
fn a_cursor_is_good_for_as_long_as_the_changes_after_it_are_kept() {
    let registry = ActiveSubscriptions::new();
    let from = |known| {
        let registered = registry.add(Vec::new(), Some(Interest::Any), known);
        registry.remove(&registered);
        registered.watcher.expect("told").1
    };
    let id = registry.now().0;
    assert_eq!(from(KnownChanges::Cursor(Some(id))), WatchFrom::Change(id.next));
    assert_eq!(from(KnownChanges::Cursor(None)), WatchFrom::All(SnapshotReason::Unknown));
    assert_eq!(from(KnownChanges::Earliest), WatchFrom::All(SnapshotReason::Earliest));
    let other = ActiveSubscriptions::new().now().0;
    assert_eq!(from(KnownChanges::Cursor(Some(other))), WatchFrom::All(SnapshotReason::Unknown), "of another process");
    let ahead = registry.id(registry.now().0.next + 9);
    assert_eq!(from(KnownChanges::Cursor(Some(ahead))), WatchFrom::All(SnapshotReason::Forgotten));
    for _ in 0..crate::http::api::mercure::subscriptions::changes::MAX_CHANGES {
        registry.remove(&comes(&registry, &["a"]));
    }
    assert_eq!(from(KnownChanges::Cursor(Some(id))), WatchFrom::All(SnapshotReason::Forgotten));
    assert!(registry.tables.lock().watchers.is_empty(), "none is left");
}
