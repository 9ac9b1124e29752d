//! The files of `--file`, or stdin, and the progress of publishing them.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::AsFd,
    path::PathBuf,
    sync::Arc,
    time::Instant,
};

use crate::{
    cli::{
        CliError,
        progress::{is_drawn, per_second},
        text::visible,
    },
    progress::WorkProgress,
};

/// What becomes an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EventUnit {
    /// Each line of the input.
    Line,
    /// Each file.
    File,
}

/// The files to publish, in order. Without `--file` it is stdin alone.
pub(super) struct InputFiles(pub(super) Vec<InputFile>);

/// A file to publish.
pub(super) struct InputFile {
    /// `-` for stdin.
    pub(super) path: PathBuf,
    /// Its size in bytes; `None` when it is not a regular file.
    size: Option<u64>,
    named: bool,
}

impl InputFiles {
    /// The files at `paths`; stdin when there are none.
    ///
    /// # Errors
    /// When one does not exist or is a directory, before anything is published.
    pub(super) fn of(paths: &[PathBuf]) -> Result<Self, CliError> {
        let stdin = || File::from(io::stdin().as_fd().try_clone_to_owned()?).metadata();
        if paths.is_empty() {
            let size = stdin().ok().filter(std::fs::Metadata::is_file).map(|meta| meta.len());
            return Ok(Self(vec![InputFile { path: "-".into(), size, named: false }]));
        }
        let file = |path: &PathBuf| {
            let meta = if path.as_os_str() == "-" { stdin() } else { path.metadata() };
            let meta =
                meta.and_then(|meta| if meta.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(meta) });
            let meta = meta.map_err(|reason| CliError::File { path: path.clone(), reason })?;
            Ok(InputFile { path: path.clone(), size: meta.is_file().then_some(meta.len()), named: true })
        };
        paths.iter().map(file).collect::<Result<_, _>>().map(Self)
    }

    /// The only file, to be read.
    pub(super) fn open_only(&self) -> Result<Box<dyn Read>, CliError> {
        let file = &self.0[0];
        file.open().map_err(|reason| CliError::File { path: file.path.clone(), reason })
    }

    /// The progress of publishing them, when it is drawn and their size is known.
    pub(super) fn progress(&self) -> Option<Arc<WorkProgress>> {
        let total = self.0.iter().map(|file| file.size).sum::<Option<u64>>()?;
        let progress = Arc::new(WorkProgress::default());
        progress.begin("publishing", total);
        is_drawn().then_some(progress)
    }
}

impl InputFile {
    pub(super) fn open(&self) -> io::Result<Box<dyn Read>> {
        if self.path.as_os_str() == "-" {
            return Ok(Box::new(io::stdin()));
        }
        Ok(Box::new(File::open(&self.path)?))
    }

    /// Its name in messages; `None` for a stdin that was not asked for by name.
    pub(super) fn name(&self) -> Option<String> {
        self.named.then(|| self.path.display().to_string())
    }
}

/// What is known of the publishing so far.
pub(super) struct PublishedCount {
    progress: Option<Arc<WorkProgress>>,
    begun: Instant,
    events: u64,
}

impl PublishedCount {
    pub(super) fn new(progress: Option<Arc<WorkProgress>>) -> Self {
        Self { progress, begun: Instant::now(), events: 0 }
    }

    /// Counts `events` that have an outcome and took `bytes` of the input, of which the last one is in `file`.
    pub(super) fn add(&mut self, events: u64, bytes: u64, file: impl FnOnce() -> Option<String>) {
        let Some(progress) = &self.progress else { return };
        self.events += events;
        progress.add(bytes);
        let rate = per_second(self.events, self.begun.elapsed());
        // Numbers first: a narrow terminal cuts the end.
        let file = file().map(|path| format!(" in {}", visible(path.rsplit('/').next().unwrap_or(&path))));
        progress.step(format!("{} events ({rate}/s){}", self.events, file.unwrap_or_default()));
    }
}
