//! Room ahead of sled's log, so that the sync of a small commit has no file length to note.
//!
//! A write at the end of a file makes it longer, and then fdatasync must also wait for the file system's journal, which
//! takes as long again as the data (measured on ext4: 118 us where overwriting takes 79). So after a small write that ended
//! the file this puts zeros behind it, and the next ones overwrite them.
//!
//! Zeros there are nothing new to sled: it fills the rest of its newest log segment with them at every opening, and takes
//! them for the end of its log. They are *appended*, which the kernel does in one step with finding the end, so
//! they can never lie over what another of sled's threads writes at the same time.

use std::io::IoSlice;
use std::os::fd::BorrowedFd;

use rustix::fs::fstat;
use rustix::io::{ReadWriteFlags, pwritev2};

use super::database::LOG_SEGMENT_BYTES;

/// Zeros put ahead at a time, at most: room for twenty or more of the commits that get some, and few enough that the sync
/// that writes them takes little longer.
const ROOM_BYTES: usize = 1 << 20;

/// Of the file so far at most this part is put ahead, so that a small database stays small.
const PART: u64 = 4;

/// Writes above this get none: they would use it up at once, and it doubles what they write.
const SMALL_BYTES: u64 = 48 << 10;

static ZEROS: [u8; ROOM_BYTES] = [0; ROOM_BYTES];

/// Puts zeros behind a write of `bytes` that ended at `end`, if it is small and ended the file. Not beyond the log segment:
/// sled must find no segment that it did not begin. Nothing depends on it, so a failure is not told: a full disk is
/// noticed by whoever writes next.
pub(super) fn make_room(file: BorrowedFd<'_>, end: u64, bytes: u64) {
    if bytes > SMALL_BYTES {
        return;
    }
    let ended_it = fstat(file).is_ok_and(|stat| u64::try_from(stat.st_size) == Ok(end));
    let left = end.next_multiple_of(LOG_SEGMENT_BYTES as u64) - end;
    let room = usize::try_from(left.min(end / PART)).unwrap_or(usize::MAX).min(ROOM_BYTES);
    if ended_it && room > 0 {
        let _ = pwritev2(file, &[IoSlice::new(&ZEROS[..room])], end, ReadWriteFlags::APPEND);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::fd::AsFd;
    use std::os::unix::fs::FileExt;

    use super::*;

    /// A file of `len` bytes that are not zero, and what it is after a write of `bytes` that ended at `end`.
    fn after(len: u64, end: u64, bytes: u64) -> Vec<u8> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("db");
        let file = File::create(&path).expect("made");
        file.write_all_at(&vec![7; usize::try_from(len).expect("small")], 0).expect("written");
        make_room(file.as_fd(), end, bytes);
        fs::read(path).expect("read")
    }

    #[test]
    fn a_small_write_at_the_end_gets_zeros_behind_it() {
        for (len, room) in [(1000, 250), (7 << 20, ROOM_BYTES)] {
            let file = after(len, len, 300);
            let (written, zeros) = file.split_at(usize::try_from(len).expect("small"));
            assert!(written.iter().all(|&byte| byte == 7) && zeros.iter().all(|&byte| byte == 0));
            assert_eq!(zeros.len(), room);
        }
    }

    #[test]
    fn a_large_one_or_one_within_the_file_gets_none() {
        assert_eq!(after(1000, 1000, SMALL_BYTES + 1).len(), 1000);
        assert_eq!(after(1000, 900, 300).len(), 1000);
    }

    #[test]
    fn zeros_end_where_the_log_segment_ends() {
        let segment = LOG_SEGMENT_BYTES as u64;
        assert_eq!(after(segment - 100, segment - 100, 300).len(), LOG_SEGMENT_BYTES);
        assert_eq!(after(segment, segment, 300).len(), LOG_SEGMENT_BYTES);
    }
}
