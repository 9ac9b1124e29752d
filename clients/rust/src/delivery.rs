//! One request that publishes, until its outcome is known.
//!
//! It has an `Idempotency-Key`. When its outcome is unknown (the connection broke, the hub was killed), the same request is sent
//! again: a hub that has already processed it answers with the same receipts and adds nothing.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use crate::{
    ClientError,
    connection::{HubConnection, HubRequest, HubResponse, RequestBounds, RequestFailure},
    delay,
    problem::HubProblem,
    requests::Dial,
};

/// How long a request that may have been processed is sent again by default: the default `publish.idempotency_window` of ten
/// minutes, less one for the duration of a request. After that the hub may have forgotten the key. A hub may be
/// configured with a shorter window.
pub const WINDOW: Duration = Duration::from_mins(9);

/// First delay before a retry; it doubles, see [`delay::next`]. A hub restarts within seconds.
pub const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Time for one attempt: far longer than any commit takes, and what a hub gives a body.
const ATTEMPT: Duration = Duration::from_mins(1);
const BODY_BYTES_PER_SECOND: u64 = 8192;

/// Least time for an attempt that begins, also at the very end.
const MIN_ATTEMPT: Duration = Duration::from_millis(100);

/// When to give up.
#[derive(Debug, Clone, Copy)]
pub enum GiveUp {
    /// So long after the first attempt began.
    After(Duration),
    /// So long after the first attempt began that the hub may have processed; never before one.
    AfterUncertain(Duration),
    /// Never: the request is idempotent by itself.
    Never,
}

impl GiveUp {
    /// Since when, and for how long, attempts are made.
    fn end(self, first: Stopwatch, uncertain: Option<Stopwatch>) -> Option<(Stopwatch, Duration)> {
        match self {
            Self::After(limit) => Some((first, limit)),
            Self::AfterUncertain(limit) => uncertain.map(|since| (since, limit)),
            Self::Never => None,
        }
    }
}

/// How a request is repeated.
#[derive(Debug, Clone, Copy)]
pub struct RetryRules {
    /// When to give up.
    pub give_up: GiveUp,
    /// Whether a hub that was never reached is tried again. Else its URL is taken for wrong.
    pub awaits_first: bool,
}

/// A success.
#[derive(Debug)]
pub struct Delivered {
    /// The body of the response.
    pub body: Bytes,
    /// Whether its type is `application/json`.
    pub is_json: bool,
    /// Whether an earlier attempt may have been processed.
    pub was_uncertain: bool,
}

/// There is no success.
#[derive(Debug)]
pub struct Undelivered {
    /// Why the last attempt failed.
    pub cause: ClientError,
    /// Whether the request may have been processed.
    pub is_uncertain: bool,
}

/// The outcome of one attempt that may be repeated, at the earliest after this long.
enum Attempt {
    /// Nothing was processed.
    NotProcessed(ClientError, Duration),
    /// It may have been processed.
    Unknown(ClientError, Duration),
}

/// Sends `request` until its outcome is known. Calls `on_retry` with the reason and the delay before each retry. Cancel safe in
/// the sense that the request may have been processed, or not.
///
/// # Errors
/// The last failure, when no retry can help, or it is time to give up.
pub async fn deliver<D: Dial>(
    connection: &mut HubConnection<'_, D>,
    request: &HubRequest,
    rules: RetryRules,
    mut on_retry: impl FnMut(&ClientError, Duration),
) -> Result<Delivered, Undelivered> {
    let clock = Stopwatch::start();
    let body_time = Duration::from_secs(request.body.len() as u64 / BODY_BYTES_PER_SECOND);
    let (mut uncertain, mut failures): (Option<Stopwatch>, u32) = (None, 0);
    let mut last = None;
    loop {
        let end = rules.give_up.end(clock, uncertain);
        let left = end.map(|(since, limit)| limit.saturating_sub(since.elapsed()));
        let patience = left.map_or(ATTEMPT + body_time, |left| (ATTEMPT + body_time).min(left.max(MIN_ATTEMPT)));
        // A machine that slept wakes up later than it planned, and the hub may have forgotten the key by then.
        let may_send = || failures == 0 || end.is_none_or(|(since, limit)| since.elapsed() <= limit);
        let started = Stopwatch::start();
        let result = connection.request(request, &RequestBounds { patience, may_send: &may_send }).await;
        if connection.was_resent() {
            uncertain.get_or_insert(started);
        }
        let failed = |cause, uncertain: Option<Stopwatch>| Undelivered { cause, is_uncertain: uncertain.is_some() };
        let attempt = match result {
            Ok(HubResponse::Success { body, is_json }) => {
                return Ok(Delivered { body, is_json, was_uncertain: uncertain.is_some() });
            }
            Ok(HubResponse::Refused(problem)) if problem.is_transient() => transient(problem),
            Ok(HubResponse::Refused(problem)) => return Err(failed(ClientError::Refused(problem), uncertain)),
            Err(RequestFailure::TooLate) => {
                let cause = last.unwrap_or_else(|| ClientError::Broken("it is too late for another attempt".into()));
                return Err(failed(cause, uncertain));
            }
            Err(RequestFailure::NotSent(error)) => {
                let is_final = matches!(error, ClientError::Token { .. } | ClientError::TokenFunction(_))
                    || !(connection.reached() || rules.awaits_first);
                if is_final {
                    return Err(failed(error, uncertain));
                }
                Attempt::NotProcessed(error, Duration::ZERO)
            }
            Err(RequestFailure::MaybeSent(error)) => Attempt::Unknown(error, Duration::ZERO),
        };
        let (reason, retry_after) = match attempt {
            Attempt::NotProcessed(reason, wait) => (reason, wait),
            Attempt::Unknown(reason, wait) => {
                uncertain.get_or_insert(started);
                (reason, wait)
            }
        };
        failures += 1;
        let wait = delay::next(FIRST_WAIT, retry_after, failures, fastrand::f64());
        let end = rules.give_up.end(clock, uncertain);
        if end.is_some_and(|(since, limit)| since.elapsed() + wait > limit) {
            return Err(failed(reason, uncertain));
        }
        on_retry(&reason, wait);
        last = Some(reason);
        sleep(wait).await;
    }
}

fn transient(mut problem: HubProblem) -> Attempt {
    let wait = problem.take_retry_after();
    // After a failed flush (store-unavailable) the events may be on disk. A proxy's error has no code: the hub
    // behind it may have processed the request.
    let not_processed = problem.code().is_some_and(|code| code != "store-unavailable");
    let error = ClientError::Refused(problem);
    if not_processed { Attempt::NotProcessed(error, wait) } else { Attempt::Unknown(error, wait) }
}

/// Measures time, also that in which the machine slept: tokio's clock does not run then.
#[derive(Debug, Clone, Copy)]
struct Stopwatch {
    steady: Instant,
    wall: SystemTime,
}

impl Stopwatch {
    fn start() -> Self {
        Self { steady: Instant::now(), wall: SystemTime::now() }
    }

    fn elapsed(&self) -> Duration {
        self.steady.elapsed().max(self.wall.elapsed().unwrap_or_default())
    }
}
