//! The topics of a load, and which of them a stream subscribes to.

use std::ops::Range;

use super::dialect::StartAt;

/// The topics of a load, and the number of publishers.
#[derive(Debug, Clone)]
pub struct LoadTopics {
    /// Their names, as in a query string: no character that needs an escape.
    pub names: Vec<String>,
    /// Publishing connections. With fewer than topics each serves several topics in turn, with more each topic has
    /// several.
    pub publishers: usize,
}

/// What a stream subscribes to.
#[derive(Debug, Clone)]
pub struct Wants {
    /// Topics or patterns of the request.
    pub select: Vec<String>,
    /// The topics that these match, as a range of [`LoadTopics::names`].
    pub topics: Range<usize>,
    /// Where it starts. A stream that reconnects resumes after the last event it received.
    pub from: StartAt,
}

impl Wants {
    /// A stream of topic `n` of `topics`, from now on.
    #[must_use]
    pub fn topic(topics: &LoadTopics, n: usize) -> Self {
        Self { select: vec![topics.names[n].clone()], topics: n..n + 1, from: StartAt::Now }
    }
}
