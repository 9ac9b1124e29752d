//! Small file systems in memory, for disks that fill.
//!
//! Needs the right to mount (root).

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// File systems of one size. Unmounted when dropped, so processes that use them must end before.
pub(crate) struct Disks {
    home: TempDir,
    count: usize,
}

impl Disks {
    /// `count` disks of `mib` MiB each; `None` where this process may not mount.
    pub(crate) fn new(count: usize, mib: usize) -> Option<Self> {
        let mut disks = Self { home: tempfile::tempdir().expect("a directory"), count: 0 };
        for n in 0..count {
            let path = disks.path(n);
            std::fs::create_dir(&path).expect("a new directory");
            let options = format!("size={mib}m");
            let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "gapless"]).arg(&path).status();
            if !mounted.is_ok_and(|status| status.success()) {
                return None;
            }
            disks.count += 1;
        }
        Some(disks)
    }

    pub(crate) fn path(&self, disk: usize) -> PathBuf {
        self.home.path().join(format!("disk{disk}"))
    }

    /// Takes all space that is left.
    pub(crate) fn fill(&self, disk: usize) {
        let mut file = File::options().create(true).append(true).open(filler(&self.path(disk))).expect("a new file");
        for length in [1 << 20, 1 << 12, 1] {
            while file.write_all(&vec![0; length]).is_ok() {}
        }
    }

    /// Gives the space back.
    pub(crate) fn free(&self, disk: usize) {
        drop(std::fs::remove_file(filler(&self.path(disk))));
    }
}

fn filler(disk: &Path) -> PathBuf {
    disk.join("filler")
}

impl Drop for Disks {
    fn drop(&mut self) {
        for n in 0..self.count {
            drop(Command::new("umount").arg("-l").arg(self.path(n)).status());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_takes_nothing_until_it_is_freed() {
        let Some(disks) = Disks::new(2, 4) else {
            println!("left out: this process may not mount");
            return;
        };
        disks.fill(0);
        let write = |disk: usize| std::fs::write(disks.path(disk).join("x"), [0; 8192]);
        assert_eq!(write(0).unwrap_err().kind(), std::io::ErrorKind::StorageFull);
        write(1).expect("the other disk has space");
        disks.free(0);
        write(0).expect("there is space again");
    }
}
