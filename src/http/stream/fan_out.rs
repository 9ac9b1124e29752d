//! Telling a core's streams the news: the hot loop of the hub.
//!
//! A commit marks the feeds it touched and wakes each core once. The core walks their streams, small records side by
//! side, and sends the shared bytes to each socket that has room: no task is woken, nothing is allocated or copied for a
//! stream. While it walks, more is committed; what is pending then goes out joined, in one write, which is what makes a
//! busy hub cheap. Whatever is not simply next (a full socket, a ring that has moved past, an end to tell) is left to the
//! stream's own task, which goes on from its cursor by the same rule.

use std::{rc::Rc, sync::Arc};

use tokio::task::yield_now;

use super::{
    direct::DirectConnection,
    streams::{FeedStreams, Member, WakeMode},
};
use crate::{
    http::ShardState,
    hub::{
        batch::{FrameBatch, ReadLimit},
        feed::Next,
        shard::Shard,
    },
};

/// Streams visited before others on this core have their turn: some 2 ms of sending. What is published meanwhile is
/// joined to what the rest is sent.
const VISITS: usize = 512;

/// Tells the streams of this core the news, for as long as the process lives.
pub async fn fan_out(shard_state: Rc<ShardState>) {
    let broker = Arc::clone(shard_state.app.hub.broker());
    let shard = &broker.shards()[shard_state.index];
    loop {
        shard.changed().await;
        for feed in shard.take(shard_state.index) {
            if let Some(group) = shard_state.streams.group(&feed) {
                visit(&shard_state, shard, &group).await;
            }
        }
    }
}

async fn visit(shard_state: &ShardState, shard: &Shard, group: &FeedStreams) {
    let turns = group.feed.turns();
    let lifecycle_changed = group.turns.replace(turns) != turns;
    let mut left = Some(0);
    while let Some(from) = left {
        let mut round = Round {
            shard,
            group,
            limit: shard_state.app.limits.limit,
            now: shard_state.streams.now(),
            lifecycle_changed,
            next: None,
            events: 0,
            bytes: 0,
        };
        left = round.walk(from);
        let stats = shard_state.app.hub.stats();
        stats.events_out.add(round.events);
        stats.bytes_out.add(round.bytes);
        if left.is_some() {
            yield_now().await;
        }
    }
}

/// Some streams of one feed, told at one go.
struct Round<'a> {
    shard: &'a Shard,
    group: &'a FeedStreams,
    limit: ReadLimit,
    now: u32,
    /// A topic was closed, reopened or deleted: the streams must look at it.
    lifecycle_changed: bool,
    /// What the last stream was sent; most of the others are at the same cursor.
    next: Option<Arc<FrameBatch>>,
    /// Given to streams, once for each.
    events: u64,
    bytes: u64,
}

impl Round<'_> {
    /// Tells the streams from the place `from` on. Answers with where to go on.
    fn walk(&mut self, from: usize) -> Option<usize> {
        let mut members = self.group.members.borrow_mut();
        let end = members.capacity().min(from + VISITS);
        for key in from..end {
            if let Some(member) = members.get_mut(key) {
                self.tell(member);
            }
        }
        (end < members.capacity()).then_some(end)
    }

    fn tell(&mut self, member: &mut Member) {
        match (member.wake_mode, &mut member.line) {
            (WakeMode::Busy, _) => {}
            (WakeMode::Send, Some(line)) if !self.lifecycle_changed => {
                let before = line.cursor;
                let at_end = self.send(line);
                if line.cursor > before {
                    member.spoke(self.now);
                }
                if !at_end {
                    member.wake_mode = WakeMode::Busy;
                    member.wake();
                }
            }
            _ => member.wake(),
        }
    }

    /// Sends what the ring has after the line's cursor. Answers with whether the line is at the ring's end.
    fn send(&mut self, line: &mut DirectConnection) -> bool {
        loop {
            if self.next.as_ref().is_none_or(|run| run.after != line.cursor) {
                match self.shard.after(&self.group.feed, line.cursor, self.limit) {
                    Next::Nothing => return true,
                    Next::Moved => return false,
                    Next::Run(run) if run.closes() => return false,
                    Next::Run(run) => self.next = Some(run),
                }
            }
            let Some(run) = &self.next else { return true };
            // What is sent in parts is the task's work.
            let Some(bytes) = line.encoding.framed(run) else { return false };
            let Ok(sent) = line.socket.send(bytes) else { return false };
            // With nothing taken the cursor stays, so that the stream's task finds it where the client is.
            if sent == 0 {
                return false;
            }
            line.cursor = run.last();
            self.events += run.frames().len() as u64;
            self.bytes += bytes.len() as u64;
            if sent < bytes.len() {
                line.rest = Some(Box::new(bytes.slice(sent..)));
                return false;
            }
            if line.socket.is_behind() {
                return false;
            }
        }
    }
}
