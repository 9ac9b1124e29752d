//! Whether a terminal may get colours.

use std::{env, ffi::OsStr};

/// Whether a terminal may get colours, as `NO_COLOR` and `TERM` in the environment say.
#[must_use]
pub fn are_wanted() -> bool {
    are_wanted_by(env::var_os("NO_COLOR").as_deref(), env::var_os("TERM").as_deref())
}

fn are_wanted_by(no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    // An empty NO_COLOR is none, as https://no-color.org says.
    no_color.is_none_or(OsStr::is_empty) && term != Some(OsStr::new("dumb"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_that_have_them_and_for_users_that_want_them() {
        let wanted =
            |no_color: Option<&str>, term: Option<&str>| are_wanted_by(no_color.map(OsStr::new), term.map(OsStr::new));
        assert!(wanted(None, None) && wanted(Some(""), Some("xterm")));
        assert!(!wanted(Some("1"), Some("xterm")) && !wanted(Some("0"), None) && !wanted(None, Some("dumb")));
    }
}
