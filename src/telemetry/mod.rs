//! What the process says about itself: lines on stderr.
//!
//! Fields are dotted (`topic`, `event.seq`, `client.addr`, `duration_ms`). Payloads, keys and credentials are never
//! logged. stdout is left to the commands' answers.
//!
//! Nothing here waits for whoever reads stderr: see `queue`. A crate for that exists (tracing-appender); it does
//! not say in the log what it has dropped, and its end belongs to one owner, while a hub may end on several threads.

use std::{
    io::{self, IsTerminal},
    panic::PanicHookInfo,
    sync::OnceLock,
    time::Duration,
};

use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{keys::Log, kinds::LogFormat};

mod queue;

use queue::LogQueue;

/// How long the end of the process waits for its last lines: long enough for any reader that reads.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The process's log, once it is open.
static QUEUE: OnceLock<LogQueue> = OnceLock::new();

/// Sends the log to stderr, and panics with it. Once a process: a second call changes nothing.
///
/// # Errors
/// When the system refuses the thread that writes.
pub fn init(log: &Log) -> io::Result<()> {
    if QUEUE.get().is_some() {
        return Ok(());
    }
    let queue = LogQueue::start(io::stderr())?;
    let queue = QUEUE.get_or_init(|| queue).clone();
    let filter = EnvFilter::try_new(&log.level).expect("checked by the configuration");
    let lines = fmt().with_env_filter(filter).with_writer(queue).log_internal_errors(false);
    // An error says that a subscriber is there already, as it may be in tests.
    let _already = match log.format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    // The hook that is there by itself writes to stderr and waits for its reader.
    std::panic::set_hook(Box::new(tell_panic));
    Ok(())
}

/// Lines of the log that nobody took in time, since the process began.
#[must_use]
pub fn dropped() -> u64 {
    QUEUE.get().map_or(0, LogQueue::dropped)
}

/// Waits for the last lines, for a second at most. To be called before the process exits.
pub fn flush() {
    if let Some(queue) = QUEUE.get() {
        queue.flush(LAST_LINES);
    }
}

/// Says `text` on stderr as it is, after the lines of the log, without waiting for a reader. Answers with whether the log is open.
pub fn say(text: String) -> bool {
    let open = QUEUE.get();
    if let Some(queue) = open {
        queue.push(text.into_bytes());
    }
    open.is_some()
}

fn tell_panic(panic: &PanicHookInfo<'_>) {
    let said = panic.payload_as_str().unwrap_or("it says nothing");
    // What RUST_BACKTRACE asks for.
    let backtrace = std::backtrace::Backtrace::capture();
    let thread = std::thread::current();
    tracing::error!(
        thread = thread.name().unwrap_or("unnamed"),
        place = panic.location().map(tracing::field::display),
        backtrace = (backtrace.status() == std::backtrace::BacktraceStatus::Captured)
            .then(|| tracing::field::display(&backtrace)),
        "panicked: {said}"
    );
}
