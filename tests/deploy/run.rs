//! A tool that is run to its end.

use std::{
    io::{Read, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
};

use crate::{child::here, support::comes_true};

/// What it said.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Its stdout; fails unless it has ended with 0.
    pub(crate) fn sound(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self.stdout
    }
}

/// Runs `command` with `input`; kills it and fails when it takes too long.
pub(crate) fn run(command: &mut Command, input: &str) -> Ran {
    let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut process = started.unwrap_or_else(|error| panic!("{command:?}: {error}; run `make install`"));
    let (mut stdin, input) = (process.stdin.take().unwrap(), input.to_owned());
    // It may end without reading all of it.
    thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let stdout = collect(process.stdout.take().unwrap());
    let stderr = collect(process.stderr.take().unwrap());
    let mut status = None;
    let ended = comes_true(|| {
        status = process.try_wait().unwrap();
        status.is_some()
    });
    if !ended {
        let _ = process.kill();
        let _ = process.wait();
    }
    let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
    assert!(ended, "{command:?} hangs: {stdout}{stderr}");
    Ran { code: status.unwrap().code(), stdout, stderr }
}

fn collect(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A program that `tests/install.sh` puts below `target`. Without it the test fails; no test passes by doing nothing.
pub(crate) fn installed(path: &str) -> Command {
    let path = here(path);
    assert!(Path::new(&path).is_file(), "{path} is not here: run `make install`");
    Command::new(path)
}
