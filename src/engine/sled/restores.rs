//! The file `restores`: for each restore of a backup, the positions that the lost store may have given out since. A line
//! each, both ends included:
//!
//! ```text
//! undone <first> <last>
//! ```
//!
//! The watermark has the same ranges as lost, so that an older gapless, which does not know this file, tells its readers of
//! them. A client whose cursor is within one has seen events that the store does not have.

use std::{fmt::Write, fs, io, path::Path};

use super::disk;
use crate::event::Seq;

/// Name of the file.
const FILE: &str = "restores";

/// The ranges of the store at `dir`; none when there is no file or it cannot be read: the ranges are then only lost.
pub(super) fn undone(dir: &Path) -> Vec<(Seq, Seq)> {
    fs::read_to_string(dir.join(FILE)).map(|text| parse(&text)).unwrap_or_default()
}

/// Replaces the file durably.
pub(super) fn save(dir: &Path, undone: &[(Seq, Seq)]) -> io::Result<()> {
    disk::write_whole(&dir.join(FILE), text(undone).as_bytes())
}

pub(super) fn text(undone: &[(Seq, Seq)]) -> String {
    undone.iter().fold(String::new(), |mut text, (first, last)| {
        writeln!(text, "undone {} {}", first.0, last.0).expect("memory");
        text
    })
}

/// Lines of another form are ignored.
pub(super) fn parse(text: &str) -> Vec<(Seq, Seq)> {
    let range = |line: &str| {
        let (first, last) = line.strip_prefix("undone ")?.split_once(' ')?;
        Some((Seq(first.parse().ok()?), Seq(last.parse().ok()?))).filter(|(first, last)| first <= last)
    };
    text.lines().filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_back_and_other_lines_ignored() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(undone(dir.path()), []);
        let ranges = [(Seq(7), Seq(1 << 40)), (Seq(2 << 40), Seq(u64::MAX))];
        save(dir.path(), &ranges).expect("written");
        assert_eq!(undone(dir.path()), ranges);
        assert_eq!(parse("undone 9 7\nundone 1\n\nmore\nundone 3 4\n"), [(Seq(3), Seq(4))]);
    }
}
