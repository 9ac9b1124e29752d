//! What waits for the store's disk at the beginning and at the end, and for how long: a disk may never answer.

use std::{io, panic::resume_unwind, sync::Arc, thread, time::Duration};

use tokio::{
    runtime::{self, Runtime},
    sync::oneshot,
    time::{Instant, timeout_at},
};

use super::{AppError, engine};
use crate::{
    config::Config,
    engine::Engine,
    hub::broker::Broker,
    lifecycle::{Drain, DrainOutcome, DrainPhase},
};

/// How long the store has to close at least, when streams have taken all of the drain. A disk that answers needs a flush;
/// `deploy/gapless.service` kills a second later.
const CLOSING: Duration = Duration::from_secs(4);

/// Opens the store, unless the drain is over before that.
pub(super) fn open(config: &Config, broker: &Arc<Broker>, drain: &Drain) -> Result<Arc<dyn Engine>, AppError> {
    let (response, opened) = oneshot::channel();
    let (config, broker) = (config.clone(), Arc::clone(broker));
    let work = move || drop(response.send(engine::open(&config, &broker)));
    let thread = thread::Builder::new().name("opening".into()).spawn(work)?;
    let _held = drain.guard(); // without one, a drain would be over at once
    let outcome = clock()?.block_on(async {
        tokio::select! {
            biased;
            opened = opened => Some(opened),
            _ = drain.settled() => None,
        }
    });
    match outcome {
        Some(Ok(opened)) => opened,
        Some(Err(_)) => resume_unwind(thread.join().expect_err("it ended without an answer")),
        None => Err(AppError::NotOpened),
    }
}

/// Waits until the drain is over, and then for `finish`: within the drain's time, or [`CLOSING`] when that is longer.
pub(super) fn end(drain: &Drain, finish: impl FnOnce() + Send + 'static) -> Result<DrainOutcome, AppError> {
    clock()?.block_on(async {
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
        let until = deadline.max(Instant::now() + CLOSING);
        // Its end drops the channel.
        timeout_at(until, finished).await.map(|_| outcome).map_err(|_| AppError::NotClosed)
    })
}

/// A runtime that knows the time, and nothing else.
fn clock() -> io::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_time().build()
}
