//! A hub does not depend on readers of its stderr and stdout.

use std::{
    io::{self, BufRead, BufReader, PipeReader, PipeWriter, Read, Write},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use parking_lot::Mutex;
use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    process::{Pid, Signal, kill_process},
};

use super::support::{eventually, wire};

/// A hub whose stderr is a pipe of the test.
struct LoggingHub {
    process: Child,
    address: SocketAddr,
    _store: tempfile::TempDir,
}

impl LoggingHub {
    fn start(stderr: &PipeWriter) -> Self {
        let store = tempfile::tempdir().unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_gapless"))
            // One line for each connection that ends early, logged by its shard.
            .args(["--listen", "127.0.0.1:0", "--log-level", "debug", "--data"])
            .arg(store.path().join("data"))
            .stdout(Stdio::piped())
            .stderr(stderr.try_clone().unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit_once("http://").unwrap().1.parse().unwrap();
        Self { process, address, _store: store }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Makes it write lines until it has dropped some.
    fn overflow(&self) {
        eventually("lines are dropped", || {
            for _ in 0..200 {
                wire::drained(&wire::send(self.address, b"no HTTP\r\n\r\n"));
            }
            let stats = wire::request(self.address, "GET", "/admin/stats", &[], b"").json();
            stats["log_lines_dropped_total"].as_u64().unwrap() > 0
        });
    }

    fn exit_code(&mut self) -> Option<i32> {
        let mut status = None;
        eventually("the process ends", || {
            status = self.process.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code()
    }
}

impl Drop for LoggingHub {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Fills a pipe completely: the next write blocks.
fn fill(pipe: &mut PipeWriter) {
    let flags = fcntl_getfl(&pipe).unwrap();
    fcntl_setfl(&pipe, flags | OFlags::NONBLOCK).unwrap();
    while pipe.write(b"x").is_ok() {}
    fcntl_setfl(&pipe, flags).unwrap();
}

#[test]
fn a_hub_whose_stderr_nobody_reads_goes_on_and_drains() {
    let (_unread, mut stderr) = io::pipe().unwrap();
    let mut hub = LoggingHub::start(&stderr);
    let mut stream = wire::watch(hub.address, "topic=t", None);
    fill(&mut stderr);
    hub.overflow();
    hub.signal(Signal::HUP);
    assert_eq!(wire::request(hub.address, "GET", "/healthz", &[], b"").status, 200);
    let receipt = wire::request(hub.address, "POST", "/publish?topic=t", &[], b"heard");
    assert_eq!((receipt.status, stream.data(1)), (200, vec!["heard".to_owned()]));
    hub.signal(Signal::TERM);
    assert_eq!(hub.exit_code(), Some(0));
}

#[test]
fn a_log_that_is_read_again_says_how_many_lines_it_lacks_and_ends_with_the_last_one() {
    let (unread, mut stderr) = io::pipe().unwrap();
    let mut hub = LoggingHub::start(&stderr);
    fill(&mut stderr);
    hub.overflow();
    let log = Arc::new(Mutex::new(Vec::new()));
    collect(unread, Arc::clone(&log));
    eventually("it says so", || String::from_utf8_lossy(&log.lock()).contains("log lines were dropped"));
    hub.signal(Signal::TERM);
    assert_eq!(hub.exit_code(), Some(0));
    drop(stderr);
    eventually("its last line comes", || String::from_utf8_lossy(&log.lock()).contains("ended"));
}

fn collect(mut pipe: PipeReader, into: Arc<Mutex<Vec<u8>>>) {
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(read) = pipe.read(&mut piece) {
            if read == 0 {
                return;
            }
            into.lock().extend_from_slice(&piece[..read]);
        }
    });
}

#[test]
fn a_greeting_that_nobody_reads_keeps_no_hub_from_serving_and_ending() {
    let (_unread, mut stdout) = io::pipe().unwrap();
    fill(&mut stdout);
    let store = tempfile::tempdir().unwrap();
    let socket = store.path().join("hub");
    let process = Command::new(env!("CARGO_BIN_EXE_gapless"))
        .args(["--listen", &format!("127.0.0.1:0,unix:{}", socket.display()), "--engine", "memory"])
        .stdout(stdout)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut hub = LoggingHub { process, address: ([127, 0, 0, 1], 0).into(), _store: store };
    eventually("it serves", || std::os::unix::net::UnixStream::connect(&socket).is_ok());
    hub.signal(Signal::TERM);
    assert_eq!(hub.exit_code(), Some(0));
}
