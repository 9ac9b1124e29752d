//! Pages of the log: what is asked for, and what is read.

use std::sync::Arc;

use super::ReadFrom;
use crate::event::{Epoch, Event, Selection, Seq, TopicName};

/// The maximum size of one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReadLimit {
    /// Maximum number of events.
    pub events: usize,
    /// Bytes of data after which the read ends; the first event is always returned.
    pub bytes: usize,
}

/// A request for one page.
#[derive(Debug, Clone)]
pub struct ReadRequest {
    /// The topics to read.
    pub selection: Selection,
    /// The start position.
    pub from: ReadFrom,
    /// Maximum number of events; 0 counts as 1.
    pub max_events: usize,
    /// Bytes of data after which the page ends; the first event is always returned.
    pub max_bytes: usize,
}

/// A request for the page that ends before a position.
#[derive(Debug, Clone)]
pub struct BackwardRequest {
    /// The topics to read.
    pub selection: Selection,
    /// The position after the page. One past the head stands for the end of the log.
    pub before: Seq,
    /// Maximum size. Tombstones and removal notices count as events. The newest event is always returned; bytes of large
    /// events may be rounded up.
    pub limit: ReadLimit,
}

/// The newest events of a selection before a position.
#[derive(Debug, Clone, PartialEq)]
pub struct BackwardPage {
    /// The epoch of all positions in the page.
    pub epoch: Epoch,
    /// Events in order of `seq`; each gap stands before the first event after it. Only what the disk lost is a gap.
    pub items: Vec<PageItem>,
    /// The beginning of the page, exclusive: the next older page ends there, inclusive.
    pub start: Seq,
    /// The end of the page, inclusive.
    pub through: Seq,
    /// Whether the topics retain an event at or before `start`.
    pub older: bool,
}

/// A contiguous part of the log for a selection. Every missing event is reported as a gap.
#[derive(Debug, Clone, PartialEq)]
pub struct LogPage {
    /// The epoch of all positions in the page.
    pub epoch: Epoch,
    /// Events in order of `seq`; each gap stands before the first event after it.
    pub items: Vec<PageItem>,
    /// The end of the page, inclusive: `items` is complete for the selection up to here. The next page starts after it.
    pub through: Seq,
    /// `through` was the log's head: what follows is live.
    pub at_end: bool,
}

/// An element of a page.
#[derive(Debug, Clone, PartialEq)]
pub enum PageItem {
    /// The next event.
    Event(Arc<Event>),
    /// Missing events.
    Gap(LogGap),
}

/// One or more events after the reader's cursor that are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogGap {
    /// Their topic; `None` when they may be of any that matches a pattern of the selection and is not known any more.
    pub topic: Option<TopicName>,
    /// The topic's next retained event; `None` when it retains none, or none that the page could have.
    pub resumes_at: Option<Seq>,
    /// The disk lost them; they were not trimmed by retention.
    pub lost: bool,
}
