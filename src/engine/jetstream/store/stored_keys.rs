//! The idempotency keys of the stream, read after the pass over all subjects, which leaves their payloads out.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::super::{
    nats::{Headers, Nats, NatsError, Range, Stored},
    wire::{KeyPart, StreamSubjects, SubjectPlace, decode_keys},
};
use super::{load_error::StreamLoadError, shared::KEY_MARGIN, writes::TTL};
use crate::{
    engine::log::store::KeyRecord,
    event::{Millis, Seq},
};

/// Messages and bytes of one read.
const AT_ONCE: usize = 4096;
const BYTES: usize = 4 << 20;

/// The positions of messages with keys, and until when each is needed.
pub(super) type WantedKeys = BTreeMap<u64, Millis>;

/// Until when the keys in a message that was stored at `time`, in nanoseconds, count. It is stored for longer.
pub(super) fn needed_until(time: u64, headers: &Headers) -> Millis {
    let ttl = headers.get(TTL).and_then(|ttl| ttl.strip_suffix('s')?.parse::<u64>().ok()).unwrap_or(0);
    Millis(time / 1_000_000 + ttl.saturating_sub(KEY_MARGIN.as_secs()).saturating_mul(1000))
}

/// The keys in the messages at the positions `wanted`, in order of time. Those that have expired meanwhile are left out.
/// `newest`: when the newest message that is known was stored, by the servers' clock.
///
/// # Errors
/// When keys that are needed are not there: a replica is read that is behind the one that told the positions.
pub(super) async fn read(
    nats: &Nats,
    subjects: &StreamSubjects,
    mut wanted: WantedKeys,
    mut newest: Millis,
) -> Result<Vec<KeyRecord>, StreamLoadError> {
    let filter = subjects.all_keys();
    let mut parts = KeyParts { subjects, parts: BTreeMap::new() };
    while let Some(first) = wanted.first_key_value().map(|(first, _)| *first) {
        let page =
            nats.range(Range { filter: filter.clone(), from: first, max: AT_ONCE, max_bytes: BYTES }).await?.messages;
        // Of an empty page nothing is known: another replica is asked next.
        let reached = page.last().map_or(first, |message| message.seq);
        for message in page {
            newest = newest.max(Millis(message.time / 1_000_000));
            if wanted.remove(&message.seq).is_some() {
                parts.take(message)?;
            }
        }
        // What this replica does not have, the stream's leader has, or it has expired. Keys expire from the first on, so that
        // one question is enough for many.
        while let Some(missing) = wanted.first_key_value().map(|(first, _)| *first).filter(|first| *first <= reached) {
            let next = nats.leader_next(&filter, missing).await?;
            let rest = next.as_ref().map_or_else(WantedKeys::new, |next| wanted.split_off(&next.seq));
            check_expired(&std::mem::replace(&mut wanted, rest), newest)?;
            if let Some(next) = next.filter(|next| wanted.remove(&next.seq).is_some()) {
                parts.take(next)?;
            }
        }
    }
    parts.finish()
}

/// Fails when one of these keys, which are not there, is needed. Keys expire by the servers' clock, which may be ahead of this
/// machine's: it is at `newest` at least.
fn check_expired(missing: &WantedKeys, newest: Millis) -> Result<(), NatsError> {
    let now = Millis::from(SystemTime::now()).max(newest);
    match missing.iter().find(|(_, until)| **until > now) {
        Some((seq, _)) => {
            Err(NatsError::NoAnswer(format!("the keys at position {seq} are needed, and the leader has not got them")))
        }
        None => Ok(()),
    }
}

/// The parts of commits' keys.
struct KeyParts<'a> {
    subjects: &'a StreamSubjects,
    parts: BTreeMap<Seq, Vec<KeyPart>>,
}

impl KeyParts<'_> {
    fn take(&mut self, message: Stored) -> Result<(), StreamLoadError> {
        let Some(SubjectPlace::Keys(commit)) = self.subjects.parse(&message.subject) else { return Ok(()) };
        let part = KeyPart::decode(&message.headers, message.payload);
        let part = part.map_err(|error| StreamLoadError::Record(Seq(message.seq), error))?;
        self.parts.entry(commit).or_default().push(part);
        Ok(())
    }

    fn finish(self) -> Result<Vec<KeyRecord>, StreamLoadError> {
        let mut keys = Vec::new();
        for (commit, parts) in self.parts {
            keys.extend(decode_keys(parts).map_err(|error| StreamLoadError::Record(commit, error))?);
        }
        keys.sort_by_key(|record| record.time);
        Ok(keys)
    }
}
