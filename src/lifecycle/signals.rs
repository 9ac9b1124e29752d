//! SIGTERM and SIGINT: the first starts the drain, the second ends the process.

use std::{io, time::Duration};

use tokio::signal::unix::{SignalKind, signal};

use super::Drain;

/// What a process exits with when it was told to stop twice: 128 + SIGINT, what a shell shows for Ctrl-C.
pub const EXIT_FORCED: u8 = 130;

/// Listens from now on, on a thread of its own, so that it hears a second signal whatever the others are stuck in.
/// The first begins `drain` with `grace`. The second exits the process at once with [`EXIT_FORCED`]: what was
/// acknowledged is durable, and streams resume.
///
/// # Errors
/// When the system refuses the thread or the signal handlers.
pub fn listen(drain: Drain, grace: Duration) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut terminate, mut interrupt) = {
        let _context = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    let wait = async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
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
        // Without a word to the others: one of them could end the process first, as if all were in order.
        std::process::exit(EXIT_FORCED.into());
    };
    std::thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(wait))?;
    Ok(())
}
