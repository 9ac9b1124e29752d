//! The owner of files that are made for another user.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, Gid, Mode, OFlags, Uid, chownat, fchown, openat};
use rustix::io::Errno;

/// A user and a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) user: u32,
    pub(super) group: u32,
}

impl Owner {
    /// Of a directory.
    pub(super) fn of(dir: &Path) -> io::Result<Self> {
        let meta = fs::symlink_metadata(dir)?;
        Ok(Self { user: meta.uid(), group: meta.gid() })
    }

    /// Gives a directory, and all that is in it, to this owner. Follows no symbolic link: who owns the directory around could
    /// put one there, and root would give away what it leads to.
    pub(super) fn give(self, dir: &Path) -> io::Result<()> {
        if Self::of(dir)? == self { Ok(()) } else { self.give_open(&openat(CWD, dir, DIRECTORY, Mode::empty())?) }
    }

    fn give_open(self, dir: &OwnedFd) -> io::Result<()> {
        let (user, group) = (Some(Uid::from_raw(self.user)), Some(Gid::from_raw(self.group)));
        for entry in Dir::read_from(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if [c".", c".."].contains(&name) {
                continue;
            }
            match openat(dir, name, DIRECTORY, Mode::empty()) {
                Ok(inner) => self.give_open(&inner)?,
                Err(Errno::NOTDIR | Errno::LOOP) => chownat(dir, name, user, group, AtFlags::SYMLINK_NOFOLLOW)?,
                Err(error) => return Err(error.into()),
            }
        }
        // Last, so that nobody else changes what is in it meanwhile.
        Ok(fchown(dir, user, group)?)
    }
}

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_a_link_leads_to_is_not_given_away() {
        const OWNER: Owner = Owner { user: 12_345, group: 12_345 };
        let (dir, other) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let (inner, file) = (dir.path().join("inner"), other.path().join("file"));
        fs::create_dir(&inner).expect("made");
        fs::write(&file, b"x").expect("written");
        symlink(other.path(), inner.join("directory")).expect("made");
        symlink(&file, inner.join("link")).expect("made");
        let before = [other.path(), &file].map(|path| Owner::of(path).expect("there"));
        if let Err(error) = OWNER.give(dir.path()) {
            // Without root's rights nothing can be given away.
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
            return;
        }
        let given = [dir.path(), &inner, &inner.join("directory"), &inner.join("link")];
        assert_eq!(given.map(|path| Owner::of(path).expect("there")), [OWNER; 4]);
        assert_eq!([other.path(), &file].map(|path| Owner::of(path).expect("there")), before);
        assert!(OWNER.give(&inner.join("directory")).is_err() || Owner::of(other.path()).expect("there") == before[0]);
    }
}
