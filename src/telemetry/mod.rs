//! The log: lines on stderr.
//!
//! Field names are dotted (`topic`, `event.seq`, `client.addr`, `duration_ms`). Payloads, keys and credentials are
//! never logged. stdout is left to the output of commands.
//!
//! Logging never blocks on the reader of stderr: see `queue`. We do not use tracing-appender, because it does not
//! report dropped lines in the log, and its guard has one owner, while the hub may exit on several threads.

use std::{
    io::{self, IsTerminal},
    panic::PanicHookInfo,
    sync::OnceLock,
    time::Duration,
};

use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{keys::Log, kinds::LogFormat};

pub mod colors;
mod queue;

use queue::LogQueue;

/// How long the exit of the process waits for room in the queue, and again until the last lines are written: long
/// enough for any active reader.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Enables the lines about finished requests and streams, whatever the level is. Whether they are written is up to
/// `http/api/request_log.rs`, because a reload may change `log.requests`.
const REQUESTS: &str = "gapless::requests=info";

/// The client of NATS tells as information what the hub tells in its own words. `log.level` may ask for more.
const QUIET: &str = "async_nats=warn";

/// The log queue of the process, once it is initialised.
static QUEUE: OnceLock<LogQueue> = OnceLock::new();

/// Starts the log on stderr, which it writes through `out`, and sends panics to it. Once per process: later calls have
/// no effect.
///
/// # Errors
/// When the system refuses the thread that writes.
pub fn init(log: &Log, out: impl io::Write + Send + 'static) -> io::Result<()> {
    if QUEUE.get().is_some() {
        return Ok(());
    }
    let queue = LogQueue::start(out)?;
    let queue = QUEUE.get_or_init(|| queue).clone();
    let filter = EnvFilter::try_new(format!("{QUIET},{}", log.level)).expect("checked by the configuration");
    let filter = filter.add_directive(REQUESTS.parse().expect("a directive"));
    let lines = fmt().with_env_filter(filter).with_writer(queue).log_internal_errors(false);
    // An error means that a subscriber is already set, as may be the case in tests.
    let _already = match log.format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal() && colors::are_wanted()).try_init(),
        LogFormat::Json => {
            // The list of spans has the current one, too.
            lines.json().flatten_event(true).with_current_span(false).try_init()
        }
    };
    // The default hook writes to stderr and blocks on its reader.
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Log lines dropped since the process started, because stderr was not read in time.
#[must_use]
pub fn dropped() -> u64 {
    QUEUE.get().map_or(0, LogQueue::dropped)
}

/// Waits until the queued lines are written, for about two seconds at most. Call it before the process exits.
pub fn flush() {
    if let Some(queue) = QUEUE.get() {
        queue.flush(LAST_LINES);
    }
}

/// Writes `text` to stderr as it is, after the queued log lines, without blocking. Returns whether the log is
/// initialised; if not, nothing is written.
pub fn say(text: String) -> bool {
    let queue = QUEUE.get();
    if let Some(queue) = queue {
        queue.push(text.into_bytes());
    }
    queue.is_some()
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("no message");
    // Empty unless RUST_BACKTRACE asks for it.
    let backtrace = std::backtrace::Backtrace::capture();
    let thread = std::thread::current();
    tracing::error!(
        thread = thread.name().unwrap_or("unnamed"),
        place = panic.location().map(tracing::field::display),
        backtrace = (backtrace.status() == std::backtrace::BacktraceStatus::Captured)
            .then(|| tracing::field::display(&backtrace)),
        "panicked: {message}"
    );
}
