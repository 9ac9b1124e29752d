//! Calls into sled that may panic.
//!
//! On damaged files sled 0.34 panics, when it opens them and also later, when it loads a page. Such a panic is damage,
//! not a mistake of ours: it becomes an error, and a line of our log instead of a backtrace on stderr.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::{Arc, Once};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `call`; a panic in it is an `Err` that says what it said. Other threads' panics are reported as ever.
///
/// What `call` had borrowed must not be trusted after an `Err`: the caller sets the database aside or poisons the store.
pub(super) fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, Arc<str>> {
    install();
    let outer = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(outer);
    result.map_err(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").into()
    })
}

/// Wraps the process's panic hook, once.
fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            // A thread that is going away has no thread-locals left, and is not one of ours.
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
    fn a_panic_becomes_an_error_and_the_guard_is_lifted() {
        assert_eq!(guarded(|| 7), Ok(7));
        assert_eq!(guarded(|| -> u8 { panic!("torn at {}", 5) }), Err("torn at 5".into()));
        assert!(!GUARDED.get());
    }
}
