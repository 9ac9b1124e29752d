//! What the process says about itself: lines on stderr.
//!
//! Fields are dotted (`topic`, `event.seq`, `client.addr`, `duration_ms`). Payloads, keys and credentials are never
//! logged. stdout is left to the commands' answers.

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{keys::Log, kinds::Format};

/// Sends the log to stderr. Once a process: a second call changes nothing.
pub fn init(log: &Log) {
    let filter = EnvFilter::try_new(&log.level).expect("checked by the configuration");
    // Its own complaints go to stderr, too, and panic when that has lost its reader: the thread that hears SIGTERM would be
    // gone before it begins the drain.
    let lines = fmt().with_env_filter(filter).with_writer(io::stderr).log_internal_errors(false);
    // An error says that a subscriber is there already, as it may be in tests.
    let _already = match log.format {
        Format::Text => lines.with_ansi(io::stderr().is_terminal()).try_init(),
        Format::Json => lines.json().flatten_event(true).try_init(),
    };
}
