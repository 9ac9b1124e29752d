//! The newest changes: subscribers that have come or left. Each has a number, without a hole.

use std::{collections::VecDeque, sync::Arc};

use super::subscriber::Subscriber;

/// Changes that are kept at most: a client that was away for half a minute while 500 came or left each second is told all of
/// them, and not everything anew.
pub const MAX_CHANGES: usize = 16_384;

/// Bytes of those subscribers at most: with few selectors each, the number above counts first.
pub const MAX_BYTES: usize = 16 << 20;

/// A subscriber has come or left, with all its subscriptions.
#[derive(Debug, Clone)]
pub struct Change {
    /// The subscriber.
    pub subscriber: Arc<Subscriber>,
    /// Whether it has come.
    pub active: bool,
}

/// The newest changes.
#[derive(Debug, Default)]
pub struct Changes {
    /// The number of the oldest one that is kept.
    first: u64,
    kept: VecDeque<Change>,
    bytes: usize,
}

/// Changes are asked for that are forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forgotten;

impl Changes {
    /// The number of the next change.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.first + self.kept.len() as u64
    }

    /// Adds a change, and forgets the oldest ones that there is no room for.
    pub fn push(&mut self, change: Change) {
        self.bytes += change.subscriber.size();
        self.kept.push_back(change);
        while self.kept.len() > MAX_CHANGES || (self.bytes > MAX_BYTES && self.kept.len() > 1) {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.bytes -= oldest.subscriber.size();
            self.first += 1;
        }
    }

    /// Whether all changes from this number on are kept.
    #[must_use]
    pub fn keeps(&self, from: u64) -> bool {
        (self.first..=self.next()).contains(&from)
    }

    /// The changes from this number on, at most `limit`.
    ///
    /// # Errors
    /// When some of them are forgotten.
    pub fn from(&self, from: u64, limit: usize) -> Result<Vec<Change>, Forgotten> {
        if !self.keeps(from) {
            return Err(Forgotten);
        }
        let skipped = usize::try_from(from - self.first).unwrap_or(usize::MAX);
        Ok(self.kept.iter().skip(skipped).take(limit).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::api::mercure::{
        selector::MatcherKind,
        subscriptions::{collection::Collection, subscriber::ActiveSubscription},
    };

    fn subscriber(number: u64, selector: &str) -> Arc<Subscriber> {
        let collection = Collection::new(MatcherKind::Topic, selector);
        Arc::new(Subscriber::new(number, vec![ActiveSubscription { collection, payload: None }]))
    }

    #[test]
    fn the_newest_changes_are_kept_up_to_a_number() {
        let (mut changes, one) = (Changes::default(), subscriber(0, "a"));
        assert!(changes.keeps(0) && !changes.keeps(1));
        for _ in 0..MAX_CHANGES + 3 {
            changes.push(Change { subscriber: Arc::clone(&one), active: true });
        }
        assert_eq!(changes.next(), MAX_CHANGES as u64 + 3);
        assert_eq!(changes.from(2, 1).err(), Some(Forgotten));
        assert_eq!(changes.from(3, 5).expect("kept").len(), 5);
        assert_eq!(changes.from(changes.next() - 2, 5).expect("kept").len(), 2);
        assert!(changes.from(changes.next(), 5).expect("known").is_empty());
        assert_eq!(changes.from(changes.next() + 1, 5).err(), Some(Forgotten), "of the future");
    }

    #[test]
    fn large_subscribers_are_kept_up_to_a_size() {
        let mut changes = Changes::default();
        let large = subscriber(0, &"x".repeat(1 << 20));
        for _ in 0..40 {
            changes.push(Change { subscriber: Arc::clone(&large), active: true });
        }
        let kept = (0..=40).filter(|number| changes.keeps(*number)).count() - 1;
        assert!((10..16).contains(&kept), "{kept}");
        changes.push(Change { subscriber: subscriber(1, &"x".repeat(MAX_BYTES)), active: true });
        assert_eq!(changes.from(40, 9).expect("the newest is always kept").len(), 1);
    }
}
