//! SIGINT, SIGTERM and SIGHUP, for commands that have something to finish before they end.

use std::{fmt, io};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

/// A signal that asks the process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM: a service manager, or `kill`.
    Terminate,
    /// SIGHUP: the terminal is gone.
    Hangup,
}

impl StopSignal {
    const ALL: [Self; 3] = [Self::Interrupt, Self::Terminate, Self::Hangup];

    /// The exit code after an orderly end: 0 for SIGTERM, because the process did what its manager asked for; for the
    /// others 128 plus the signal's number, so that a script that was interrupted does not continue.
    pub(super) fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 0,
            Self::Hangup => 129,
        }
    }

    fn kind(self) -> SignalKind {
        match self {
            Self::Interrupt => SignalKind::interrupt(),
            Self::Terminate => SignalKind::terminate(),
            Self::Hangup => SignalKind::hangup(),
        }
    }
}

impl fmt::Display for StopSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
            Self::Hangup => "SIGHUP",
        })
    }
}

/// Exit code after a second signal: that of SIGINT, also for the others, because the end was not orderly.
const FORCED: i32 = 130;

/// Installs the handlers. The future completes at the first signal. The second one calls `before_exit` and ends the
/// process at once, also while its thread is blocked, as by a full pipe. A signal that the parent process chose to
/// ignore (`nohup`, a job in the background) stays ignored.
///
/// # Errors
/// When the system refuses a handler or the thread.
pub(super) fn listen(before_exit: fn()) -> io::Result<impl Future<Output = StopSignal>> {
    let ignored = ignored_signals();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut handlers = Vec::new();
    {
        let _context = runtime.enter();
        for stop in StopSignal::ALL {
            let bit = 1u64.checked_shl(stop.kind().as_raw_value().unsigned_abs() - 1).unwrap_or(0);
            if ignored & bit == 0 {
                handlers.push((stop, signal(stop.kind())?));
            }
        }
    }
    let (sender, first) = oneshot::channel();
    let wait = async move {
        // A command that has ended meanwhile needs no signal.
        let _ended = sender.send(next(&mut handlers).await);
        next(&mut handlers).await;
        before_exit();
        std::process::exit(FORCED);
    };
    std::thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(wait))?;
    Ok(async move {
        match first.await {
            Ok(signal) => signal,
            Err(_) => std::future::pending().await,
        }
    })
}

/// Waits for the next of the signals.
async fn next(handlers: &mut [(StopSignal, Signal)]) -> StopSignal {
    std::future::poll_fn(|cx| {
        for (stop, handler) in &mut *handlers {
            if handler.poll_recv(cx).is_ready() {
                return std::task::Poll::Ready(*stop);
            }
        }
        std::task::Poll::Pending
    })
    .await
}

/// The signals that this process ignores, as a mask whose lowest bit is signal 1; none where the system does not say.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
