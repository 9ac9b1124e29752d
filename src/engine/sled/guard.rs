//! Catches panics of sled.
//!
//! On damaged files sled 0.34 panics, when it opens them and also later, when it loads a page. Such a panic means
//! damaged files, not a bug in our code: it becomes an error and a line in our log instead of a backtrace on stderr.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::{Arc, Once};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `call`. A panic in it becomes an `Err` with the panic's message; panics of other threads are reported as usual.
///
/// After an `Err`, state that `call` borrowed may be inconsistent: the caller closes the database or poisons the store.
pub(super) fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, Arc<str>> {
    install();
    let outer = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(outer);
    result.map_err(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").into()
    })
}

/// Wraps the process's panic hook, once for the process.
fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            // A thread that is ending has no thread-locals left; it is not in a guarded call.
            if GUARDED.try_with(Cell::get).unwrap_or(false) {
                tracing::error!(place = ?info.location(), "sled panicked: its files are damaged");
            } else {
                before(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_and_the_guard_is_reset() {
        assert_eq!(guarded(|| 7), Ok(7));
        assert_eq!(guarded(|| -> u8 { panic!("torn at {}", 5) }), Err("torn at 5".into()));
        assert!(!GUARDED.get());
    }
}
