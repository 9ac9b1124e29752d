//! Makes sled's flush durable.
//!
//! On Linux sled 0.34 ends a flush with `sync_file_range`, which empties no device cache and writes no file size: after a
//! power loss five of eight databases reopened silently empty. This file defines that symbol in our own binary, so
//! that sled's call ends here and becomes an `fdatasync` of the whole file. Other systems need no shim: there sled
//! calls `File::sync_all`.
//!
//! # Why this is sound
//!
//! - The signature is the one of `sync_file_range(2)` in libc on every 64-bit Linux, and of its `off64_t` variant,
//!   the only one the `libc` crate declares, on the others.
//! - It does more than the caller asked (the whole file instead of a range), and fails as the caller expects: -1 and
//!   `errno`, both left there by `fdatasync`.
//! - `fdatasync` takes a number and no pointers; a bad descriptor is an error (`EBADF`), not undefined behaviour. What
//!   [`ahead`] does with it before are system calls of the same kind.
//! - Nothing else of this binary calls the symbol; were it so, it would get a stronger sync than it asked for.
//! - The linker takes a definition in the program over one in a shared libc. [`count`] lets the store check, at every
//!   start, that this is the function that was called; it refuses to open when it is not.
#![expect(
    unsafe_code,
    reason = "replaces a libc symbol; the safe way, a second fdatasync after each flush, \
    leaves a window in which sled reuses log segments whose moved pages are only in the device cache"
)]

use std::ffi::{c_int, c_uint};
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ahead;

static CALLS: AtomicU64 = AtomicU64::new(0);

/// How often sled has synced a file through here since the process began.
pub(super) fn count() -> u64 {
    CALLS.load(Ordering::Relaxed)
}

/// What sled calls at the end of each write to its log.
#[expect(unreachable_pub, reason = "the linker reaches it")]
#[unsafe(no_mangle)]
pub extern "C" fn sync_file_range(fd: c_int, offset: libc::off64_t, bytes: libc::off64_t, _flags: c_uint) -> c_int {
    CALLS.fetch_add(1, Ordering::Relaxed);
    if let (0.., Ok(offset), Ok(bytes)) = (fd, u64::try_from(offset), u64::try_from(bytes)) {
        // SAFETY: whoever asks for a sync holds the file open until it is told the answer.
        let file = unsafe { BorrowedFd::borrow_raw(fd) };
        ahead::make_room(file, offset.saturating_add(bytes), bytes);
    }
    // SAFETY: see the file's comment: no pointers, and any descriptor is answered.
    unsafe { libc::fdatasync(fd) }
}
