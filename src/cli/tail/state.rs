//! The file of `--state`: the id of the last event that was printed, so that the next `tail` continues after it.
//!
//! The file is replaced in one step (written to `FILE.new`, made durable, renamed), and only after the events up to
//! its id were written to stdout; those in a regular file are made durable before. So the file is never ahead of the
//! output: after `kill -9` events may be printed twice, and none is lost. `FILE.lock` is locked while a `tail` uses the
//! file; it stays, because removing it could give two processes a lock each.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::{FileType, fdatasync, fstat};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{cli::CliError, event::EventId};

/// Shortest time between two writes while events arrive: four a second, because each waits for the disk, and after
/// `kill -9` at most the events of this time are printed again.
const INTERVAL: Duration = Duration::from_millis(250);

/// Longest file that is read: the topics of the longest command line fit.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// The version of the format.
const VERSION: u32 = 1;

/// A state file, locked while this value exists.
#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    topics: Vec<String>,
    /// The position that the file has.
    saved: Option<String>,
    /// When it was last written.
    written: Option<Instant>,
    /// stdout, if it is a regular file.
    output: Option<OwnedFd>,
    /// Open, so that the lock is held.
    _lock: File,
}

/// The content of the file.
#[derive(Debug, Serialize, Deserialize)]
struct TailState {
    version: u32,
    /// The selection, sorted and each once.
    topics: Vec<String>,
    last_event_id: String,
}

