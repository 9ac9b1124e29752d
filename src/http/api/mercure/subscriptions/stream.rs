//! What one stream is told of subscriptions: the changes since its client's cursor, or all that is active, and then the
//! changes. Its memory is a position; what its client does not read in time is forgotten, and then it is told all again.
//!
//! | sent | its id |
//! |---|---|
//! | a change | of the log as far as the stream has come, and of the changes before it; the last event of a change is of it, too |
//! | `hub.subscriptions`, and all that is active | of the log only: a client that loses its connection meanwhile is told all again |
//! | `hub.cursor`, when that is complete | of both |

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    changes::Change,
    document::{DocumentOptions, SubscriptionDocument},
    interest::Interest,
    registry::{ActiveSubscriptions, KnownChanges, NextChanges, Registered, SnapshotReason, WatchFrom},
    subscriber::{ActiveSubscription, Subscriber},
};
use crate::{
    event::{EventId, json_text, sse},
    http::api::{
        mercure::{
            payloads::Payloads,
            selector::{MatcherKind, SelectorSet},
        },
        mercure_log::update_id::UPDATE_IDS,
        stream::{chunk::Chunk, ephemeral::EphemeralEvents},
    },
};

/// Bytes after which a chunk ends: about what a socket takes at once. One event has at most some 40 KiB.
const CHUNK_BYTES: usize = 64 << 10;

/// Subscribers, or changes, that are copied while the registry's lock is held: a pointer of each.
const PAGE: usize = 64;

/// Pages of one poll at most, before other streams of the core have their turn.
const PAGES_PER_POLL: usize = 8;

/// A stream of a subscriber, which is active until it is dropped.
pub struct SubscriberStream {
    registry: Arc<ActiveSubscriptions>,
    registered: Registered,
    watching: Option<Box<WatchingStream>>,
}

/// What a stream may be told.
pub struct SubscriptionView {
    /// The selectors of the request.
    pub selectors: Arc<SelectorSet>,
    /// The topics whose private updates its token grants, as those of subscriptions are.
    pub granted: Arc<SelectorSet>,
}

/// A stream that is told of subscriptions.
struct WatchingStream {
    watcher: usize,
    view: SubscriptionView,
    /// The paths of the selectors that it may be told of; `None` for all.
    paths: Option<Box<[Box<str>]>>,
    position: WatchPosition,
}

/// What comes next.
#[derive(Clone, Copy)]
enum WatchPosition {
    /// The cursor at which it begins.
    Cursor(u64),
    /// The announcement of all that is active.
    Announcement(SnapshotReason),
    /// All that is active.
    All(SnapshotProgress),
    /// The subscriptions from this index on of this change, and those that follow.
    Changes(u64, usize),
}

/// How far all that is active has been told.
#[derive(Clone, Copy)]
struct SnapshotProgress {
    /// Which of the paths; 0 without.
    path: usize,
    /// The next subscriber, and the index of its next subscription.
    next: (u64, usize),
    /// Subscribers from this number on have come since.
    below: u64,
    /// The first change since.
    since: u64,
}

impl SubscriptionView {
    /// What a stream of these selectors can be told; `None` when that is nothing.
    #[must_use]
    pub fn interest(&self) -> Option<Interest> {
        if self.granted.is_empty() || Interest::of(&self.granted).is_none() {
            return None;
        }
        Some(Interest::of(&self.selectors)).filter(|interest| !interest.is_none())
    }

    fn sees(&self, path: &str) -> bool {
        self.selectors.matches(path) && self.granted.matches(path)
    }
}

impl SubscriberStream {
    /// The stream of a subscriber that has come: it is active from now on.
    #[must_use]
    pub fn begin(
        registry: Arc<ActiveSubscriptions>,
        view: SubscriptionView,
        payloads: &Payloads,
        known: KnownChanges,
    ) -> Self {
        let interest = view.interest();
        let subscriptions = ActiveSubscription::all_of(&view.selectors, payloads);
        let registered = registry.add(subscriptions, interest.clone(), known);
        let watching = registered.watcher.map(|(watcher, from)| {
            let position = match from {
                WatchFrom::Now(number) => WatchPosition::Cursor(number),
                WatchFrom::Change(number) => WatchPosition::Changes(number, 0),
                WatchFrom::All(why) => WatchPosition::Announcement(why),
            };
            let paths = match interest {
                Some(Interest::In(paths)) => Some(paths.into_iter().collect()),
                _ => None,
            };
            Box::new(WatchingStream { watcher, view, paths, position })
        });
        Self { registry, registered, watching }
    }
}

impl Drop for SubscriberStream {
    fn drop(&mut self) {
        self.registry.remove(&self.registered);
    }
}

