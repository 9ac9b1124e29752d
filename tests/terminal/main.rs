//! The commands as people meet them in a terminal: the real binary, in pipes, in ptys and in tmux, against a real hub.

#![expect(clippy::unwrap_used, reason = "tests")]

mod colors;
mod completions;
mod manual;
mod no_escapes;
mod process;
mod progress;
mod pty;
mod publish_files;
mod state;
mod store_check;
#[allow(dead_code, reason = "shared with the promises, which use all of it")]
#[path = "../promises/support/mod.rs"]
mod support;
mod tmux;
mod top;
