//! The commands as a user of a terminal meets them: the real binary, in pipes and in real terminals (ptys).

#![expect(clippy::unwrap_used, reason = "tests")]

mod completions;
mod manual;
mod no_escapes;
mod process;
mod progress;
mod publish_files;
mod store_check;
