//! Makes a store of an export.

use std::{fs::File, io::BufReader, path::Path, time::SystemTime};

use super::backup::restore::is_before;
use crate::{
    engine::sled::{FirstEvents, OpenError, RestoreError, RestoredStore, StoreImporter},
    event::{Epoch, Millis},
    export::{
        ExportError,
        reader::{ExportItem, ExportReader},
    },
    progress::WorkProgress,
};

/// Why there is no store. What was written is none, and is removed by the next attempt.
#[derive(Debug, thiserror::Error)]
pub enum StoreImportError {
    /// The export is not valid, or cannot be read.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The store cannot be made.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// There is nothing to import.
    #[error("the export has no events; a new store needs none: start the hub")]
    Empty,
    /// The machine's clock is wrong: by it the ids are chosen that are not given out again.
    #[error(
        "this machine's clock is before the time at which the export was made, {0}; set it, so that no id is given out twice"
    )]
    Clock(String),
}

impl StoreImportError {
    /// The exit code of the command: 75 (`EX_TEMPFAIL`) when another process uses the directory.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Restore(RestoreError::Open(OpenError::Locked { .. })) => 75,
            _ => 1,
        }
    }
}

/// What was imported, in words.
#[derive(Debug)]
pub struct StoreImportReport {
    epoch: Epoch,
    store: RestoredStore,
}

impl std::fmt::Display for StoreImportReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { epoch, store: RestoredStore { head, next, events, .. } } = self;
        writeln!(f, "imported {events} events with their ids, up to {epoch}-{}", head.0)?;
        writeln!(
            f,
            "the next id is {epoch}-{}: those between may have been given out since the export, and are not given out again",
            next.0
        )
    }
}

/// Makes a store in the directory `data`, which holds none, of the export `from`. Its events keep their ids and times. Blocks.
/// Counts bytes in `progress`.
///
/// # Errors
/// Why there is no store. It may be repeated.
pub fn import_export(from: &Path, data: &Path, progress: &WorkProgress) -> Result<StoreImportReport, StoreImportError> {
    let opened = File::open(from).and_then(|file| file.metadata().map(|metadata| (file, metadata.len())));
    let (file, length) = opened.map_err(|reason| ExportError::Io { path: from.into(), reason })?;
    let mut reader = ExportReader::open(BufReader::new(file))?;
    let (header, through) = (reader.header(), reader.through());
    if is_before(Millis::from(SystemTime::now()), &header.made) {
        return Err(StoreImportError::Clock(header.made.clone()));
    }
    let begins = if header.from == "earliest" { FirstEvents::First } else { FirstEvents::AfterOthers };
    progress.begin("importing", length);
    let mut importer = StoreImporter::begin(data, through.epoch, begins)?;
    let (mut has_events, mut at) = (false, 0);
    while let Some(item) = reader.read()? {
        match item {
            ExportItem::Event(_, event) => {
                has_events = true;
                importer.add(event)?;
            }
            ExportItem::Gap(Some(topic)) => importer.gap(topic),
            // Nothing is left of its topic, and the store tells everybody of topics that it does not have.
            ExportItem::Gap(None) => {}
            ExportItem::Closed(topic) => importer.close_topic(&topic),
        }
        progress.add(reader.bytes() - at);
        at = reader.bytes();
    }
    if !has_events {
        return Err(StoreImportError::Empty);
    }
    progress.step("making it durable");
    Ok(StoreImportReport { epoch: through.epoch, store: importer.finish(through.seq)? })
}
