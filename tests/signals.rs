//! SIGTERM and SIGINT, on a real process: this test's own binary, started again.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Duration,
};

use gapless::lifecycle::{Drain, DrainOutcome, signals};
use rustix::process::{Pid, Signal, kill_process};

const CHILD: &str = "GAPLESS_TEST_CHILD";

/// A process that drains on a signal; with `mode` `stuck` a guard is never dropped.
fn child(mode: &str) {
    let drain = Drain::new();
    let guard = (mode == "stuck").then(|| drain.guard());
    signals::listen(drain.clone(), Duration::from_hours(1), || {}).expect("signals");
    println!("\nready");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let outcome = runtime.block_on(async {
        drain.begun().await;
        println!("draining");
        drain.settled().await
    });
    drop(guard);
    std::process::exit(i32::from(outcome != DrainOutcome::Complete));
}

/// A bound on every wait, far above what it takes, so that a hang fails the test.
const PATIENCE: Duration = Duration::from_secs(20);

struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    fn start(test: &str, mode: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this binary"))
            .args(["--exact", "--nocapture", test])
            .env(CHILD, mode)
            .stdout(Stdio::piped())
            .spawn()
            .expect("this binary starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut process = Self { child, lines: receiver };
        process.wait_for("ready");
        process
    }

    fn wait_for(&mut self, wanted: &str) {
        while self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("it is never {wanted}")) != wanted {}
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("our own child");
    }

    fn exit_code(&mut self) -> Option<i32> {
        // Its stdout closes when it ends.
        while let heard = self.lines.recv_timeout(PATIENCE)
            && heard != Err(RecvTimeoutError::Disconnected)
        {
            assert_ne!(heard, Err(RecvTimeoutError::Timeout), "it does not end");
        }
        self.child.wait().expect("our own child").code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Also after a failed test; killing a child that has ended fails, which is fine.
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

#[test]
fn the_first_signal_drains_in_order() {
    if let Ok(mode) = std::env::var(CHILD) {
        return child(&mode);
    }
    for signal in [Signal::TERM, Signal::INT] {
        let mut process = Process::start("the_first_signal_drains_in_order", "idle");
        process.signal(signal);
        assert_eq!(process.exit_code(), Some(0));
    }
}

#[test]
fn the_second_signal_ends_at_once_whatever_is_left() {
    if let Ok(mode) = std::env::var(CHILD) {
        return child(&mode);
    }
    for second in [Signal::TERM, Signal::INT] {
        let mut process = Process::start("the_second_signal_ends_at_once_whatever_is_left", "stuck");
        process.signal(Signal::TERM);
        process.wait_for("draining");
        process.signal(second);
        assert_eq!(process.exit_code(), Some(i32::from(signals::EXIT_FORCED)));
    }
}
