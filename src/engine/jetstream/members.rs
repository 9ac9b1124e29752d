//! Which hubs live, as far as this hub hears: each says so every 2 s in core NATS, and says when it ends in order.
//!
//! The log does not depend on it. A hub that is taken for gone may only be cut off.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::forward::HubId;

/// Between two messages of a hub.
pub(super) const HERE: Duration = Duration::from_secs(2);

/// A hub that was not heard for so long is gone: five messages are missing.
const GONE: Duration = Duration::from_secs(10);

/// After so long a hub that has begun to listen has heard of every hub: each has sent one message, and half of another.
const HEARD_ALL: Duration = Duration::from_secs(3);

/// Hubs that are kept in memory. With more, none is taken for gone.
const MOST: usize = 1024;

/// The hubs that were heard of.
pub(super) struct HubsHeard(Mutex<Heard>);

struct Heard {
    hubs: BTreeMap<Box<str>, Instant>,
    /// From here on it is known who does not live.
    complete_from: Instant,
    /// When it was last seen that this hub hears.
    looked: Instant,
}

impl HubsHeard {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self(Mutex::new(Heard { hubs: BTreeMap::new(), complete_from: now + HEARD_ALL, looked: now }))
    }

    /// A hub has said that it is here, or that it ends.
    pub(super) fn heard(&self, hub: &HubId, ends: bool) {
        let mut heard = self.0.lock();
        let now = Instant::now();
        if ends {
            heard.hubs.remove(hub.as_str());
        } else if heard.hubs.len() < MOST || heard.hubs.contains_key(hub.as_str()) {
            heard.hubs.insert(hub.as_str().into(), now);
        } else {
            heard.complete_from = now + GONE;
        }
    }

    /// To be called every [`HERE`]. When this hub was without a connection, or was stopped meanwhile, it may have missed what the
    /// others have said: then it is not known for a while who does not live.
    pub(super) fn look(&self, is_connected: bool) {
        let mut heard = self.0.lock();
        let now = Instant::now();
        if !is_connected || now.duration_since(heard.looked) > 2 * HERE {
            heard.complete_from = now + GONE;
        }
        heard.looked = now;
        heard.hubs.retain(|_, at| at.elapsed() < GONE);
    }

    /// The hubs that live, and whether that is known of all.
    pub(super) fn others(&self) -> (BTreeSet<Box<str>>, bool) {
        let heard = self.0.lock();
        let now = Instant::now();
        let is_complete = now >= heard.complete_from && now.duration_since(heard.looked) <= 2 * HERE;
        let alive = heard.hubs.iter().filter(|(_, at)| at.elapsed() < GONE).map(|(hub, _)| hub.clone());
        (alive.collect(), is_complete)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn hub(id: &str) -> HubId {
        HubId::new(id).expect("valid")
    }

    /// Hears from these every 2 s.
    async fn pass(heard: &HubsHeard, seconds: u64, from: &[&str]) {
        for _ in 0..seconds / 2 {
            for id in from {
                heard.heard(&hub(id), false);
            }
            heard.look(true);
            advance(HERE).await;
        }
    }

    fn shown(heard: &HubsHeard) -> (Vec<String>, bool) {
        let (others, complete) = heard.others();
        (others.iter().map(ToString::to_string).collect(), complete)
    }

    #[tokio::test(start_paused = true)]
    async fn a_hub_that_is_not_heard_for_10_s_is_gone_and_one_that_ends_at_once() {
        let heard = HubsHeard::new();
        assert!(!shown(&heard).1, "it has just begun to listen");
        pass(&heard, 4, &["a-1", "b-2"]).await;
        assert_eq!(shown(&heard), (vec!["a-1".into(), "b-2".into()], true));
        pass(&heard, 6, &["b-2"]).await;
        assert_eq!(shown(&heard).0.len(), 2, "8 s");
        pass(&heard, 2, &["b-2"]).await;
        assert_eq!(shown(&heard), (vec!["b-2".into()], true));
        heard.heard(&hub("b-2"), true);
        assert_eq!(shown(&heard), (vec![], true));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_gone_is_not_known_for_10_s_after_this_hub_could_not_hear() {
        let heard = HubsHeard::new();
        pass(&heard, 4, &["a-1"]).await;
        heard.look(false);
        advance(HERE).await;
        pass(&heard, 6, &["a-1"]).await;
        assert!(!shown(&heard).1);
        pass(&heard, 4, &["a-1"]).await;
        assert_eq!(shown(&heard), (vec!["a-1".into()], true));
        // The process was stopped, and the messages of that time wait to be read.
        advance(Duration::from_secs(15)).await;
        assert_eq!(shown(&heard), (vec![], false));
        heard.look(true);
        assert!(!shown(&heard).1);
    }

    #[tokio::test(start_paused = true)]
    async fn with_too_many_hubs_none_is_taken_for_gone() {
        let heard = HubsHeard::new();
        pass(&heard, 4, &[]).await;
        (0..=MOST).for_each(|n| heard.heard(&hub(&format!("h-{n}")), false));
        let (others, complete) = heard.others();
        assert_eq!((others.len(), complete), (MOST, false));
    }
}
