//! The fan-out: sends new frames to a shard's streams. It is the hot loop of the hub.
//!
//! A commit marks the feeds it changed and wakes each shard once. The shard visits the contiguous records of their
//! streams and sends the shared bytes to each socket that has room. No task is woken, and nothing is allocated or
//! copied for a single stream. What is committed during a visit goes out joined, in one write, which is what makes a
//! busy hub cheap. Every other case (a full socket, a ring that has moved past the cursor, the end of a topic) is left
//! to the stream's own task, which continues from its cursor by the same rule.

use std::{rc::Rc, sync::Arc};

use tokio::task::yield_now;

use super::{
    direct_connection::DirectConnection,
    record::SentCounts,
    shard::StreamShard,
    streams::{FeedStreams, Member, StreamSender, WakeMode},
};
use crate::hub::{
    batch::{FrameBatch, ReadLimit},
    feed::Next,
    shard::Shard,
};

/// Streams visited before the loop yields to other tasks of the shard: some 2 ms of sending. What is published
/// meanwhile is joined to what the remaining streams are sent.
const STREAMS_PER_ROUND: usize = 512;

/// Sends new frames to the streams of a shard, for as long as the process lives.
pub async fn fan_out(stream_shard: Rc<StreamShard>) {
    let broker = Arc::clone(stream_shard.hub.broker());
    let shard = &broker.shards()[stream_shard.index];
    loop {
        shard.changed().await;
        for feed in shard.take(stream_shard.index) {
            if let Some(group) = stream_shard.streams.group(&feed) {
                visit(&stream_shard, shard, &group).await;
            }
        }
    }
}

async fn visit(stream_shard: &StreamShard, shard: &Shard, group: &FeedStreams) {
    let turns = group.feed.turns();
    let lifecycle_changed = group.turns.replace(turns) != turns;
    let mut resume_at = Some(0);
    while let Some(from) = resume_at {
        let mut round = Round {
            shard,
            group,
            limit: stream_shard.limit,
            now: stream_shard.streams.now(),
            lifecycle_changed,
            next: None,
            sent: SentCounts::default(),
        };
        resume_at = round.walk(from);
        let stats = stream_shard.hub.stats();
        stats.events_out.add(round.sent.events);
        stats.bytes_out.add(round.sent.bytes);
        if resume_at.is_some() {
            yield_now().await;
        }
    }
}

/// A visit to at most [`STREAMS_PER_ROUND`] streams of one feed.
struct Round<'a> {
    shard: &'a Shard,
    group: &'a FeedStreams,
    limit: ReadLimit,
    now: u32,
    /// A topic was closed, reopened or deleted: the streams' tasks must be woken.
    lifecycle_changed: bool,
    /// The batch that the last stream was sent; most of the others are at the same cursor.
    next: Option<Arc<FrameBatch>>,
    /// What was sent, counted once for each stream.
    sent: SentCounts,
}

impl Round<'_> {
    /// Serves the streams from slot `from` on. Returns the slot to resume at; `None` after the last one.
    fn walk(&mut self, from: usize) -> Option<usize> {
        let mut members = self.group.members.borrow_mut();
        let end = members.capacity().min(from + STREAMS_PER_ROUND);
        for key in from..end {
            if let Some(member) = members.get_mut(key) {
                self.serve(member);
            }
        }
        (end < members.capacity()).then_some(end)
    }

    fn serve(&mut self, member: &mut Member) {
        match (member.wake_mode, &mut member.sender) {
            (WakeMode::Busy, _) => {}
            (WakeMode::Send, StreamSender::Direct(connection)) if !self.lifecycle_changed => {
                let before = connection.cursor;
                let at_end = self.send(connection);
                if connection.cursor != before {
                    member.mark_sent(self.now);
                }
                if !at_end {
                    member.wake_mode = WakeMode::Busy;
                    member.wake();
                }
            }
            _ => member.wake(),
        }
    }

    /// Sends what the ring has after the connection's cursor. Returns whether the connection is at the ring's end.
    fn send(&mut self, connection: &mut DirectConnection) -> bool {
        loop {
            if self.next.as_ref().is_none_or(|batch| batch.after != connection.cursor) {
                match self.shard.after(&self.group.feed, connection.cursor, self.limit) {
                    Next::Nothing => return true,
                    Next::Overrun => return false,
                    Next::Batch(batch) if batch.closes() => return false,
                    Next::Batch(batch) => self.next = Some(batch),
                }
            }
            let Some(batch) = &self.next else { return true };
            // A batch that is sent in parts is left to the task.
            let Some(bytes) = connection.encoding.framed(batch) else { return false };
            let Ok(sent) = connection.socket.send(bytes) else { return false };
            // The socket took nothing: the cursor stays, so that the task continues from where the client is.
            if sent == 0 {
                return false;
            }
            connection.cursor = batch.end();
            let counts = SentCounts { events: batch.frames().len() as u64, bytes: bytes.len() as u64 };
            connection.sent += counts;
            self.sent += counts;
            if sent < bytes.len() {
                connection.unsent = Some(Box::new(bytes.slice(sent..)));
                return false;
            }
            if connection.socket.is_behind() {
                return false;
            }
        }
    }
}
