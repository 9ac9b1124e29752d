//! What is known of an open stream: the fields of its request, what it has sent and how far it has come. The log and the
//! list of open streams are made of it.
//!
//! No span lives as long as a stream: it would take more memory than the rest of an idle one. The record has what the
//! span had, and makes a span when a line may be written. The stream's task and the shard's list share it; it has at
//! most 128 bytes, with its reference counts.

use std::{
    cell::Cell,
    fmt,
    net::IpAddr,
    ops::AddAssign,
    rc::Rc,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use http::Method;
use tracing::{Span, field};

use super::encoding::Encoding;
use crate::{
    access::Principal,
    event::{Selection, TraceId},
    http::{
        api::request_log::{self, RequestScope, milliseconds},
        auth::Authorization,
        message::request_id::RequestId,
    },
    hub::{epoch::HubCursor, stats::Progress, subscription::Subscription},
};

/// Topics and patterns of a stream that are named at most, in the log and in the list of open streams. Both say how many
/// there are.
pub const MAX_TOPICS: usize = 4;

/// The beginning of the process's streams: their times are counted from it, because an [`Instant`] takes twice as many
/// bytes.
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Fixes the time from which the streams' times are counted. To be called before the first request.
pub fn start_clock() {
    LazyLock::force(&ORIGIN);
}

/// The record of a stream.
#[derive(Debug)]
pub struct StreamRecord {
    /// The stream's number on its shard.
    number: u64,
    /// Microseconds from [`ORIGIN`] to the stream's beginning.
    since: u64,
    request: RequestId,
    principal: Arc<Principal>,
    counts: Cell<SentCounts>,
    reached: Cell<HubCursor>,
    client: IpAddr,
    trace: Option<TraceId>,
    /// `None` for a run of the relay.
    encoding: Option<Encoding>,
    progress: Cell<Progress>,
    outcome: Cell<StreamOutcome>,
    end_requested: Cell<bool>,
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
    /// An operator has ended it.
    EndedByOperator,
    /// The log cannot be read.
    StoreUnreadable,
}

impl StreamRecord {
    /// The record of the stream of `subscription` that this request opens: the shard's stream number `number`, in an
    /// encoding, or in `None` for a run of the relay. Only a stream with an encoding gets a line of its own.
    #[must_use]
    pub fn new(
        request: &RequestScope,
        number: u64,
        authorization: &Authorization,
        encoding: Option<Encoding>,
        subscription: &Subscription,
    ) -> Rc<Self> {
        // The response to HEAD has no stream.
        let logged_since = request.logged_since().filter(|_| encoding.is_some() && request.method != Method::HEAD);
        let since = logged_since.unwrap_or_else(Instant::now).saturating_duration_since(*ORIGIN);
        Rc::new(Self {
            number,
            since: u64::try_from(since.as_micros()).unwrap_or(u64::MAX),
            request: request.id.clone(),
            principal: Arc::clone(authorization.principal()),
            counts: Cell::default(),
            reached: Cell::new(subscription.reached()),
            client: request.client,
            trace: request.traceparent.map(|parent| parent.trace),
            encoding,
            progress: Cell::new(subscription.progress()),
            outcome: Cell::new(StreamOutcome::ClientLeft),
            end_requested: Cell::new(false),
            post: request.method == Method::POST,
            logged: logged_since.is_some(),
        })
    }

    /// The stream's number on its shard, from 0 in the order in which streams begin; never reused.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The beginning of the stream, in microseconds since a time that is the same for all streams.
    #[must_use]
    pub fn since(&self) -> u64 {
        self.since
    }

    /// The age of the stream.
    #[must_use]
    pub fn age(&self) -> Duration {
        ORIGIN.elapsed().saturating_sub(Duration::from_micros(self.since))
    }

    /// The id of its request.
    #[must_use]
    pub fn request(&self) -> &RequestId {
        &self.request
    }

    /// Whose credential it began with.
    #[must_use]
    pub fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    /// The holder of that credential.
    #[must_use]
    pub fn holder(&self) -> Option<&str> {
        self.principal.holder.as_deref()
    }

    /// The address of its client.
    #[must_use]
    pub fn client(&self) -> IpAddr {
        self.client
    }

    /// Its encoding; `None` for a run of the relay.
    #[must_use]
    pub fn encoding(&self) -> Option<Encoding> {
        self.encoding
    }

    /// What its task has sent; the fan-out counts what it sends for the task by itself.
    #[must_use]
    pub fn counts(&self) -> SentCounts {
        self.counts.get()
    }

    /// The position up to which its task has sent everything.
    #[must_use]
    pub fn reached(&self) -> HubCursor {
        self.reached.get()
    }

    /// How far its subscription has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress.get()
    }

    /// Whether an operator wants it to end.
    #[must_use]
    pub fn is_end_requested(&self) -> bool {
        self.end_requested.get()
    }

    /// An operator wants it to end: its task, once woken, ends it. Returns whether that is news.
    pub fn request_end(&self) -> bool {
        !self.end_requested.replace(true)
    }

    /// Records the position up to which everything was sent.
    pub fn set_reached(&self, reached: HubCursor) {
        self.reached.set(reached);
    }

    /// Records how far the subscription has come. To be called after each poll of it.
    pub fn set_progress(&self, progress: Progress) {
        self.progress.set(progress);
    }

    /// A span for lines about the stream, at the level warn, as that of a request.
    #[must_use]
    pub fn span(&self, selection: &Selection) -> Span {
        tracing::warn_span!(
            "stream",
            client.addr = %self.client,
            request.id = %self.request,
            trace.id = self.trace.map(field::display),
            topics = %TopicList(selection),
        )
    }

    /// Records why the stream ends.
    pub fn ends(&self, outcome: StreamOutcome) {
        self.outcome.set(outcome);
    }

    /// Adds what the stream has sent.
    pub fn add(&self, sent: SentCounts) {
        let mut counts = self.counts.get();
        counts += sent;
        self.counts.set(counts);
    }

    /// Writes the line, if requests are logged. To be called when the stream has ended.
    pub fn log(&self, selection: &Selection, holder: Option<&str>) {
        if !self.logged {
            return;
        }
        let counts = self.counts.get();
        tracing::info!(
            target: request_log::TARGET,
            parent: None,
            {
                http.method = %if self.post { "POST" } else { "GET" },
                http.path = "/events",
                http.status = 200,
                topics = %TopicList(selection),
                events = counts.events,
                bytes = counts.bytes,
                duration_ms = milliseconds(self.age()),
                client.addr = %self.client,
                holder,
                request.id = %self.request,
                trace.id = self.trace.map(field::display),
                outcome = self.outcome.get().as_str()
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
            Self::EndedByOperator => "ended_by_operator",
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
    fn a_record_takes_at_most_128_bytes() {
        let counts = 2 * size_of::<usize>();
        assert!(size_of::<StreamRecord>() + counts <= 128, "{}", size_of::<StreamRecord>());
    }

    #[test]
    fn a_long_list_of_topics_is_cut() {
        let filters = |count: u8| (0..count).map(|n| Filter::new(&format!("t{n}")).expect("valid"));
        let listed = |count| TopicList(&Selection::new(filters(count)).expect("not empty")).to_string();
        assert_eq!((listed(1), listed(4)), ("t0".into(), "t0, t1, t2, t3".into()));
        assert_eq!(listed(6), "t0, t1, t2, t3 and 2 more");
    }
}
