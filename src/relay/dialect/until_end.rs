//! The one end of a stream: nothing that comes after it means anything.

use super::{Part, PartReader};

/// Reads frames with `R` up to the first [`Part::End`] or [`Part::Error`]. vLLM, for one, sends `[DONE]` after a
/// response's terminal event.
#[derive(Debug, Default)]
pub(super) struct UntilEnd<R> {
    reader: R,
    ended: bool,
}

impl<R: PartReader> PartReader for UntilEnd<R> {
    fn read(&mut self, name: &str, data: &str, parts: &mut Vec<Part>) {
        if self.ended {
            return;
        }
        let before = parts.len();
        self.reader.read(name, data, parts);
        let ends = |part: &Part| matches!(part, Part::End | Part::Error { .. });
        if let Some(end) = parts[before..].iter().position(ends) {
            parts.truncate(before + end + 1);
            self.ended = true;
        }
    }
}
