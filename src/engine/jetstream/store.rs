//! STUB, to be replaced by helper js-store's `store/mod.rs` (delete this file when merging). What the engine needs of it:
//!
//! - `open(handle, nats, prefix, &LogConfig)`: loads the topics (blocks; may be called on any thread that is not one of `handle`'s runtime, which
//!   is a current-thread runtime driven by its own thread). Fails when there is no stream or no epoch record.
//! - `last()`: the stream position that this store knows everything through: after `open` that of the load; later that of the last own
//!   write or of the last `saw`.
//! - `head()`: the newest position that this hub has written and that stays in the stream (not the keys, which expire): for heartbeats.
//! - `lead(term)`: from now on writes expect `term` (then each their predecessor) as the stream's last position.
//! - `saw(&Stored)`: the feed brings a message of another hub, in order, before it is applied: put it into the ring, and update what the store
//!   keeps in memory (deleted marks, tombstones, durable marks for holes).
//! - `saw_settings(&TopicRecord)`: the same message decoded, for the deleted-through marks; may become unnecessary if `saw` decodes it.
//!
//! `Commit::origins` become `Gl-Job` headers. The keys are the last messages of a write.
use super::{
    JetStreamError,
    nats::{Nats, Stored},
};
use crate::{
    engine::log::{LogConfig, store::*},
    event::*,
};
use tokio::runtime::Handle;
pub(super) struct JetStreamStore;
impl JetStreamStore {
    pub(super) fn open(_: Handle, _: Nats, _: &str, _: &LogConfig) -> Result<Self, JetStreamError> {
        todo!()
    }
    pub(super) fn last(&self) -> u64 {
        todo!()
    }
    pub(super) fn head(&self) -> u64 {
        todo!()
    }
    pub(super) fn lead(&self, _: u64) {
        todo!()
    }
    pub(super) fn saw(&self, _: &Stored) {
        todo!()
    }
    pub(super) fn saw_settings(&self, _: &TopicRecord) {
        todo!()
    }
}
impl Store for JetStreamStore {
    fn name(&self) -> &'static str {
        todo!()
    }
    fn recovered(&self, _: &mut dyn FnMut(TopicSummary)) -> Recovered {
        todo!()
    }
    fn commit(&self, _: &Commit) -> Result<(), StoreError> {
        todo!()
    }
    fn topic_events(
        &self,
        _: (TopicKey, &TopicName),
        _: Seq,
        _: Seq,
        _: ReadLimit,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        todo!()
    }
    fn topic_headers(&self, _: (TopicKey, &TopicName), _: Seq, _: usize) -> Result<Vec<EventHeader>, StoreError> {
        todo!()
    }
    fn topic_newest(&self, _: (TopicKey, &TopicName), _: Seq, _: Seq, _: usize) -> Result<Vec<Position>, StoreError> {
        todo!()
    }
    fn scan(
        &self,
        _: Seq,
        _: Seq,
        _: ReadLimit,
        _: &mut dyn FnMut(TopicKey) -> Option<TopicName>,
    ) -> Result<Scan, StoreError> {
        todo!()
    }
    fn position_before(&self, _: Millis) -> Result<Seq, StoreError> {
        todo!()
    }
    fn save_settings(&self, _: &[TopicRecord]) -> Result<(), StoreError> {
        todo!()
    }
    fn remove(&self, _: (TopicKey, &TopicName), _: Seq) -> Result<RemoveOutcome, StoreError> {
        todo!()
    }
    fn clear_pending_removal(&self, _: TopicKey, _: Seq) {
        todo!()
    }
    fn unscrubbed(&self) -> u64 {
        todo!()
    }
    fn keep_clock(&self, _: &KeptClock) -> Result<(), StoreError> {
        todo!()
    }
    fn mark(&self, _: &TopicName) -> Option<Seq> {
        todo!()
    }
    fn marks(&self, _: &str, _: Seq) -> Vec<(TopicName, Seq)> {
        todo!()
    }
    fn reclaim(&self, _: &dyn Liveness) -> Result<(), StoreError> {
        todo!()
    }
    fn room(&self) -> Result<(), StoreError> {
        todo!()
    }
    fn disk_bytes(&self) -> u64 {
        todo!()
    }
    fn disk_space(&self) -> Option<DiskSpace> {
        todo!()
    }
    fn losses(&self) -> u64 {
        todo!()
    }
    fn close(&self) {
        todo!()
    }
}
