//! stdout and stderr. Either may lose its reader, and neither is worth a panic.

use std::{fmt::Display, io::Write};

use super::CliError;

/// Says `what` on stderr, after the program's name.
pub fn complain(what: impl Display) {
    // When stderr is gone too there is nobody left to tell.
    let _unheard = writeln!(std::io::stderr(), "gapless: {what}");
}

/// Writes `line` and its end to `out`, for others to read now.
pub(super) fn print_line(out: &mut impl Write, line: &[u8]) -> Result<(), CliError> {
    out.write_all(line).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()).map_err(CliError::output)
}
