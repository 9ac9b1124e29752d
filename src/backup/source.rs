//! A backup to be read: one of a directory, or an archive.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use super::{BackupError, archive, directory::BackupDirectory, manifest::BackupManifest, visitor::PartVisitor};

/// Where a backup is.
#[derive(Debug)]
pub enum BackupSource {
    /// One of a directory's.
    Directory(BackupDirectory, Box<BackupManifest>),
    /// An archive.
    Archive(PathBuf),
}

impl BackupSource {
    /// The backup at `path`. `at` names one of a directory's; without it the newest is meant.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(path: &Path, at: Option<&str>) -> Result<Self, BackupError> {
        if !path.is_dir() {
            if let Some(at) = at.filter(|_| path.exists()) {
                return Err(BackupError::NoSuch { at: at.into(), names: vec!["the only one of the archive".into()] });
            }
            return Ok(Self::Archive(path.into()));
        }
        let directory = BackupDirectory::open(path)?;
        let manifest = directory.find(at)?;
        Ok(Self::Directory(directory, Box::new(manifest)))
    }

    /// Passes all of it to `visitor`, and returns the list of parts.
    ///
    /// # Errors
    /// Those of `visitor`, and when the backup is damaged or cannot be read.
    pub fn read<V: PartVisitor>(self, visitor: &mut V) -> Result<BackupManifest, V::Error> {
        match self {
            Self::Archive(path) => archive::read::read(&path, visitor),
            Self::Directory(directory, manifest) => {
                visitor.begin(&manifest)?;
                for of in &manifest.parts {
                    let path = directory.part(of);
                    visitor.part(of, &mut File::open(&path).map_err(|source| BackupError::Io { path, source })?)?;
                }
                Ok(*manifest)
            }
        }
    }
}
