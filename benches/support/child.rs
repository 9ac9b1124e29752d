//! A server as a child process.

use std::{
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::process;

/// Longest time that a server may take to start, and to stop.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// A process that is terminated and awaited when dropped.
pub(crate) struct ChildProcess(Child);

impl ChildProcess {
    /// Starts a process; returns at once, or when it listens at `address`.
    ///
    /// # Errors
    /// Why it does not run.
    pub(crate) fn start(command: &mut Command, address: Option<SocketAddr>) -> Result<Self, String> {
        let mut running = Self(command.spawn().map_err(|error| error.to_string())?);
        if let Some(address) = address {
            running.listens(address, PATIENCE)?;
        }
        Ok(running)
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Reads the first line of its standard output, which must be piped and end with its address, unless that is
    /// `known`. The rest is read and dropped: a process that writes into a closed pipe would get EPIPE.
    pub(crate) fn address(&mut self, known: Option<SocketAddr>) -> Option<SocketAddr> {
        let mut stdout = BufReader::new(self.0.stdout.take().expect("piped"));
        let address = known.or_else(|| {
            let mut line = String::new();
            stdout.read_line(&mut line).expect("it greets");
            line.trim_end().rsplit_once("http://").and_then(|(_, text)| text.parse().ok())
        });
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        address
    }

    /// Waits until it accepts connections at `address`.
    ///
    /// # Errors
    /// When it has ended, or does not within `patience`.
    pub(crate) fn listens(&mut self, address: SocketAddr, patience: Duration) -> Result<(), String> {
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            if begun.elapsed() > patience || self.0.try_wait().is_ok_and(|ended| ended.is_some()) {
                return Err("does not listen".into());
            }
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        let all = process::tree(self.0.id());
        let tell = |pid: u32, signal| {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            // It may have ended meanwhile.
            let _ = pid.map(|pid| kill_process(pid, signal));
        };
        tell(self.0.id(), Signal::TERM);
        let begun = Instant::now();
        while self.0.try_wait().is_ok_and(|ended| ended.is_none()) {
            if begun.elapsed() > PATIENCE {
                for pid in &all {
                    tell(*pid, Signal::KILL);
                }
            }
            sleep(Duration::from_millis(10));
        }
    }
}

/// A port of the loopback.
pub(crate) fn local(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// Two ports that are free now.
pub(crate) fn free_ports() -> [u16; 2] {
    let held = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    held.map(|held| held.local_addr().expect("bound").port())
}
