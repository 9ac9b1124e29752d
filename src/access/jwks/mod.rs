//! An issuer's keys at a URL. Each issuer has its own thread that fetches them, so authentication never waits for the
//! network.
//!
//! | module | idea |
//! |---|---|
//! | this file | [`JwksCache`]: the current keys, and when they are refreshed |
//! | [`fetch`] | one request, and its bounds |
//!
//! Keys are kept by issuer, never by `kid` or URL alone: two issuers may use the same `kid` for different keys
//! (CVE-2026-49998).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use jsonwebtoken::Algorithm;
use parking_lot::{Condvar, Mutex};

use super::{jwk, keys::VerificationKey};

pub(super) mod fetch;
#[cfg(test)]
mod tests;

use fetch::{FetchConfig, Fetched, Url};

/// Intervals of the refresh. The hub uses the defaults; tests use shorter ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    /// The refresh interval when the server sends no `max-age`. A key that the issuer has withdrawn is trusted for up
    /// to this long.
    pub refresh: Duration,
    /// Bounds of the refresh interval that a server sends (`Cache-Control: max-age`).
    pub ages: (Duration, Duration),
    /// The shortest interval between two early refreshes, which tokens with unknown keys cause. One request in 30 s is
    /// no load for a provider, and no client waits longer for a new key.
    pub early: Duration,
    /// The delay after a first failure. It doubles with each further failure, up to `refresh`.
    pub retry: Duration,
    /// How long keys stay trusted when they cannot be refreshed: long enough for an outage of a day.
    pub keep: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            refresh: Duration::from_mins(5),
            ages: (Duration::from_mins(1), Duration::from_hours(1)),
            early: Duration::from_secs(30),
            retry: Duration::from_secs(5),
            keep: Duration::from_hours(24),
        }
    }
}

/// The keys of one issuer, fetched from a URL.
pub(super) struct JwksCache {
    url: Url,
    pinned: Vec<Algorithm>,
    timing: Timing,
    fetch_config: FetchConfig,
    keys: ArcSwap<Vec<VerificationKey>>,
    state: Mutex<FetchState>,
    wakeup: Condvar,
}

/// The state of the refresh.
#[derive(Debug, Default)]
struct FetchState {
    /// When the current keys were fetched; `None` when there are none.
    loaded: Option<Instant>,
    /// Failures since then.
    failures: u32,
    /// When a token last caused an early refresh.
    early: Option<Instant>,
    request: FetchRequest,
    watched: bool,
    closed: bool,
}

/// Whether a refresh is requested or in progress.
#[derive(Debug, Default, PartialEq, Eq)]
enum FetchRequest {
    #[default]
    None,
    Requested,
    InProgress,
}

impl JwksCache {
    pub(super) fn new(url: Url, pinned: &[Algorithm], timing: Timing, fetch_config: FetchConfig) -> Self {
        let (keys, state, wakeup) = (ArcSwap::default(), Mutex::default(), Condvar::new());
        Self { url, pinned: pinned.to_vec(), timing, fetch_config, keys, state, wakeup }
    }

    /// The current keys; empty until they are fetched.
    pub(super) fn keys(&self) -> Arc<Vec<VerificationKey>> {
        self.keys.load_full()
    }

    /// Requests an early refresh for a key that is not in the cache. True when a refresh may bring it: one is
    /// requested, in progress, or being retried after a failure.
    pub(super) fn request_refresh(&self) -> bool {
        let mut state = self.state.lock();
        if state.request != FetchRequest::None {
            return true;
        }
        // Without a recent answer it is unknown which keys the issuer has.
        let uncertain = state.loaded.is_none() || state.failures > 0;
        if !state.watched {
            return uncertain;
        }
        let recently = state.early.is_some_and(|early| early.elapsed() < self.timing.early);
        if !recently {
            state.early = Some(Instant::now());
            state.request = FetchRequest::Requested;
            self.wakeup.notify_all();
            return true;
        }
        uncertain
    }

    /// Copies the keys of the cache that a reload replaces, if it has the same URL and algorithms.
    pub(super) fn copy_fetched_keys(&self, older: &Self) {
        if self.url != older.url || self.pinned != older.pinned {
            return;
        }
        let (loaded, early) = {
            let state = older.state.lock();
            (state.loaded, state.early)
        };
        self.keys.store(older.keys());
        let mut state = self.state.lock();
        (state.loaded, state.early) = (loaded, early);
    }

    /// Fetches the keys once. Blocks for at most the request's timeout. Returns whether they have changed.
    ///
    /// # Errors
    /// Why the fetch failed, with the URL without its query.
    pub(super) fn refresh(&self) -> Result<bool, String> {
        self.fetch_and_store().map(|(changed, _)| changed)
    }

