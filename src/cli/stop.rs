//! SIGINT, SIGTERM and SIGHUP, for commands that have something to finish before they end.

use std::{fmt, io};

use tokio::{signal::unix::SignalKind, sync::oneshot};

use crate::lifecycle::signals::{EXIT_FORCED, SignalHandlers};

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

/// Installs the handlers. The future completes at the first signal. The second one calls `before_exit` and ends the
/// process at once, also while its thread is blocked, as by a full pipe. A signal that the parent process chose to
/// ignore (`nohup`, a job in the background) stays ignored.
///
/// # Errors
/// When the system refuses a handler or the thread.
pub(super) fn listen(before_exit: fn()) -> io::Result<impl Future<Output = StopSignal>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut handlers = {
        let _context = runtime.enter();
        SignalHandlers::install(StopSignal::ALL.map(|stop| (stop, stop.kind())))?
    };
    let (sender, first) = oneshot::channel();
    let wait = async move {
        // A command that has ended meanwhile needs no signal.
        let _ended = sender.send(handlers.next().await);
        handlers.next().await;
        before_exit();
        std::process::exit(EXIT_FORCED.into());
    };
    std::thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(wait))?;
    Ok(async move {
        match first.await {
            Ok(signal) => signal,
            Err(_) => std::future::pending().await,
        }
    })
}
