//! Every message of the stream from a position on: in order, once, each write as a whole.
//!
//! Messages come as the server republishes them, which is fast and may lose some. A position that is not the next one
//! tells of a loss, and so does a heartbeat of the leader with a head that has not come. What is missing is read by direct
//! gets. A replica that answers them may be behind: its answer is true up to its last message, and is asked for again from
//! there.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{
    nats::{Live, LiveItem, Nats, NatsError, Range, Stored},
    wire::StreamSubjects,
};

/// Messages of one read: a page of 1,000 events of 256 bytes takes some 10 ms.
const PAGE_MESSAGES: usize = 1000;

/// Bytes of one read.
const PAGE_BYTES: usize = 4 << 20;

/// Between two reads of what a replica does not have yet. Replicas are behind by 20 to 160 messages under load.
const AGAIN: Duration = Duration::from_millis(20);

/// Without a message for so long, the next position is asked for once.
pub(super) const SILENCE: Duration = Duration::from_millis(250);

/// How long a write may be without its last message before it is passed on as it is: the last message may have been trimmed.
const INCOMPLETE: Duration = Duration::from_secs(1);

/// The messages of one write, in order; at least one.
#[derive(Default)]
pub(super) struct Write {
    pub(super) messages: Vec<Stored>,
    /// Messages before it were removed before they were read.
    pub(super) after_hole: bool,
    /// With `after_hole`: why they were is told in the stream up to this position.
    pub(super) told_at: u64,
}

/// The stream from a position on.
pub(super) struct StreamFeed {
    nats: Nats,
    live: Live,
    subjects: StreamSubjects,
    /// The newest message that was taken.
    position: u64,
    /// Messages of a write whose last one has not come.
    open: Write,
    /// When the first of them came.
    opened: Instant,
    /// The stream is known to reach to this position.
    known: u64,
    /// Messages may be missing: the next position is to be asked for.
    unsure: bool,
}

impl StreamFeed {
    /// The stream after `position`.
    ///
    /// # Errors
    /// When the subscription is not answered.
    pub(super) async fn after(nats: &Nats, subjects: &StreamSubjects, position: u64) -> Result<Self, NatsError> {
        let live = nats.live().await?;
        Ok(Self {
            nats: nats.clone(),
            live,
            subjects: subjects.clone(),
            position,
            open: Write::default(),
            opened: Instant::now(),
            known: position,
            // What was stored between the caller's position and the subscription.
            unsure: true,
        })
    }

    /// The newest position that was taken. All complete writes up to it were returned when `is_whole`.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The end of the writes that were returned: what is after it is to be read again by another feed.
    pub(super) fn returned(&self) -> u64 {
        self.open.messages.first().map_or(self.position, |first| first.seq - 1)
    }

    /// Whether no write is incomplete.
    pub(super) fn is_whole(&self) -> bool {
        self.open.messages.is_empty()
    }

    /// The stream reaches to this position, as another hub has said.
    pub(super) fn expect(&mut self, position: u64) {
        self.known = self.known.max(position);
    }

    /// Whether everything that is known to be in the stream was taken.
    pub(super) fn is_level(&self) -> bool {
        self.position >= self.known
    }

    /// The next writes; none when nothing has come for [`SILENCE`]. To be polled until it is ready: a future that is dropped
    /// may take writes with it.
    ///
    /// # Errors
    /// When nothing can be read now; [`NatsError::Silent`] when the server has not answered at all for `patience`. May be
    /// called again.
    pub(super) async fn next(&mut self, patience: Duration) -> Result<Vec<Write>, NatsError> {
        let mut writes = Vec::new();
        if !std::mem::take(&mut self.unsure) && self.is_level() {
            match timeout(SILENCE, self.live.next()).await {
                Ok(Some(item)) => self.take_live(item, &mut writes),
                Ok(None) => return Err(NatsError::NoAnswer("the connection has ended".into())),
                Err(_) => self.unsure = true,
            }
        } else if self.read(&mut writes, patience).await? == 0 && !self.is_level() {
            tokio::time::sleep(AGAIN).await;
        }
        // What is here already goes along.
        while self.is_level()
            && !self.unsure
            && writes.len() < PAGE_MESSAGES
            && let Some(item) = self.live.try_next()
        {
            self.take_live(item, &mut writes);
        }
        if !self.open.messages.is_empty() && self.opened.elapsed() > INCOMPLETE {
            writes.push(std::mem::take(&mut self.open));
        }
        Ok(writes)
    }

    /// Messages may be missing: asks for the next position.
    pub(super) fn doubt(&mut self) {
        self.unsure = true;
    }

    /// Leaves out positions that hold no message any more.
    pub(super) fn skip_to(&mut self, position: u64) {
        self.position = self.position.max(position);
    }

    /// Takes the next message. One that is not the next is read again, with those before it.
    fn take_live(&mut self, item: LiveItem, writes: &mut Vec<Write>) {
        match item {
            LiveItem::Stored(stored) if stored.seq > self.position + 1 => self.expect(stored.seq),
            LiveItem::Stored(stored) => self.take(stored, writes),
            LiveItem::Lagged => self.unsure = true,
        }
    }

    async fn read(&mut self, writes: &mut Vec<Write>, patience: Duration) -> Result<usize, NatsError> {
        let range =
            Range { filter: self.subjects.all(), from: self.position + 1, max: PAGE_MESSAGES, max_bytes: PAGE_BYTES };
        let page = tokio::select! {
            biased;
            page = self.nats.range(range) => page?,
            silent = self.nats.silence(patience) => return Err(silent),
        };
        let taken = page.messages.len();
        for stored in page.messages {
            self.take(stored, writes);
        }
        Ok(taken)
    }

    fn take(&mut self, stored: Stored, writes: &mut Vec<Write>) {
        if stored.seq <= self.position {
            return;
        }
        let is_after_hole = stored.seq > self.position + 1;
        self.position = stored.seq;
        let of_open = |open: &Stored| open.batch.as_ref().map(|of| &of.id) == stored.batch.as_ref().map(|of| &of.id);
        if !self.open.messages.first().is_none_or(of_open) {
            writes.push(std::mem::take(&mut self.open));
        }
        if self.open.messages.is_empty() {
            self.opened = Instant::now();
        }
        let ends = stored.batch.as_ref().is_none_or(|batch| batch.commit);
        self.open.after_hole |= is_after_hole;
        self.open.messages.push(stored);
        if ends {
            writes.push(std::mem::take(&mut self.open));
        }
    }
}
