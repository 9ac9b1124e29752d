//! Makes sled's flush durable.
//!
//! On Linux sled 0.34 ends a flush with `sync_file_range`, which flushes no device cache and writes no file size: after
//! a power loss five of eight databases reopened empty, without an error. This file defines that symbol in our own
//! binary, so that sled calls it and gets an `fdatasync` of the whole file. Other systems need no shim: there sled
//! calls `File::sync_all`.
//!
//! # Why this is sound
//!
//! - The signature is that of `sync_file_range(2)` in libc on every 64-bit Linux, and that of its `off64_t` variant,
//!   the only one the `libc` crate declares, on the others.
//! - It does more than the caller asked for (the whole file instead of a range), and fails as the caller expects: -1
//!   and `errno`, both set by `fdatasync`.
//! - `fdatasync` takes a number and no pointers; a bad descriptor is an error (`EBADF`), not undefined behaviour. The
//!   calls that [`zero_fill`] makes with it are system calls of the same kind.
//! - Nothing else in this binary calls the symbol; any such caller would get a stronger sync than it asked for.
//! - The linker prefers a definition in the program to one in a shared libc. With [`count`] the store checks at every
//!   start that sled called this function, and refuses to open otherwise.
#![expect(
    unsafe_code,
    reason = "replaces a libc symbol; the safe way, a second fdatasync after each flush, \
    leaves a window in which sled reuses log segments whose moved pages are only in the device cache"
)]

use std::ffi::{c_int, c_uint};
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use super::zero_fill;

static CALLS: AtomicU64 = AtomicU64::new(0);

/// Number of calls since the process began.
pub(super) fn count() -> u64 {
    CALLS.load(Ordering::Relaxed)
}

/// Called by sled at the end of each write to its log.
#[expect(unreachable_pub, reason = "called through the symbol, not the path")]
#[unsafe(no_mangle)]
pub extern "C" fn sync_file_range(fd: c_int, offset: libc::off64_t, bytes: libc::off64_t, _flags: c_uint) -> c_int {
    CALLS.fetch_add(1, Ordering::Relaxed);
    if let (0.., Ok(offset), Ok(bytes)) = (fd, u64::try_from(offset), u64::try_from(bytes)) {
        // SAFETY: the caller keeps the file open until this function returns.
        let file = unsafe { BorrowedFd::borrow_raw(fd) };
        zero_fill::append_zeros(file, offset.saturating_add(bytes), bytes);
    }
    // SAFETY: see the module comment: no pointers, and every descriptor value is allowed.
    unsafe { libc::fdatasync(fd) }
}
