//! Untrusted text in a cell: names of topics and holders, and the words of the hub.

use crate::cli::text::{one_line, visible};

/// `text` on one line, without characters that could control the terminal or turn the direction of the text.
pub(super) fn clean(text: &str) -> String {
    visible(&one_line(text)).replace('\t', " ")
}
