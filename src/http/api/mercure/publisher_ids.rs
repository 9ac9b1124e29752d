//! Where the updates with ids of their publishers are in the log: an index that is made by reading the log, up to its head
//! whenever it is asked. So it survives a restart, and is of all hubs that share the log.
//!
//! Nothing is read before the first request that continues after such an id; then all updates are, once. Only hashes and
//! positions are kept, of the [`MAX_IDS`] newest updates; what is found is compared with the event itself.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use tokio::{sync::Mutex, time::timeout};

use crate::{
    access,
    engine::{ReadError, ReadLimit},
    event::{Epoch, Event, EventId, EventRule, Filter, NewEvent, Selection, SelectionRule, Seq, TopicName},
    http::api::mercure_log::{
        log_topic::{Audience, PRIVATE, PUBLIC, log_topic},
        update_note::UpdateNote,
    },
    hub::Hub,
};

/// Ids that are kept at most: some 100 MB. Older ones are unknown, as if their events were gone.
pub const MAX_IDS: usize = 1_000_000;

/// How long the log may be read for one request. What was read stays read, so that a later request has less to read.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Events of one read at most, and bytes.
const PAGE: ReadLimit = ReadLimit { events: 4096, bytes: 1 << 20 };

/// The index.
#[derive(Debug, Default)]
pub struct PublisherIds(Mutex<IdIndex>);

#[derive(Debug, Default)]
struct IdIndex {
    epoch: Option<Epoch>,
    /// Every update up to here is in it.
    through: Seq,
    /// The first update with each id.
    positions: HashMap<u64, Seq>,
    /// The same in the order of the log, to forget the oldest.
    order: BTreeMap<Seq, u64>,
}

/// Why an id was not found.
#[derive(Debug)]
pub enum NotFound {
    /// No kept update has it, or none that this reader may see.
    Unknown,
    /// The log cannot be read now, or not in time: a later request may find it.
    NotNow,
}

impl PublisherIds {
    /// The position after which a reader continues that has the update with this id: that of its last event. Only updates
    /// that `visible` admits are found.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn find(&self, hub: &Hub, id: &str, visible: &Selection) -> Result<EventId, NotFound> {
        let found = timeout(READ_TIMEOUT, async {
            let mut index = self.0.lock().await;
            index.read_on(hub).await.map(|()| index.position(id))
        });
        let unreadable = |reason: String| {
            tracing::warn!(reason, "an id of a publisher cannot be found");
            NotFound::NotNow
        };
        let found = found.await.map_err(|_| unreadable("reading the log takes too long".into()))?;
        let seq = found.map_err(|error| unreadable(error.to_string()))?.ok_or(NotFound::Unknown)?;
        let event = hub.event_at(all(), seq).await.map_err(|error| unreadable(error.to_string()))?;
        let (epoch, event) = event.ok_or(NotFound::Unknown)?;
        let note = UpdateNote::read(event.new.metadata.as_ref()).filter(|note| note.id == Some(id));
        let note = note.ok_or(NotFound::Unknown)?;
        // By any of its topics: which of its events the reader was sent does not matter.
        let seen = (0..note.topics.len()).any(|place| {
            let note = UpdateNote { place, ..note.clone() };
            let sibling = sibling(&event.new, &note);
            sibling.is_some_and(|event| visible.matches(&event.topic) && visible.admits(&event))
        });
        let seq = Seq(event.seq.0 + note.following());
        if seen { Ok(EventId { epoch, seq }) } else { Err(NotFound::Unknown) }
    }
}

/// The event of the same update in the topic that is at the place of `note`.
fn sibling(event: &NewEvent, note: &UpdateNote<'_>) -> Option<NewEvent> {
    let (audience, _) = Audience::of(&event.topic)?;
    let topic = log_topic(note.topics[note.place], audience).ok()?;
    Some(NewEvent { metadata: note.metadata().ok(), ..NewEvent::new(topic, "") })
}

impl IdIndex {
    /// Reads the log up to its head.
    async fn read_on(&mut self, hub: &Hub) -> Result<(), ReadError> {
        loop {
            let from = (self.epoch == Some(hub.epoch())).then_some(self.through);
            if from.is_some_and(|through| through >= hub.head().seq) {
                return Ok(());
            }
            let page = hub.scan(with_ids(), from, PAGE).await?;
            if self.epoch != Some(page.epoch) {
                *self = Self { epoch: Some(page.epoch), ..Self::default() };
                if from.is_some() {
                    continue; // the log was replaced: from its beginning
                }
            }
            page.events.iter().for_each(|event| self.add(event));
            self.through = page.through.max(self.through);
            if page.at_end {
                return Ok(());
            }
        }
    }

    fn add(&mut self, event: &Event) {
        let note = UpdateNote::read(event.new.metadata.as_ref()).filter(|note| note.place == 0);
        let Some(hash) = note.and_then(|note| note.id).map(hash) else { return };
        if self.positions.contains_key(&hash) {
            return; // the first one counts: after it nothing is missed
        }
        self.positions.insert(hash, event.seq);
        self.order.insert(event.seq, hash);
        if self.order.len() > MAX_IDS
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.positions.remove(&oldest);
        }
    }

    fn position(&self, id: &str) -> Option<Seq> {
        self.positions.get(&hash(id)).copied()
    }
}

/// 64 bits: what is found is compared with the event.
fn hash(id: &str) -> u64 {
    let digest = access::sha256(id.as_bytes());
    u64::from_be_bytes(*digest.first_chunk().expect("32 bytes"))
}

fn all() -> Selection {
    let filters = [PUBLIC, PRIVATE].map(|prefix| Filter::new(&format!("{prefix}*")).expect("a pattern"));
    Selection::new(filters).expect("two filters")
}

fn with_ids() -> Selection {
    all().with_rule(SelectionRule::new(WithId))
}

/// The first events of updates with an id of their publisher.
struct WithId;

impl EventRule for WithId {
    fn key(&self) -> &'static str {
        "mercure: with an id"
    }

    fn admits_topic(&self, _topic: &TopicName) -> bool {
        true
    }

    fn admits(&self, event: &NewEvent) -> bool {
        UpdateNote::read(event.metadata.as_ref()).is_some_and(|note| note.place == 0 && note.id.is_some())
    }
}
