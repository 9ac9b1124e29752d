//! Who takes a backup that is read.

use std::io::Read;

use super::{
    BackupError,
    manifest::{BackupManifest, PartEntry},
};

/// Takes a backup that is read.
pub trait PartVisitor {
    /// Why it stops the reading.
    type Error: From<BackupError>;

    /// The list of parts, before the first one.
    ///
    /// # Errors
    /// Stops the reading.
    fn begin(&mut self, manifest: &BackupManifest) -> Result<(), Self::Error>;

    /// A part with its bytes, in the order of the list.
    ///
    /// # Errors
    /// Stops the reading.
    fn part(&mut self, entry: &PartEntry, from: &mut dyn Read) -> Result<(), Self::Error>;
}
