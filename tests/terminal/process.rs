//! The binary in pipes.

use std::{
    ffi::OsStr,
    fs,
    io::Read,
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};

use super::support::{comes_true, eventually, hub::Hub};

/// The binary with these arguments, in pipes, and without the environment of whoever runs the tests.
pub(super) fn gapless(args: &[impl AsRef<OsStr>]) -> Command {
    // Who runs the tests may ignore signals, as `nohup` does.
    let mut command = Command::new("env");
    command.args(["--default-signal", env!("CARGO_BIN_EXE_gapless")]).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).env("TERM", "xterm-256color");
    for name in ["RUST_LOG", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "GAPLESS_TOKEN", "GAPLESS_URL"] {
        command.env_remove(name);
    }
    command
}

/// What a command prints into its pipes, and its exit code.
pub(super) fn output(command: &mut Command) -> Output {
    ended(command.spawn().unwrap())
}

/// Waits for the end of a process; what it printed into those pipes that nobody else reads.
pub(super) fn ended(mut child: Child) -> Output {
    let (out, err) = (child.stdout.take().map(read_all), child.stderr.take().map(read_all));
    let status = wait(&mut child);
    let bytes = |pipe: Option<thread::JoinHandle<Vec<u8>>>| pipe.map(|all| all.join().unwrap()).unwrap_or_default();
    Output { status, stdout: bytes(out), stderr: bytes(err) }
}

fn read_all(mut from: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        from.read_to_end(&mut all).unwrap();
        all
    })
}

/// Waits for the end of a process, which is killed when it takes too long.
pub(super) fn wait(child: &mut Child) -> ExitStatus {
    let mut status = None;
    comes_true(|| {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap_or_else(|| {
        child.kill().unwrap();
        panic!("it hangs")
    })
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Sends a signal to a process that runs the binary, once it does: `env`, which executes it, loses a signal that whoever
/// runs the tests ignores, as a job in the background ignores SIGINT.
pub(super) fn signal(child: &Child, signal: Signal) {
    let binary = fs::canonicalize(env!("CARGO_BIN_EXE_gapless")).unwrap();
    eventually("it is executed", || fs::read_link(format!("/proc/{}/exe", child.id())).is_ok_and(|exe| exe == binary));
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Publishes events with these data to a topic, in one request.
pub(super) fn publish_all(hub: &Hub, topic: &str, data: impl IntoIterator<Item = String>) {
    let event = |data| serde_json::json!({ "topic": topic, "data": data });
    let body = data.into_iter().map(event).collect::<serde_json::Value>().to_string();
    let answer = hub.post("/publish", &[("content-type", "application/json")], body.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
}