    /// Starts the thread that refreshes the keys, if it is not running; a later call retries when it could not be
    /// started. It ends after [`close`](Self::close).
    pub(super) fn watch(self: &Arc<Self>, changed: Arc<dyn Fn() + Send + Sync>) {
        if std::mem::replace(&mut self.state.lock().watched, true) {
            return;
        }
        let cache = Arc::clone(self);
        let started =
            std::thread::Builder::new().name("issuer-keys".into()).spawn(move || cache.refresh_loop(&*changed));
        if let Err(error) = started {
            // The next call retries.
            self.state.lock().watched = false;
            tracing::error!(error = %error, url = %self.url, "cannot fetch an issuer's keys yet: its thread could not be started");
        }
    }

    /// Ends the thread, at the latest when the fetch in progress has ended.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.wakeup.notify_all();
    }

    fn refresh_loop(&self, changed: &(dyn Fn() + Send + Sync)) {
        let mut wait = Duration::ZERO;
        while self.wait(wait) {
            let outcome = self.fetch_and_store();
            if self.state.lock().closed {
                return;
            }
            match outcome {
                Ok((new, next)) => {
                    wait = next;
                    if new {
                        changed();
                    }
                }
                Err(problem) => {
                    let (failures, dropped) = self.drop_stale_keys();
                    // Log only the first failure in a row, so that an outage does not flood the log.
                    if failures == 1 {
                        tracing::warn!(problem, "cannot fetch an issuer's keys; those fetched before stay in use");
                    }
                    if dropped {
                        tracing::error!(url = %self.url, "an issuer's keys could not be fetched for too long and are dropped; its tokens cannot be verified until the keys are fetched again");
                        changed();
                    }
                    wait = self
                        .timing
                        .retry
                        .saturating_mul(1 << failures.min(16).saturating_sub(1))
                        .min(self.timing.refresh);
                }
            }
        }
    }

    /// Waits for that long, or until a refresh is requested. False after [`close`](Self::close).
    fn wait(&self, wait: Duration) -> bool {
        let mut state = self.state.lock();
        let due = Instant::now() + wait;
        while !state.closed
            && state.request == FetchRequest::None
            && !self.wakeup.wait_until(&mut state, due).timed_out()
        {}
        state.request = FetchRequest::InProgress;
        !state.closed
    }

    /// Fetches and stores the keys. Returns whether they have changed, and the delay until the next refresh.
    fn fetch_and_store(&self) -> Result<(bool, Duration), String> {
        let with_url = |problem: &str| format!("{}: {problem}", self.url);
        let outcome = fetch::get(&self.url, &self.fetch_config).map_err(|problem| with_url(&problem));
        let keys = outcome.and_then(|Fetched { body, max_age }| {
            let keys = jwk::parse_fetched(&body, &self.pinned)
                .map_err(|problem| with_url(&format!("the answer {problem}")))?;
            Ok((keys, max_age))
        });
        let mut state = self.state.lock();
        state.request = FetchRequest::None;
        let (keys, max_age) = keys.inspect_err(|_| state.failures = state.failures.saturating_add(1))?;
        if std::mem::take(&mut state.failures) > 0 {
            tracing::info!(url = %self.url, "an issuer's keys can be fetched again");
        }
        state.loaded = Some(Instant::now());
        let changed = identity(&keys) != identity(&self.keys());
        self.keys.store(Arc::new(keys));
        let (min, max) = self.timing.ages;
        Ok((changed, max_age.map_or(self.timing.refresh, |age| age.clamp(min, max))))
    }

    /// Drops keys that are older than `keep`. Returns the number of failures in a row, and whether keys were dropped.
    fn drop_stale_keys(&self) -> (u32, bool) {
        let mut state = self.state.lock();
        let over = state.loaded.is_some_and(|loaded| loaded.elapsed() > self.timing.keep);
        if over {
            state.loaded = None;
            self.keys.store(Arc::default());
        }
        (state.failures, over)
    }
}

/// All that decides which tokens a set of keys verifies, to detect a change.
fn identity(keys: &[VerificationKey]) -> Vec<(Option<&str>, &[u8; 32], &[Algorithm])> {
    keys.iter().map(|key| (key.id.as_deref(), &key.fingerprint, &*key.algorithms)).collect()
}

impl std::fmt::Debug for JwksCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JwksCache")
            .field("url", &self.url.to_string())
            .field("keys", &self.keys())
            .finish_non_exhaustive()
    }
}
