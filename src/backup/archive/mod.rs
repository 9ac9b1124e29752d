//! One backup in one file: a tar, compressed with zstd. First the list of its parts, so that a reader needs no space for
//! what it has not read yet, then the parts in order, and nothing else.
//!
//! | module | idea |
//! |---|---|
//! | [`mod@write`] | writes it, and reads it again |
//! | [`read`] | reads it, whoever has made it |

pub mod read;
pub mod write;

/// The ending of its name.
pub const ENDING: &str = ".tar.zst";
