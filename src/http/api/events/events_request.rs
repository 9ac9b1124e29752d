//! A request for events, whatever the protocol: topics, where to start, and the form of the response.

use std::time::Duration;

use super::start::StreamStart;
use crate::{
    event::{EventId, Filter, Selection},
    http::{
        api::stream::encoding::{Encoding, Keepalive},
        message::problem::{Code, Problem},
    },
};

/// Largest number of shapes that one stream's patterns may have. Each shape costs a look-up for every topic that is
/// published to, until the topic's feeds are known. Patterns with a wildcard in one or two positions have a few shapes.
pub const MAX_SHAPES: usize = 32;

/// A request for events.
#[derive(Debug, PartialEq)]
pub struct EventsRequest {
    /// The topics and patterns.
    pub selection: Selection,
    /// Where the stream or page begins.
    pub begin: StreamStart,
    /// The form of the response.
    pub mode: ResponseMode,
    /// What a stream sends after a keepalive interval without events.
    pub keepalive: Keepalive,
    /// Whether the client is an EventSource, which reconnects only after a 200.
    pub eventsource: bool,
}

/// The form of the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseMode {
    /// A stream of events as they come.
    Stream(Encoding),
    /// One document with the newest events before an id. Where the stream or page begins does not count.
    Older {
        /// The id after the page.
        before: EventId,
        /// Largest number of events.
        limit: usize,
        /// Its form.
        form: PageForm,
    },
    /// One document.
    Page {
        /// Largest number of events.
        limit: usize,
        /// How long to wait for the first event.
        wait: Duration,
        /// Its form.
        form: PageForm,
    },
}

/// The form of a page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PageForm {
    /// That of the protocol.
    #[default]
    Protocol,
    /// JSON with the metadata of events: for an export.
    Export,
    /// A batch of CloudEvents and nothing else.
    CloudEventBatch,
}

/// The selection of these topics and patterns, of which there may be `max`.
///
/// # Errors
/// A problem that says what the client must change.
pub fn selection(topics: &[&str], max: usize) -> Result<Selection, Problem> {
    if topics.len() > max {
        let detail = format!(
            "the request names {} topics; one stream takes at most {max}: use patterns, or several streams",
            topics.len()
        );
        return Err(Problem::new(Code::QueryInvalid, detail));
    }
    let filters = topics.iter().map(|text| {
        Filter::new(text).map_err(|error| Problem::from(error).at(format_args!("topic '{}'", text.escape_debug())))
    });
    let selection = Selection::new(filters.collect::<Result<Vec<_>, _>>()?).ok_or_else(|| {
        Problem::new(Code::TopicInvalid, "name at least one topic, as in /events?topic=jobs/42/tokens")
    })?;
    let shapes = selection.shapes().len();
    if shapes > MAX_SHAPES {
        let detail = format!(
            "the patterns have '*' and '**' in {shapes} different combinations of positions; one stream takes at most \
             {MAX_SHAPES}, with any number of patterns of each: use wider patterns, or several streams"
        );
        return Err(Problem::new(Code::QueryInvalid, detail));
    }
    Ok(selection)
}
