//! Checks a store that no hub has open, in a private directory for copies that is removed at the end.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use parking_lot::Mutex;
use tokio::signal::unix::SignalKind;

use crate::{
    config::{Config, kinds::EngineKind},
    engine::sled::check as check_unused,
    lifecycle::signals::{EXIT_FORCED, SignalHandlers},
    progress::WorkProgress,
};

pub use crate::engine::sled::{CheckError, StoreReport, check_scratch_bytes};

/// The directory of the configured store.
///
/// # Errors
/// When the configured engine has none.
pub fn configured_dir(config: &Config) -> Result<PathBuf, CheckError> {
    match config.hub.engine {
        EngineKind::Sled => Ok(config.hub.data.clone()),
        other => {
            Err(CheckError::NotChecked(format!("the engine {} has no store on this machine's disk", other.name())))
        }
    }
}

/// A private directory for copies of parts of the store: they hold data of events. Removed when dropped.
pub struct ScratchDir {
    path: PathBuf,
    /// Set when a stop signal removes it, after which the process exits. Locked while it is made, so that it is not made
    /// after its removal.
    interrupted: Arc<Mutex<bool>>,
}

impl ScratchDir {
    /// Makes a directory with a random name below `parent`, which must not be in the store in `store`: the check would
    /// change it. A stop signal removes it and exits the process with 130; one that the parent process chose to ignore
    /// stays ignored.
    ///
    /// # Errors
    /// When it cannot be made, or the system refuses the signal handlers.
    pub fn new(parent: &Path, store: &Path) -> Result<Self, CheckError> {
        let refused = |error: io::Error| CheckError::Scratch(format!("{}: {error}", parent.display()));
        let real = parent.canonicalize().map_err(refused)?;
        if store.canonicalize().is_ok_and(|store| real.starts_with(store)) {
            return Err(CheckError::Scratch(format!("{} is in the store itself", parent.display())));
        }
        let random = getrandom::u64().map_err(|error| refused(error.into()))?;
        let path = real.join(format!("gapless-check-{random:016x}"));
        let scratch = Self { path, interrupted: Arc::default() };
        // Before it exists: a signal in between would leave it behind.
        scratch.remove_on_signal().map_err(refused)?;
        scratch.make().map_err(refused)?;
        Ok(scratch)
    }

    fn make(&self) -> io::Result<()> {
        let interrupted = self.interrupted.lock();
        if *interrupted {
            drop(interrupted);
            wait_for_exit();
        }
        DirBuilder::new().mode(0o700).create(&self.path)
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn remove_on_signal(&self) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let mut handlers = {
            let _context = runtime.enter();
            let stops = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
            SignalHandlers::install(stops.map(|kind| ((), kind)))?
        };
        let path = self.path.clone();
        let interrupted = Arc::clone(&self.interrupted);
        let wait = async move {
            handlers.next().await;
            *interrupted.lock() = true;
            // The check may make a file meanwhile.
            let _removed = (0..3).any(|_| fs::remove_dir_all(&path).is_ok());
            std::process::exit(EXIT_FORCED.into());
        };
        // It ends with the process.
        thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(wait)).map(drop)
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        let _best_effort = fs::remove_dir_all(&self.path);
    }
}

/// Checks the store in `dir`, with copies in `scratch`. Blocks.
///
/// # Errors
/// When a hub uses the store, it is none, or no copy can be made.
pub fn check(dir: &Path, scratch: &ScratchDir, progress: &Arc<WorkProgress>) -> Result<StoreReport, CheckError> {
    let checked = check_unused(dir, scratch.path(), progress);
    let interrupted = *scratch.interrupted.lock();
    if interrupted {
        // Its copies were taken away, so the result means nothing.
        wait_for_exit();
    }
    checked
}

/// Waits while the thread of the signals exits the process.
fn wait_for_exit() -> ! {
    loop {
        thread::park();
    }
}
