//! What these handlers share, and the streams that they are about.

use std::{fmt, sync::Arc, time::Duration};

use tokio::sync::{OnceCell, RwLock};

use super::{
    content_type::DataFormat,
    definition::{ForkOrigin, StreamDefinition},
    offset::Offset,
    registry::Registry,
};
use crate::{
    engine::{ReadError, TopicQuery},
    event::{Epoch, EventId, Metadata, Millis, Seq, TopicName, metadata::DURABLE_STREAMS},
    hub::Hub,
};

/// Topics that are looked at in one step when the hub starts.
const TOPICS_AT_ONCE: usize = 1000;

/// What the streams of all cores share.
pub struct DurableStreams {
    /// The hub that has them.
    pub hub: Arc<Hub>,
    /// How long a long poll waits.
    pub long_poll: Duration,
    /// What is in memory of them.
    pub registry: Registry,
    /// Held for reading while a stream is created or appended to, and for writing while one is forked or deleted, so that
    /// neither meets a stream that is about to go.
    pub lifecycle: RwLock<()>,
    loaded: OnceCell<()>,
}

/// A stream, as it was when it was looked up.
#[derive(Debug, Clone)]
pub struct StreamSnapshot {
    /// Its topic.
    pub topic: TopicName,
    /// What it was created with.
    pub definition: StreamDefinition,
    /// The same as its topic keeps it; `None` for a topic that was only published to.
    pub metadata: Option<Metadata>,
    /// The end of the stream.
    pub tail: EventId,
    /// It takes no more appends.
    pub closed: bool,
}

/// What is found under a name.
#[derive(Debug, Clone)]
pub enum FoundStream {
    /// Nothing, or what has expired.
    Missing,
    /// A stream that was deleted, of which forks live.
    Deleted(StreamSnapshot),
    /// A stream.
    Open(StreamSnapshot),
}

impl fmt::Debug for DurableStreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DurableStreams").field("registry", &self.registry).finish_non_exhaustive()
    }
}

impl DurableStreams {
    /// The streams of `hub`.
    #[must_use]
    pub fn new(hub: Arc<Hub>, long_poll: Duration) -> Self {
        let (registry, lifecycle, loaded) = (Registry::default(), RwLock::new(()), OnceCell::new());
        Self { hub, long_poll, registry, lifecycle, loaded }
    }

    /// Looks at all topics once, for their lifetimes and forks. The first request after a start waits for it.
    ///
    /// # Errors
    /// When the log cannot be read now; the next call begins again.
    pub async fn load(&self) -> Result<(), ReadError> {
        self.loaded.get_or_try_init(|| self.load_all()).await.copied()
    }

    async fn load_all(&self) -> Result<(), ReadError> {
        let mut query = TopicQuery::default();
        loop {
            let views = self.hub.topics(query.clone(), TOPICS_AT_ONCE).await?;
            for view in &views {
                if let Some(metadata) = view.state.metadata.as_ref().filter(|one| one.tag() == DURABLE_STREAMS) {
                    self.registry.insert(&view.state.topic, &StreamDefinition::of(Some(metadata)));
                }
            }
            match views.last() {
                Some(last) if views.len() == TOPICS_AT_ONCE => query.after = last.state.topic.to_string(),
                _ => return Ok(()),
            }
        }
    }

    /// What is found under the name of a topic.
    #[must_use]
    pub fn find(&self, topic: &TopicName) -> FoundStream {
        match self.find_kept(topic) {
            // A topic of this name may be another one than the stream that has expired.
            FoundStream::Open(found)
                if found.definition.lifetime.is_some() && self.registry.is_expired(topic, now()) =>
            {
                FoundStream::Missing
            }
            found => found,
        }
    }

    /// Whether forks of a stream live.
    #[must_use]
    pub fn has_forks(&self, source: &TopicName) -> bool {
        let is_fork = |fork: &TopicName| match self.find_kept(fork) {
            FoundStream::Open(view) | FoundStream::Deleted(view) => {
                view.definition.fork.is_some_and(|origin| origin.source == source.as_str())
            }
            FoundStream::Missing => false,
        };
        self.registry.forks(source).iter().any(is_fork)
    }

    /// Brings a snapshot of an open stream up to date, also when its lifetime is over and it was not deleted yet. False, and
    /// nothing changes, when it is gone.
    #[must_use]
    pub fn renew(&self, view: &mut StreamSnapshot) -> bool {
        let Some(facts) = self.hub.topic(&view.topic) else { return false };
        if facts.metadata == view.metadata && facts.last.is_some() {
            // So the definition, which takes longer to read than an event to be sent, has not changed either.
            view.tail = tail(self.hub.epoch(), facts.last, &view.definition);
            view.closed = facts.closed;
            return !view.definition.deleted;
        }
        let FoundStream::Open(now) = self.find_kept(&view.topic) else { return false };
        *view = now;
        true
    }

    /// The stream of a topic, also one whose lifetime is over and that was not deleted yet.
    #[must_use]
    pub fn find_kept(&self, topic: &TopicName) -> FoundStream {
        let Some(facts) = self.hub.topic(topic) else { return FoundStream::Missing };
        let definition = StreamDefinition::of(facts.metadata.as_ref());
        if definition.starts_with_events && facts.last.is_none() {
            return FoundStream::Missing;
        }
        let tail = tail(self.hub.epoch(), facts.last, &definition);
        let deleted = definition.deleted;
        let view =
            StreamSnapshot { topic: topic.clone(), definition, metadata: facts.metadata, tail, closed: facts.closed };
        if deleted { FoundStream::Deleted(view) } else { FoundStream::Open(view) }
    }
}

impl StreamSnapshot {
    /// The offset of its end.
    #[must_use]
    pub fn tail_offset(&self) -> Offset {
        Offset(self.tail)
    }

    /// How its data is read and written.
    #[must_use]
    pub fn format(&self) -> DataFormat {
        DataFormat::of(&self.definition.content_type)
    }
}

/// The end of a stream whose topic has this newest position.
fn tail(epoch: Epoch, last: Option<Seq>, definition: &StreamDefinition) -> EventId {
    let inherited = definition.fork.as_ref().map_or(Seq::ZERO, ForkOrigin::through);
    EventId { epoch, seq: last.unwrap_or_default().max(inherited) }
}

/// The machine's time.
#[must_use]
pub fn now() -> Millis {
    std::time::SystemTime::now().into()
}