impl EphemeralEvents for SubscriberStream {
    fn poll_chunk(&mut self, cx: &mut Context<'_>, log: EventId) -> Poll<Chunk> {
        let Some(watching) = &mut self.watching else { return Poll::Pending };
        let mut out = Vec::new();
        let mut idle = false;
        for _ in 0..PAGES_PER_POLL {
            idle = !watching.step(&self.registry, cx, log, &mut out);
            if idle || out.len() >= CHUNK_BYTES {
                break;
            }
        }
        if out.is_empty() {
            if !idle {
                cx.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        Poll::Ready(Chunk::write(out.len(), |chunk| chunk.extend_from_slice(&out)))
    }
}

impl WatchingStream {
    /// Writes what comes next, a page of it at most. Returns whether there may be more; if not, the task is woken later.
    fn step(&mut self, registry: &ActiveSubscriptions, cx: &Context<'_>, log: EventId, out: &mut Vec<u8>) -> bool {
        match self.position {
            WatchPosition::Cursor(next) => self.write_cursor(registry, next, log, out),
            WatchPosition::Announcement(why) => {
                let (since, below) = registry.begin_anew(self.watcher);
                write_announcement(why, log, out);
                self.position = WatchPosition::All(SnapshotProgress { path: 0, next: (0, 0), below, since });
            }
            WatchPosition::All(_) => self.write_snapshot(registry, log, out),
            WatchPosition::Changes(from, index) => match registry.changes(self.watcher, from, PAGE, cx.waker()) {
                NextChanges::None(next) => {
                    self.position = WatchPosition::Changes(next, 0);
                    return false;
                }
                NextChanges::Forgotten => self.position = WatchPosition::Announcement(SnapshotReason::Forgotten),
                NextChanges::Some(first, changes) => {
                    let index = if first == from { index } else { 0 };
                    self.write_changes(registry, (first, index), &changes, log, out);
                }
            },
        }
        true
    }

    fn write_cursor(&mut self, registry: &ActiveSubscriptions, next: u64, log: EventId, out: &mut Vec<u8>) {
        let id = registry.id(next).with(log);
        let data = json_text::text(&serde_json::json!({"id": id}));
        sse::encode_hub_event(out, "hub.cursor", Some(&id), &data);
        self.position = WatchPosition::Changes(next, 0);
    }

    fn write_changes(
        &mut self,
        registry: &ActiveSubscriptions,
        (mut number, mut index): (u64, usize),
        changes: &[Change],
        log: EventId,
        out: &mut Vec<u8>,
    ) {
        for Change { subscriber, active } in changes {
            let subscriptions = &subscriber.subscriptions;
            let last = subscriptions.iter().rposition(|one| self.sees(subscriber, one).is_some());
            // A client that continues amid a change is told all of it again.
            let (before, after) = (registry.id(number).with(log), registry.id(number + 1).with(log));
            for (place, subscription) in
                subscriptions.iter().enumerate().take(last.map_or(0, |last| last + 1)).skip(index)
            {
                if out.len() >= CHUNK_BYTES {
                    self.position = WatchPosition::Changes(number, place);
                    return;
                }
                let Some(path) = self.sees(subscriber, subscription) else { continue };
                let id = if Some(place) == last { &after } else { &before };
                event(subscriber, subscription, &path, *active, id, out);
            }
            (number, index) = (number + 1, 0);
        }
        self.position = WatchPosition::Changes(number, 0);
    }

    fn write_snapshot(&mut self, registry: &ActiveSubscriptions, log: EventId, out: &mut Vec<u8>) {
        let WatchPosition::All(SnapshotProgress { mut path, mut next, below, since }) = self.position else { return };
        let of = match &self.paths {
            None if path == 0 => None,
            Some(paths) if path < paths.len() => Some(&*paths[path]),
            _ => return self.write_cursor(registry, since, log, out),
        };
        let page = registry.subscribers(of, next.0, below, PAGE);
        if page.is_empty() {
            (path, next) = (path + 1, (0, 0));
        }
        let id = UPDATE_IDS.text(log);
        'page: for subscriber in &page {
            let from = if subscriber.number == next.0 { next.1 } else { 0 };
            for (place, subscription) in subscriber.subscriptions.iter().enumerate().skip(from) {
                if out.len() >= CHUNK_BYTES {
                    next = (subscriber.number, place);
                    break 'page;
                }
                if of.is_some_and(|of| of != subscription.collection.path()) {
                    continue;
                }
                let Some(path) = self.sees(subscriber, subscription) else { continue };
                event(subscriber, subscription, &path, true, &id, out);
            }
            next = (subscriber.number + 1, 0);
        }
        self.position = WatchPosition::All(SnapshotProgress { path, next, below, since });
    }

    /// The path of a subscription, if the stream may be told of it.
    fn sees(&self, subscriber: &Subscriber, subscription: &ActiveSubscription) -> Option<String> {
        let among =
            |paths: &[Box<str>]| paths.binary_search_by(|one| (**one).cmp(subscription.collection.path())).is_ok();
        if !self.paths.as_deref().is_none_or(among) {
            return None;
        }
        Some(subscriber.path(subscription)).filter(|path| self.view.sees(path))
    }
}

/// Writes that what follows is all that is active.
fn write_announcement(why: SnapshotReason, log: EventId, out: &mut Vec<u8>) {
    let reason = match why {
        SnapshotReason::Earliest => "earliest",
        SnapshotReason::Unknown => "unknown",
        SnapshotReason::Forgotten => "trimmed",
    };
    let data = json_text::text(&serde_json::json!({"reason": reason}));
    sse::encode_hub_event(out, "hub.subscriptions", Some(UPDATE_IDS.display(log)), &data);
}

/// Writes the event of a subscription: in dialect 1 of the type `mercure`, which no publisher can use.
fn event(
    subscriber: &Subscriber,
    subscription: &ActiveSubscription,
    path: &str,
    active: bool,
    id: &str,
    out: &mut Vec<u8>,
) {
    let (kind, selector) = subscription.collection.selector();
    let options = DocumentOptions { alone: true, last_event_id: None };
    let document = SubscriptionDocument::new(subscriber, subscription, path, (kind, &selector), active, options);
    sse::begin_named(out, if kind == MatcherKind::Topic { "" } else { "mercure" });
    sse::data_part(out, &json_text::bytes(&document));
    sse::end(out, id);
}

#[cfg(test)]
mod tests;
