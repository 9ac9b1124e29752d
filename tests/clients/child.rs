//! A child process that prints lines; killed when dropped.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{self, ChildStdin, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// A child process.
pub(crate) struct Child {
    process: process::Child,
    stdin: Option<ChildStdin>,
    lines: Arc<Mutex<Vec<String>>>,
}

/// Time for a child and its own children to end before it is killed.
const FAREWELL: Duration = Duration::from_secs(5);

impl Child {
    /// Starts `command`. Its stderr is the test's.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = started.unwrap_or_else(|error| panic!("{command:?}: {error}; run `make install`"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (stdout, kept) = (BufReader::new(process.stdout.take().unwrap()), Arc::clone(&lines));
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).for_each(|line| kept.lock().push(line)));
        Self { stdin: process.stdin.take(), process, lines }
    }

    /// The lines that it has printed so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().clone()
    }

    /// Writes a line to its stdin.
    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").expect("it reads");
    }

    /// The process's id.
    #[allow(dead_code, reason = "for the tests of the producers")]
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Sends it a signal by name.
    #[allow(dead_code, reason = "for the tests of the producers")]
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.pid().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Its exit code, once it has ended.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        self.process.try_wait().unwrap().map(|status| status.code().unwrap_or(-1))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.stdin = None;
        if let Ok(None) = self.process.try_wait() {
            let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        }
        let deadline = Instant::now() + FAREWELL;
        while matches!(self.process.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.process.kill();
                let _ = self.process.wait();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A path inside the project.
pub(crate) fn here(path: &str) -> String {
    format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))
}

/// The path of a program. Without it the test fails; no test passes by doing nothing.
pub(crate) fn tool(program: &str) -> String {
    let everywhere = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let places = everywhere.split(':').map(|place| Path::new(place).join(program));
    let found = places.into_iter().find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{program} is not here: run `make install`")).display().to_string()
}
