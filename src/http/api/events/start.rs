//! Parses where a stream begins: at a cursor, the oldest kept event, now, the newest N events, or a time.

use http::HeaderMap;

use crate::{
    event::position::{StartPosition, When},
    http::{
        api::cursor_text::EVENT_IDS,
        message::problem::{Code, Problem},
    },
    hub::subscription::Start,
};

/// Where a request asks a stream to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamStart {
    /// At a start that needs no look-up.
    At(Start),
    /// With what was published at this time or later.
    Since(When),
    /// With the newest N kept events.
    Newest(u64),
}

/// The request's parameters that say where to begin. An empty one counts as absent.
#[derive(Debug, Default)]
pub(super) struct RawStart<'a> {
    pub(super) cursor: Option<&'a str>,
    pub(super) from: Option<&'a str>,
    pub(super) since: Option<&'a str>,
}

impl RawStart<'_> {
    /// Whether the request says where to begin.
    pub(super) fn is_given(&self, headers: &HeaderMap) -> bool {
        let given = [self.cursor, self.from, self.since].into_iter().flatten().any(|text| !text.is_empty());
        given || headers.get("last-event-id").is_some_and(|value| !value.is_empty())
    }
}

impl StreamStart {
    /// Parses the parameters. The `Last-Event-ID` header takes precedence, because a reconnecting EventSource keeps its
    /// URL.
    pub(super) fn new(raw: &RawStart<'_>, headers: &HeaderMap) -> Result<Self, Problem> {
        let header = headers.get("last-event-id").map(|value| String::from_utf8_lossy(value.as_bytes()));
        let cursor = header.as_deref().filter(|text| !text.is_empty());
        if let Some(cursor) = cursor.or(raw.cursor.filter(|text| !text.is_empty())) {
            return Ok(Self::At(Start::Cursor(EVENT_IDS.cursor(cursor))));
        }
        match (raw.from.filter(|text| !text.is_empty()), raw.since.filter(|text| !text.is_empty())) {
            (Some(_), Some(_)) => Err(Problem::new(Code::QueryInvalid, "give 'from' or 'since', not both")),
            (None, None) => Ok(Self::At(Start::Now)),
            (Some(text), None) => StartPosition::parse(text)
                .map(Self::from)
                .map_err(|error| Problem::new(Code::QueryInvalid, format!("'from' {error}"))),
            (None, Some(text)) => When::parse(text)
                .map(Self::Since)
                .ok_or_else(|| Problem::new(Code::QueryInvalid, format!("'since' {}", When::EXPECTED))),
        }
    }
}

impl From<StartPosition> for StreamStart {
    fn from(position: StartPosition) -> Self {
        match position {
            StartPosition::Now => Self::At(Start::Now),
            StartPosition::Earliest => Self::At(Start::Earliest),
            StartPosition::Newest(count) => Self::Newest(count),
            StartPosition::After(cursor) => Self::At(Start::Cursor(cursor)),
        }
    }
}
