//! Signal handling. SIGTERM and SIGINT: the first starts the drain, the second exits. SIGHUP: reload the configuration.

use std::{future::poll_fn, io, sync::Arc, task::Poll, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
};

use super::Drain;

/// Exit code after a second stop signal: 128 + SIGINT, as a shell shows it for Ctrl-C.
pub const EXIT_FORCED: u8 = 130;

/// Receives SIGHUP. Several signals before a call of [`Hangups::next`] count as one.
#[derive(Debug, Clone, Default)]
pub struct Hangups(Arc<Notify>);

impl Hangups {
    /// Waits for the next SIGHUP; one that arrived since the last call counts. Cancel safe.
    pub async fn next(&self) {
        self.0.notified().await;
    }
}

/// Handlers of some signals, each with a name of type `T`.
#[derive(Debug)]
pub struct SignalHandlers<T>(Vec<(T, Signal)>);

impl<T: Copy> SignalHandlers<T> {
    /// Installs the handlers, except for a signal that the parent process chose to ignore (`nohup`, a job in the
    /// background): it stays ignored. To be called in a tokio runtime.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn install(signals: impl IntoIterator<Item = (T, SignalKind)>) -> io::Result<Self> {
        let ignored = ignored_signals();
        let is_ignored = |kind: SignalKind| {
            let bit = 1u64.checked_shl(kind.as_raw_value().unsigned_abs() - 1).unwrap_or(0);
            ignored & bit != 0
        };
        let handled = signals.into_iter().filter(|(_, kind)| !is_ignored(*kind));
        handled.map(|(name, kind)| Ok((name, signal(kind)?))).collect::<io::Result<_>>().map(Self)
    }

    /// Waits for the next of the signals. Cancel safe.
    pub async fn next(&mut self) -> T {
        poll_fn(|cx| {
            for (name, handler) in &mut self.0 {
                if handler.poll_recv(cx).is_ready() {
                    return Poll::Ready(*name);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// The signals that this process ignores, as a mask whose lowest bit is signal 1; none where the system does not say.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Installs the signal handlers, and handles signals on a thread of its own, so that a second signal is handled even
/// when every other thread is blocked. The first stop signal begins `drain` with `grace`. The second calls
/// `before_exit` and exits the process with [`EXIT_FORCED`]: acknowledged events are durable, and streams resume.
/// SIGHUP is reported by the returned value.
///
/// # Errors
/// When the system refuses the thread or the signal handlers.
pub fn listen(drain: Drain, grace: Duration, before_exit: fn()) -> io::Result<Hangups> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut terminate, mut interrupt, mut hangup) = {
        let _context = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?)
    };
    let hangups = Hangups::default();
    let notifier = hangups.clone();
    let wait = async move {
        let mut next = async || {
            loop {
                tokio::select! {
                    _ = terminate.recv() => return "SIGTERM",
                    _ = interrupt.recv() => return "SIGINT",
                    _ = hangup.recv() => notifier.0.notify_one(),
                }
            }
        };
        let signal = next().await;
        tracing::info!(
            signal,
            grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
            "draining; a second signal exits at once"
        );
        drain.begin(grace);
        let signal = next().await;
        tracing::warn!(signal, "second signal: exiting without waiting for the drain");
        before_exit();
        // Do not end the drain first: another thread could then exit the process with code 0.
        std::process::exit(EXIT_FORCED.into());
    };
    std::thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(wait))?;
    Ok(hangups)
}
