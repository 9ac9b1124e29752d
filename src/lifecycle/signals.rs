//! SIGTERM and SIGINT: the first starts the drain, the second ends the process. SIGHUP: the configuration is to be read again.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Notify,
};

use super::Drain;

/// What a process exits with when it was told to stop twice: 128 + SIGINT, what a shell shows for Ctrl-C.
pub const EXIT_FORCED: u8 = 130;

/// Tells of SIGHUP. Several that come before somebody looks are one.
#[derive(Debug, Clone, Default)]
pub struct Hangups(Arc<Notify>);

impl Hangups {
    /// Waits for the next one; one that came before counts. Cancel safe.
    pub async fn next(&self) {
        self.0.notified().await;
    }
}

/// Listens from now on, on a thread of its own, so that it hears a second signal whatever the others are stuck in.
/// The first begins `drain` with `grace`. The second exits the process at once with [`EXIT_FORCED`]: what was
/// acknowledged is durable, and streams resume. `last` is called before that. A SIGHUP is told by the answer.
///
/// # Errors
/// When the system refuses the thread or the signal handlers.
pub fn listen(drain: Drain, grace: Duration, last: fn()) -> io::Result<Hangups> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut terminate, mut interrupt, mut hangup) = {
        let _context = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?)
    };
    let hangups = Hangups::default();
    let told = hangups.clone();
    let wait = async move {
        let mut next = async || {
            loop {
                tokio::select! {
                    _ = terminate.recv() => return "SIGTERM",
                    _ = interrupt.recv() => return "SIGINT",
                    _ = hangup.recv() => told.0.notify_one(),
                }
            }
        };
        let signal = next().await;
        tracing::info!(
            signal,
            grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
            "draining; a second signal ends at once"
        );
        drain.begin(grace);
        let signal = next().await;
        tracing::warn!(signal, "ending at once");
        last();
        // Without a word to the others: one of them could end the process first, as if all were in order.
        std::process::exit(EXIT_FORCED.into());
    };
    std::thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(wait))?;
    Ok(hangups)
}
