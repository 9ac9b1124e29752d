//! Imports a closed store of this machine into the configured stream.

use std::path::Path;

use super::{
    engine::{log_config, sled_config},
    jetstream::{hub_name, nats_config},
    store_check::ScratchDir,
};
use crate::{
    config::{self, Config, ConfigErrors},
    engine::{
        jetstream::{ImportError, JetStreamConfig},
        sled::{OpenError, SledConfig, SledStore, StoreCopyError, copy_closed},
    },
    progress::WorkProgress,
};

pub use crate::engine::jetstream::ImportReport;

/// Why a store is not imported, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum ImportCommandError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The store cannot be copied.
    #[error(transparent)]
    Copy(#[from] StoreCopyError),
    /// The copy cannot be opened.
    #[error("the copy of the store cannot be opened: {0}")]
    Open(#[from] OpenError),
    /// The stream cannot take it.
    #[error(transparent)]
    Import(#[from] ImportError),
}

impl ImportCommandError {
    /// The exit code of the command: 75 (`EX_TEMPFAIL`) when a hub uses the store or the stream.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => config::EXIT_CODE,
            Self::Copy(StoreCopyError::InUse(_)) | Self::Import(ImportError::HubRuns(_)) => 75,
            _ => 1,
        }
    }
}

/// Imports the store in `from`, by a copy in `scratch`. Goes on where an earlier import has stopped. Blocks.
///
/// # Errors
/// Why it has stopped. What was imported stays, and the import may be repeated.
pub fn import(
    config: &Config,
    from: &Path,
    scratch: &ScratchDir,
    progress: &WorkProgress,
) -> Result<ImportReport, ImportCommandError> {
    let settings = JetStreamConfig {
        nats: nats_config(config, "import")?,
        hub: hub_name(config).into(),
        address: "".into(),
        max_batch: config.nats.max_batch,
    };
    let _in_use = copy_closed(from, scratch.path(), progress)?;
    progress.begin("opening the copy", 0);
    let store = SledStore::open(SledConfig { dir: scratch.path().into(), reserve_bytes: 0, ..sled_config(config) })?;
    let imported =
        crate::engine::jetstream::import(&settings, &log_config(config), &store, config.nats.old_ids, progress);
    drop(store);
    Ok(imported?)
}
