//! What the log has of an open stream: the fields of its request, and, where `log.requests` is on, a line when it has
//! ended.
//!
//! No span lives as long as a stream: it would take more memory than the rest of an idle one. The record has what the
//! span had, in at most 100 bytes with the pointer to it, and makes a span when a line may be written.

use std::{fmt, net::IpAddr, ops::AddAssign, time::Instant};

use http::Method;
use tracing::{Level, Span, field};

use crate::{
    event::Selection,
    http::{
        api::request_log::{self, RequestScope, milliseconds},
        message::{request_id::RequestId, trace_context::TraceId},
    },
};

/// Topics and patterns of a stream that are logged at most; the line says how many more there are.
const MAX_TOPICS: usize = 4;

/// The record of a stream.
#[derive(Debug)]
pub struct StreamRecord {
    started: Instant,
    id: RequestId,
    counts: SentCounts,
    client: IpAddr,
    trace: Option<TraceId>,
    outcome: StreamOutcome,
    post: bool,
    logged: bool,
}

/// What a stream has sent: events, and their bytes as they were encoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SentCounts {
    /// Events.
    pub events: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Why a stream has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamOutcome {
    /// The client has closed it, or its connection has failed. Until anything else ends the stream.
    ClientLeft,
    /// The client did not read.
    Stalled,
    /// All its topics were closed or deleted.
    TopicsClosed,
    /// The hub is stopping.
    Draining,
    /// The credential has expired, was revoked, or no longer grants the topics.
    CredentialEnded,
    /// The log cannot be read.
    StoreUnreadable,
}

impl StreamRecord {
    /// The record of a stream that this request opens; `None` when the log has no use for it.
    #[must_use]
    pub fn new(request: &RequestScope) -> Option<Box<Self>> {
        let logged = request.is_logged();
        // The response to HEAD has no stream.
        let used = request.method != Method::HEAD && (logged || tracing::span_enabled!(Level::WARN));
        used.then(|| {
            Box::new(Self {
                started: request.started,
                id: request.id.clone(),
                counts: SentCounts::default(),
                client: request.client,
                trace: request.trace,
                outcome: StreamOutcome::ClientLeft,
                post: request.method == Method::POST,
                logged,
            })
        })
    }

    /// A span for lines about the stream, at the level warn, as that of a request.
    #[must_use]
    pub fn span(&self, selection: &Selection) -> Span {
        tracing::warn_span!(
            "stream",
            client.addr = %self.client,
            request.id = %self.id,
            trace.id = self.trace.map(field::display),
            topics = %TopicList(selection),
        )
    }

    /// Records why the stream ends.
    pub fn ends(&mut self, outcome: StreamOutcome) {
        self.outcome = outcome;
    }

    /// Adds what the stream has sent.
    pub fn add(&mut self, sent: SentCounts) {
        self.counts += sent;
    }

    /// Writes the line, if requests are logged. To be called when the stream has ended.
    pub fn log(&self, selection: &Selection, holder: Option<&str>) {
        if !self.logged {
            return;
        }
        tracing::info!(
            target: request_log::TARGET,
            parent: None,
            {
                http.method = %if self.post { "POST" } else { "GET" },
                http.path = "/events",
                http.status = 200,
                topics = %TopicList(selection),
                events = self.counts.events,
                bytes = self.counts.bytes,
                duration_ms = milliseconds(self.started.elapsed()),
                client.addr = %self.client,
                holder,
                request.id = %self.id,
                trace.id = self.trace.map(field::display),
                outcome = self.outcome.as_str()
            },
            "stream finished"
        );
    }
}

impl AddAssign for SentCounts {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.bytes += other.bytes;
    }
}

impl StreamOutcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::ClientLeft => "client_left",
            Self::Stalled => "stalled",
            Self::TopicsClosed => "topics_closed",
            Self::Draining => "draining",
            Self::CredentialEnded => "credential_ended",
            Self::StoreUnreadable => "store_unreadable",
        }
    }
}

/// The first filters of a selection, and the number of the others.
pub struct TopicList<'a>(pub &'a Selection);

impl fmt::Display for TopicList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let filters = self.0.filters();
        for (index, filter) in filters.iter().take(MAX_TOPICS).enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{}", filter.as_str())?;
        }
        if filters.len() > MAX_TOPICS { write!(f, " and {} more", filters.len() - MAX_TOPICS) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Filter;

    #[test]
    fn a_record_takes_at_most_a_hundred_bytes() {
        let pointer = size_of::<Option<Box<StreamRecord>>>();
        assert!(size_of::<StreamRecord>() + pointer <= 100, "{}", size_of::<StreamRecord>());
    }

    #[test]
    fn a_long_list_of_topics_is_cut() {
        let filters = |count: u8| (0..count).map(|n| Filter::new(&format!("t{n}")).expect("valid"));
        let listed = |count| TopicList(&Selection::new(filters(count)).expect("not empty")).to_string();
        assert_eq!((listed(1), listed(4)), ("t0".into(), "t0, t1, t2, t3".into()));
        assert_eq!(listed(6), "t0, t1, t2, t3 and 2 more");
    }
}
