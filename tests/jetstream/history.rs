//! What a run recorded: every publish with its answers, what each reader was sent, and the logs that the hubs returned.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use gapless::event::EventId;

/// Index into [`History::topics`].
pub(crate) type TopicIndex = usize;

/// Number of an event: index into [`History::sent`]. It is part of the event's data, so no two events have equal data.
pub(crate) type Number = usize;

/// Microseconds since the run began, by one clock of one process.
pub(crate) type Micros = u64;

/// Everything that one run recorded.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) topics: Vec<TopicFacts>,
    pub(crate) sent: Vec<SentEvent>,
    pub(crate) publishes: Vec<Publish>,
    pub(crate) readers: Vec<ReaderLog>,
    pub(crate) logs: Vec<HubLog>,
}

/// A topic, and what may have happened to its events by order of a client.
#[derive(Debug, Clone)]
pub(crate) struct TopicFacts {
    pub(crate) name: String,
    pub(crate) fate: Fate,
    /// When a request to close it had been acknowledged. No topic is opened again.
    pub(crate) closed_at: Option<Micros>,
}

/// Which events of a topic may be gone at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// None.
    Kept,
    /// All but the newest so many.
    Trimmed(usize),
    /// All: its deletion was requested.
    Deleted,
}

/// An event that a publisher sent at least once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SentEvent {
    pub(crate) topic: TopicIndex,
    /// It was sent as its topic's last.
    pub(crate) close: bool,
}

/// One publish: a request, or the repetitions of one under a key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Publish {
    /// Several are one batch: all or nothing.
    pub(crate) events: Vec<Number>,
    pub(crate) expect: Option<Expect>,
    /// Before its first attempt.
    pub(crate) began: Micros,
    /// When the first receipt had arrived.
    pub(crate) acknowledged: Option<Micros>,
    /// Ids of its events, by each answer with status 200: several under a key.
    pub(crate) receipts: Vec<Vec<EventId>>,
    /// An attempt has no answer, or one that does not tell the outcome.
    pub(crate) unknown: bool,
    /// The `last_id` of each answer 412.
    pub(crate) refusals: Vec<Option<EventId>>,
    /// Hub and answer of each attempt, for people.
    pub(crate) attempts: Vec<String>,
}

/// What `If-Match` named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Expect {
    /// `"none"`: no event ever.
    Nothing,
    /// The topic's last id.
    Last(EventId),
}

/// What one reader was sent, over all its connections.
#[derive(Debug)]
pub(crate) struct ReaderLog {
    pub(crate) name: String,
    pub(crate) wants: HashSet<TopicIndex>,
    /// It began with `from=now`, otherwise with `from=earliest`.
    pub(crate) from_now: bool,
    pub(crate) items: Vec<Item>,
    pub(crate) finish: Finish,
}

/// Through where a reader must have everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finish {
    /// It read to the last markers, or was told by 204 that nothing can follow.
    All,
    /// It was stopped: through the newest id that it received.
    Stopped,
    /// It should have read to the end, and did not in time: its state, for people.
    Late(String),
}

/// Something that a reader was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// A connection to a hub began, with this cursor.
    Connected {
        hub: usize,
        cursor: Option<EventId>,
    },
    /// `hub.cursor`.
    Cursor(EventId),
    Event {
        id: EventId,
        number: Number,
    },
    /// An event whose data nobody sent, or which came with another topic than it was sent to.
    Foreign {
        id: String,
        text: String,
    },
    /// `hub.gap`; without a topic it is of the whole stream.
    Gap {
        topic: Option<TopicIndex>,
        reason: String,
    },
    /// `hub.end`.
    End {
        topic: TopicIndex,
        deleted: bool,
        last: Option<EventId>,
    },
    /// An answer or an event that the protocol does not have.
    Odd(String),
}

/// The whole log as one hub returned it, page by page, at the end.
#[derive(Debug, Default)]
pub(crate) struct HubLog {
    pub(crate) hub: usize,
    /// `Event`, `Gap`, `Foreign` and `Odd`, in the order of the pages.
    pub(crate) items: Vec<Item>,
    /// Last id and number of kept events of each topic, as `GET /topics/T` says.
    pub(crate) topics: HashMap<TopicIndex, (Option<EventId>, u64)>,
}

impl TopicFacts {
    pub(crate) fn is_kept(&self) -> bool {
        self.fate == Fate::Kept
    }
}

impl ReaderLog {
    /// Ids and numbers of its events.
    pub(crate) fn events(&self) -> impl Iterator<Item = (EventId, Number)> {
        events(&self.items)
    }
}

impl HubLog {
    pub(crate) fn events(&self) -> impl Iterator<Item = (EventId, Number)> {
        events(&self.items)
    }
}

fn events(items: &[Item]) -> impl Iterator<Item = (EventId, Number)> {
    items.iter().filter_map(|item| match item {
        Item::Event { id, number } => Some((*id, *number)),
        _ => None,
    })
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected { hub, cursor: Some(cursor) } => write!(f, "-- connected to hub {hub} with {cursor}"),
            Self::Connected { hub, cursor: None } => write!(f, "-- connected to hub {hub} without a cursor"),
            Self::Cursor(id) => write!(f, "hub.cursor {id}"),
            Self::Event { id, number } => write!(f, "{id} event {number}"),
            Self::Foreign { id, text } => write!(f, "{id} foreign: {text}"),
            Self::Gap { topic, reason } => write!(f, "hub.gap of topic {topic:?}: {reason}"),
            Self::End { topic, deleted, last } => {
                let last = last.map(|id| id.to_string());
                write!(f, "hub.end of topic {topic}, {}: {last:?}", if *deleted { "deleted" } else { "closed" })
            }
            Self::Odd(text) => write!(f, "odd: {text}"),
        }
    }
}
