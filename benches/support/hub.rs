//! The real binary as a process of its own, so that its CPU time and memory are its own.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use super::process::Used;

/// A running hub; drained and awaited when dropped.
pub(crate) struct Hub {
    pub(crate) address: SocketAddr,
    process: Child,
}

impl Hub {
    /// A hub with default settings over the store in `data`. Returns when it accepts connections.
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    /// The same with additional flags.
    pub(crate) fn start_with(data: &Path, flags: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--log-level", "error", "--data"]).arg(data).args(flags);
        Self::spawn(&mut command)
    }

    /// A hub by its command. Returns when it accepts connections.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the binary starts");
        let mut stdout = BufReader::new(process.stdout.take().expect("piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("it greets");
        let address = line.trim_end().rsplit_once("://").and_then(|(_, address)| address.parse().ok());
        // The pipe is kept open and read: a process that writes into a closed one would get EPIPE.
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        Self { address: address.expect("it greets with its address"), process }
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.process.kill().expect("ours");
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Seconds of CPU used so far, user and system, by all its threads. The kernel counts in ticks of 10 ms.
    pub(crate) fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).expect("it runs");
        // The process name may contain any character, so fields 14 and 15 of proc(5) are counted from its closing
        // bracket.
        let (_, fields) = stat.rsplit_once(')').expect("proc(5)");
        let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().expect("proc(5)"));
        ticks.sum::<f64>() / 100.0
    }

    /// CPU time used so far.
    pub(crate) fn used(&self) -> Used {
        Used::by([self.process.id()])
    }

    /// Open file descriptors.
    pub(crate) fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.process.id())).expect("it runs").count()
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident(&self) -> f64 {
        self.status("VmRSS:")
    }

    /// Peak resident memory, in bytes.
    pub(crate) fn peak(&self) -> f64 {
        self.status("VmHWM:")
    }

    fn status(&self, field: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("proc(5)");
        line.trim().trim_end_matches(" kB").parse::<f64>().expect("proc(5)") * 1024.0
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        // A bench that fails must still end its hub; errors no longer matter.
        let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
        let _ = self.process.wait();
    }
}
