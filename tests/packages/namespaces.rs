//! Processes in namespaces of their own, with another root: what a container engine does, by util-linux alone.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
};

use rustix::process::{Pid, Signal, kill_process};

use super::support::eventually;

/// The first process of its namespaces; everything in them is killed when this is dropped.
pub(crate) struct Namespaces {
    unshare: Child,
    /// The first process, as this machine numbers it.
    pid: u32,
}

/// Whether this machine lets us make namespaces. Says so once when it does not.
pub(crate) fn are_allowed() -> bool {
    static ALLOWED: OnceLock<bool> = OnceLock::new();
    *ALLOWED.get_or_init(|| {
        let tried = Command::new("unshare").args(["--mount", "--pid", "--fork", "--net", "--cgroup", "true"]).output();
        let allowed = rustix::process::geteuid().is_root() && tried.is_ok_and(|out| out.status.success());
        if !allowed {
            eprintln!("skipped: it needs root and namespaces");
        }
        allowed
    })
}

/// A directory on a disk: the system's temporary one may be in memory.
pub(crate) fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

impl Namespaces {
    /// Runs `script` with these arguments as `$0`, `$1` and so on. What it becomes by `exec` is the first process.
    pub(crate) fn start(before: &str, script: &str, arguments: &[&Path], log: &Path) -> Self {
        let unshare =
            "exec unshare --mount --pid --fork --net --uts --ipc --cgroup --kill-child=KILL --mount-proc sh -ec";
        let log = fs::File::create(log).unwrap();
        let unshare = Command::new("sh")
            .args(["-ec", &format!("{before}\n{unshare} \"$@\""), "sh", script])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let children = PathBuf::from(format!("/proc/{0}/task/{0}/children", unshare.id()));
        let mut pid = None;
        eventually("the first process starts", || {
            let text = fs::read_to_string(&children).unwrap_or_default();
            pid = text.split_whitespace().next().and_then(|pid| pid.parse().ok());
            pid.is_some()
        });
        Self { unshare, pid: pid.unwrap() }
    }

    /// The first process, as this machine numbers it.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Runs a program in there, for at most a minute.
    pub(crate) fn output(&self, program: &[&str]) -> Output {
        let pid = self.pid.to_string();
        let mut command = Command::new("timeout");
        command.args(["--kill-after=1", "60", "nsenter", "--target", &pid]);
        command.args(["--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup", "--root", "--wd=/"]).args(program);
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Runs a program that must succeed; returns its stdout.
    pub(crate) fn run(&self, program: &[&str]) -> String {
        let out = self.output(program);
        let (stdout, stderr) = (String::from_utf8(out.stdout).unwrap(), String::from_utf8_lossy(&out.stderr));
        assert!(out.status.success(), "{program:?}: {}\n{stdout}{stderr}", out.status);
        stdout
    }

    /// Waits for the end of the first process; returns its exit code.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let mut status = None;
        eventually("the first process ends", || {
            status = self.unshare.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code()
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        // The end of the first process is that of everything else. The kernel would kill it with unshare, but not where it has
        // changed its user. While unshare runs, it has not been waited for, and its number is its own.
        if matches!(self.unshare.try_wait(), Ok(None)) {
            let _gone = Pid::from_raw(self.pid.cast_signed()).map(|pid| kill_process(pid, Signal::KILL));
        }
        let _gone = self.unshare.kill();
        let _status = self.unshare.wait();
    }
}
