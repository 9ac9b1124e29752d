//! A request as a span.

use std::time::{Instant, SystemTime};

use crate::event::{SpanId, TraceId, TraceParent};

/// A span: of a request that is being answered, and then of one that has been.
#[derive(Debug, Clone)]
pub struct Span {
    /// The trace: the parent's, or a new one.
    pub trace: TraceId,
    /// The span's own id.
    pub id: SpanId,
    /// The caller's span.
    pub parent: Option<SpanId>,
    /// The flags of its trace context.
    pub flags: u8,
    /// The method and the route, such as `POST /publish`: few different ones.
    pub name: String,
    /// When it began.
    pub start: SystemTime,
    /// Nanoseconds until its end; 0 before.
    pub nanos: u64,
    /// Whether the hub failed, not the caller.
    pub failed: bool,
    /// Further facts.
    pub attributes: Vec<(&'static str, AttributeValue)>,
    began: Instant,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeValue {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
}

impl Span {
    /// A span that begins now.
    #[must_use]
    pub(super) fn begin(trace: TraceId, id: SpanId, parent: Option<TraceParent>, flags: u8) -> Self {
        Self {
            trace,
            id,
            parent: parent.map(|parent| parent.parent),
            flags,
            name: String::new(),
            start: SystemTime::now(),
            nanos: 0,
            failed: false,
            attributes: Vec::new(),
            began: Instant::now(),
        }
    }

    /// Adds a text.
    pub fn text(&mut self, name: &'static str, value: impl Into<String>) {
        self.attributes.push((name, AttributeValue::Text(value.into())));
    }

    /// Adds a number.
    pub fn number(&mut self, name: &'static str, value: impl Into<i64>) {
        self.attributes.push((name, AttributeValue::Number(value.into())));
    }

    /// It ends now.
    pub(super) fn end(&mut self) {
        self.nanos = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
    }
}
