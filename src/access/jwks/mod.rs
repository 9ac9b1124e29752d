//! An issuer's keys at a URL: fetched by a thread of their own, so that no judgement ever waits for a network.
//!
//! | room | idea |
//! |---|---|
//! | this file | [`JwksCache`]: the keys of now, and when they are fetched again |
//! | [`fetch`] | one request, and its bounds |
//!
//! Keys are held by issuer, never by `kid` or URL alone: two issuers may call different keys the same (CVE-2026-49998).

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

/// When keys are fetched. The defaults are in force; tests are quicker.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    /// How old keys become before they are fetched again, when their server names no age: as long as a key that was taken
    /// back may still be believed.
    pub refresh: Duration,
    /// Bounds of the age that a server names (`Cache-Control: max-age`).
    pub ages: (Duration, Duration),
    /// How long a token with an unknown key must wait until it can have them fetched again, of all such tokens together.
    /// One request in 30 s is nothing to a provider, and no client waits longer for a key that was just made.
    pub early: Duration,
    /// The first wait after a failure; it doubles up to `refresh`.
    pub retry: Duration,
    /// How long keys are believed when they cannot be fetched: a provider's bad day, and no more.
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

/// The keys of one issuer at a URL.
pub(super) struct JwksCache {
    url: Url,
    pinned: Vec<Algorithm>,
    timing: Timing,
    manner: FetchConfig,
    keys: ArcSwap<Vec<VerificationKey>>,
    state: Mutex<FetchState>,
    bell: Condvar,
}

/// How the fetching goes.
#[derive(Debug, Default)]
struct FetchState {
    /// When the keys of now were fetched; `None` when there are none.
    loaded: Option<Instant>,
    /// Failures since.
    failures: u32,
    /// When a token last had them fetched early.
    early: Option<Instant>,
    errand: FetchRequest,
    watched: bool,
    closed: bool,
}

/// Whether somebody waits for a fetch.
#[derive(Debug, Default, PartialEq, Eq)]
enum FetchRequest {
    #[default]
    None,
    Asked,
    UnderWay,
}

impl JwksCache {
    pub(super) fn new(url: Url, pinned: &[Algorithm], timing: Timing, manner: FetchConfig) -> Self {
        let (keys, state, bell) = (ArcSwap::default(), Mutex::default(), Condvar::new());
        Self { url, pinned: pinned.to_vec(), timing, manner, keys, state, bell }
    }

    /// The keys of now; none until they were fetched.
    pub(super) fn keys(&self) -> Arc<Vec<VerificationKey>> {
        self.keys.load_full()
    }

    /// Asks for a key that is not among them. Whether it may be soon: then a fetch is under way, or due.
    pub(super) fn ask(&self) -> bool {
        let mut state = self.state.lock();
        if state.errand != FetchRequest::None {
            return true;
        }
        // What a server that cannot be reached would say is not known.
        let uncertain = state.loaded.is_none() || state.failures > 0;
        if !state.watched {
            return uncertain;
        }
        let recently = state.early.is_some_and(|early| early.elapsed() < self.timing.early);
        if !recently {
            state.early = Some(Instant::now());
            state.errand = FetchRequest::Asked;
            self.bell.notify_all();
            return true;
        }
        uncertain
    }

    /// Takes the keys that another one of the same issuer has, so that a reload does not begin without any.
    pub(super) fn adopt(&self, older: &Self) {
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

    /// Fetches once, here and now, for up to the manner's timeout. Whether the keys have changed.
    ///
    /// # Errors
    /// Why not, naming the URL without its query.
    pub(super) fn refresh(&self) -> Result<bool, String> {
        self.attempt().map(|(changed, _)| changed)
    }

    /// Starts the thread that keeps the keys fresh, once: call it again for one that could not be had. It ends after [`close`](Self::close).
    pub(super) fn watch(self: &Arc<Self>, changed: Arc<dyn Fn() + Send + Sync>) {
        if std::mem::replace(&mut self.state.lock().watched, true) {
            return;
        }
        let keyring = Arc::clone(self);
        let started = std::thread::Builder::new().name("issuer-keys".into()).spawn(move || keyring.tend(&*changed));
        if let Err(error) = started {
            // It passes: whoever watches over all of them comes back.
            self.state.lock().watched = false;
            tracing::error!(error = %error, url = %self.url, "an issuer's keys cannot be fetched for now: no thread for it");
        }
    }

    /// Ends the thread, at the latest when the fetch that is under way has ended.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.bell.notify_all();
    }

    fn tend(&self, changed: &(dyn Fn() + Send + Sync)) {
        let mut wait = Duration::ZERO;
        while self.wait(wait) {
            let outcome = self.attempt();
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
                    let (failures, given_up) = self.give_up();
                    // Once for all failures in a row, or a bad night would be all that the log has.
                    if failures == 1 {
                        tracing::warn!(
                            problem,
                            "an issuer's keys cannot be fetched; those fetched before stay in force"
                        );
                    }
                    if given_up {
                        tracing::error!(url = %self.url, "an issuer's keys were not to be had for too long, and are dropped");
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

    /// Waits for as long, or until somebody asks. False when it is over.
    fn wait(&self, wait: Duration) -> bool {
        let mut state = self.state.lock();
        let due = Instant::now() + wait;
        while !state.closed && state.errand == FetchRequest::None && !self.bell.wait_until(&mut state, due).timed_out()
        {
        }
        state.errand = FetchRequest::UnderWay;
        !state.closed
    }

    /// Whether the keys have changed, and when they are to be fetched again.
    fn attempt(&self) -> Result<(bool, Duration), String> {
        let told = |problem: &str| format!("{}: {problem}", self.url);
        let outcome = fetch::get(&self.url, &self.manner).map_err(|problem| told(&problem));
        let keys = outcome.and_then(|Fetched { body, max_age }| {
            let keys = jwk::fetched(&body, &self.pinned).map_err(|problem| told(&format!("the answer {problem}")))?;
            Ok((keys, max_age))
        });
        let mut state = self.state.lock();
        state.errand = FetchRequest::None;
        let (keys, max_age) = keys.inspect_err(|_| state.failures = state.failures.saturating_add(1))?;
        if std::mem::take(&mut state.failures) > 0 {
            tracing::info!(url = %self.url, "an issuer's keys are fetched again");
        }
        state.loaded = Some(Instant::now());
        let changed = identity(&keys) != identity(&self.keys());
        self.keys.store(Arc::new(keys));
        let (least, most) = self.timing.ages;
        Ok((changed, max_age.map_or(self.timing.refresh, |age| age.clamp(least, most))))
    }

    /// Drops keys that nobody has confirmed for too long. The failures in a row, and whether they were dropped now.
    fn give_up(&self) -> (u32, bool) {
        let mut state = self.state.lock();
        let over = state.loaded.is_some_and(|loaded| loaded.elapsed() > self.timing.keep);
        if over {
            state.loaded = None;
            self.keys.store(Arc::default());
        }
        (state.failures, over)
    }
}

/// What makes a set of keys this one: whatever a token is chosen or verified by.
fn identity(keys: &[VerificationKey]) -> Vec<(Option<&str>, &[u8; 32], &[Algorithm])> {
    keys.iter().map(|key| (key.id.as_deref(), &key.thumb, &*key.algorithms)).collect()
}

impl std::fmt::Debug for JwksCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring")
            .field("url", &self.url.to_string())
            .field("keys", &self.keys())
            .finish_non_exhaustive()
    }
}
