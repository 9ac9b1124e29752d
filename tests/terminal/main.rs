//! The commands as people meet them in a terminal: the real binary, in pipes, in ptys and in tmux, against a real hub.

#![expect(clippy::unwrap_used, reason = "tests")]

mod colors;
mod completions;
mod manual;
mod no_escapes;
mod process;
mod progress;
mod publish_files;
mod state;
mod store_check;
#[allow(dead_code, reason = "shared with the promises, which use all of it")]
#[path = "../promises/support/mod.rs"]
mod support;
mod tmux;
mod top;

use std::process::{Command, Stdio};

use support::hub::Hub;

/// The URL of a hub.
fn url(hub: &Hub) -> String {
    format!("http://{}", hub.address)
}

/// The binary with these arguments, and without the environment of whoever runs the tests.
fn gapless(args: &[&str]) -> Command {
    // Who runs the tests may ignore signals, as `nohup` does.
    let mut command = Command::new("env");
    command.args(["--default-signal", env!("CARGO_BIN_EXE_gapless")]);
    for variable in ["GAPLESS_TOKEN", "GAPLESS_URL", "NO_COLOR"] {
        command.env_remove(variable);
    }
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}
