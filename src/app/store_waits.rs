//! Bounded waits for the store's disk, at start and at exit: a disk may never respond.

use std::{io, panic::resume_unwind, sync::Arc, thread, time::Duration};

use tokio::{
    runtime::{self, Runtime},
    sync::oneshot,
    time::{Instant, interval_at, timeout_at},
};

use super::{AppError, engine};
use crate::{
    config::Config,
    engine::Engine,
    hub::broker::Broker,
    lifecycle::{Drain, DrainOutcome, DrainPhase},
    progress::{ProgressState, WorkProgress},
};

/// Minimum time for closing the store, when the streams have used up the drain's time. A responsive disk only needs a
/// flush; `deploy/gapless.service` kills the process a second later.
pub(super) const MIN_CLOSE_TIME: Duration = Duration::from_secs(4);

/// How often an opening that goes on is reported in the log.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// Opens the store, or gives up when the drain is over before that. Reports a long opening in the log.
pub(super) fn open(
    config: &Config,
    broker: &Arc<Broker>,
    drain: &Drain,
    progress: &Arc<WorkProgress>,
) -> Result<Arc<dyn Engine>, AppError> {
    let (sender, opened) = oneshot::channel();
    let (config, broker, opening) = (config.clone(), Arc::clone(broker), Arc::clone(progress));
    let work = move || drop(sender.send(engine::open(&config, &broker, &opening)));
    let thread = thread::Builder::new().name("opening".into()).spawn(work)?;
    // Without a guard a drain would be over at once.
    let _guard = drain.guard();
    let outcome = timer_runtime()?.block_on(async {
        tokio::select! {
            biased;
            opened = opened => Some(opened),
            _ = drain.settled() => None,
            () = report(progress) => None,
        }
    });
    match outcome {
        Some(Ok(opened)) => opened,
        Some(Err(_)) => resume_unwind(thread.join().expect_err("the thread ended without a result")),
        None => Err(AppError::NotOpened),
    }
}

/// Logs how far the opening is, for ever.
async fn report(progress: &WorkProgress) {
    let mut times = interval_at(Instant::now() + REPORT_INTERVAL, REPORT_INTERVAL);
    loop {
        times.tick().await;
        let ProgressState { step, done, total } = progress.state();
        tracing::info!(%step, done, total, "the store is still being opened");
    }
}

/// Waits until the drain is over, and then for `finish`: within the drain's time, or [`MIN_CLOSE_TIME`] when that is longer.
pub(super) fn end(drain: &Drain, finish: impl FnOnce() + Send + 'static) -> Result<DrainOutcome, AppError> {
    timer_runtime()?.block_on(async {
        drain.begun().await;
        let now = Instant::now();
        let deadline = if let DrainPhase::Draining { deadline } = drain.phase() { deadline } else { now };
        let outcome = drain.settled().await;
        let (done, finished) = oneshot::channel::<()>();
        let work = move || {
            finish();
            drop(done);
        };
        thread::Builder::new().name("ending".into()).spawn(work)?;
        let close_deadline = deadline.max(Instant::now() + MIN_CLOSE_TIME);
        // The end of the thread drops the sender.
        timeout_at(close_deadline, finished).await.map(|_| outcome).map_err(|_| AppError::NotClosed)
    })
}

/// A runtime with timers only.
fn timer_runtime() -> io::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_time().build()
}