impl StateFile {
    /// Locks and reads the file at `path`, if there is one. `output` is stdout.
    ///
    /// # Errors
    /// When the file is in use, malformed, of another selection, or cannot be read.
    pub(super) fn open(path: &Path, topics: &[String], output: impl AsFd) -> Result<Self, CliError> {
        let unusable = |problem: String| CliError::State { path: path.into(), problem };
        // The file that a link leads to is the one that is replaced and locked.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.into());
        let lock = lock(&beside(&path, ".lock")).map_err(unusable)?;
        let topics = normalized(topics);
        let saved = match read(&path) {
            Ok(text) => Some(position(&text, &topics).map_err(unusable)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(unusable(format!("it cannot be read: {error}"))),
        };
        let output = output.as_fd();
        let is_file = fstat(output).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
        let output = if is_file { output.try_clone_to_owned().ok() } else { None };
        Ok(Self { path, topics, saved, written: None, output, _lock: lock })
    }

    /// The id after which to continue; `None` at the first start.
    pub(super) fn position(&self) -> Option<&str> {
        self.saved.as_deref()
    }

    /// When `position` is to be saved: `None` if the file has it already.
    pub(super) fn due(&self, position: Option<&str>) -> Option<Instant> {
        let is_new = position.is_some() && position != self.saved.as_deref();
        is_new.then(|| self.written.map_or_else(Instant::now, |written| written + INTERVAL))
    }

    /// Saves `position`, whose events are written to stdout, unless the file has it already.
    ///
    /// # Errors
    /// When stdout or the file cannot be made durable. The file then has the position before.
    pub(super) fn save(&mut self, position: Option<&str>) -> Result<(), CliError> {
        let Some(position) = position.filter(|position| Some(*position) != self.saved.as_deref()) else {
            return Ok(());
        };
        if let Some(output) = &self.output {
            fdatasync(output).map_err(|error| CliError::output(error.into()))?;
        }
        self.replace(position).map_err(|error| CliError::State {
            path: self.path.clone(),
            problem: format!("it cannot be written: {error}; it has the position before"),
        })?;
        self.saved = Some(position.into());
        self.written = Some(Instant::now());
        Ok(())
    }

    fn replace(&self, position: &str) -> io::Result<()> {
        let state = TailState { version: VERSION, topics: self.topics.clone(), last_event_id: position.into() };
        let mut text = serde_json::to_string(&state)?;
        text.push('\n');
        let new = beside(&self.path, ".new");
        let mut file = File::create(&new)?;
        file.write_all(text.as_bytes())?;
        // Else the file may be empty after a power failure.
        file.sync_data()?;
        fs::rename(new, &self.path)
    }
}

/// The path with `ending` appended to its name.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

fn lock(path: &Path) -> Result<File, String> {
    let file = File::options().create(true).append(true).open(path);
    let file = file.map_err(|error| format!("{} cannot be opened: {error}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err("another `gapless tail` uses it; give each its own".into()),
        Err(TryLockError::Error(error)) => Err(format!("{} cannot be locked: {error}", path.display())),
    }
}

fn read(path: &Path) -> io::Result<String> {
    // Opening a pipe would wait for its writer.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut text = String::new();
    File::open(path)?.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// The topics sorted, each once: the order on the command line does not change a selection.
fn normalized(topics: &[String]) -> Vec<String> {
    let mut topics = topics.to_vec();
    topics.sort_unstable();
    topics.dedup();
    topics
}

/// The position in a file's `text`; else what is wrong with it.
fn position(text: &str, topics: &[String]) -> Result<String, String> {
    const ADVICE: &str = "nothing was read or changed; restore the file, or remove it to start where --from says";
    let malformed = |what: &dyn std::fmt::Display| format!("it is not a state of `gapless tail` ({what}); {ADVICE}");
    let state: TailState = serde_json::from_str(text).map_err(|error| malformed(&error))?;
    if state.version != VERSION {
        return Err(malformed(&format_args!("its version is {}, not {VERSION}", state.version)));
    }
    if EventId::parse(&state.last_event_id).is_none() {
        return Err(malformed(&format_args!("{:?} is not an id", state.last_event_id)));
    }
    if normalized(&state.topics) != topics {
        return Err(format!(
            "it is of {}, not of {}; give another file, or remove it to start where --from says",
            state.topics.join(" "),
            topics.join(" ")
        ));
    }
    Ok(state.last_event_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Directory(tempfile::TempDir);

    impl Directory {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("a directory"))
        }

        fn path(&self) -> PathBuf {
            self.0.path().join("state")
        }

        fn open(&self, topics: &[&str]) -> Result<StateFile, CliError> {
            let topics: Vec<String> = topics.iter().map(|&topic| topic.into()).collect();
            StateFile::open(&self.path(), &topics, io::stdin())
        }

        fn refused(&self, topics: &[&str]) -> String {
            self.open(topics).expect_err("unusable").to_string()
        }
    }

    #[test]
    fn the_saved_position_is_read_again_for_the_same_selection_only() {
        let directory = Directory::new();
        let mut state = directory.open(&["b", "a", "b"]).expect("new");
        assert_eq!(state.position(), None);
        state.save(None).expect("nothing to save");
        assert!(!directory.path().exists());
        state.save(Some("abcd-7")).expect("saved");
        assert_eq!((state.position(), state.due(Some("abcd-7")), state.due(None)), (Some("abcd-7"), None, None));
        drop(state);
        assert_eq!(directory.open(&["a", "b"]).expect("the same").position(), Some("abcd-7"));
        let message = directory.refused(&["a", "c/*"]);
        assert!(message.contains("it is of a b, not of a c/*; give another file"), "{message}");
    }

    #[test]
    fn a_file_in_use_is_refused_also_under_another_name() {
        let directory = Directory::new();
        let mut state = directory.open(&["a"]).expect("new");
        assert!(directory.refused(&["a"]).contains("another `gapless tail` uses it"));
        state.save(Some("abcd-1")).expect("saved");
        let link = directory.0.path().join("link");
        std::os::unix::fs::symlink(directory.path(), &link).expect("a link");
        let message = StateFile::open(&link, &["a".into()], io::stdin()).expect_err("in use").to_string();
        assert!(message.contains("another `gapless tail` uses it"), "{message}");
    }

    #[test]
    fn a_malformed_file_is_refused_and_kept() {
        for text in [
            "",
            "{",
            "[]",
            "abcd-1",
            r#"{"version":1,"topics":["a"]}"#,
            r#"{"version":1,"topics":["a"],"last_event_id":null}"#,
            r#"{"version":1,"topics":["a"],"last_event_id":"yesterday"}"#,
            r#"{"version":2,"topics":["a"],"last_event_id":"abcd-1"}"#,
        ] {
            let directory = Directory::new();
            fs::write(directory.path(), text).expect("written");
            let message = directory.refused(&["a"]);
            assert!(message.contains("is not a state of `gapless tail`") && message.contains("--from"), "{message}");
            assert_eq!(fs::read_to_string(directory.path()).expect("kept"), text);
        }
        let directory = Directory::new();
        fs::create_dir(directory.path()).expect("made");
        assert!(directory.refused(&["a"]).contains("is not a regular file"));
    }

    #[test]
    fn a_partial_new_file_of_a_killed_process_is_replaced() {
        let directory = Directory::new();
        fs::write(beside(&directory.path(), ".new"), "{\"version\":1,".repeat(20)).expect("written");
        let mut state = directory.open(&["a"]).expect("new");
        state.save(Some("abcd-1")).expect("saved");
        drop(state);
        assert_eq!(directory.open(&["a"]).expect("whole").position(), Some("abcd-1"));
    }

    #[test]
    fn a_file_that_cannot_be_written_is_an_error_and_keeps_its_position() {
        let directory = Directory::new();
        let mut state = directory.open(&["a"]).expect("new");
        state.save(Some("abcd-1")).expect("saved");
        fs::create_dir(beside(&directory.path(), ".new")).expect("in the way");
        let message = state.save(Some("abcd-2")).expect_err("no file").to_string();
        assert!(message.contains("cannot be written"), "{message}");
        assert_eq!(state.position(), Some("abcd-1"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_file_is_written_at_most_four_times_a_second() {
        let directory = Directory::new();
        let mut state = directory.open(&["a"]).expect("new");
        assert_eq!(state.due(Some("abcd-1")), Some(Instant::now()));
        state.save(Some("abcd-1")).expect("saved");
        assert_eq!(state.due(Some("abcd-2")), Some(Instant::now() + INTERVAL));
    }
}
