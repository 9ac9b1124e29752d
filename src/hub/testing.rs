//! An engine that differs from the one it wraps in what a test sets.

use std::{pin::Pin, sync::Arc};

use crate::{
    engine::{
        Admin, Append, AppendError, AppendResult, Capabilities, Catalog, Engine, EngineFuture, LocateBy, Log, LogPage,
        ReadError, ReadRequest, Receipt, Rejected, Status, TopicChange, TopicState, When,
    },
    event::{Epoch, EventId, Millis, NewEvent, Selection, Seq, TopicName},
};

/// A wrapped engine.
pub(crate) struct WrappedEngine {
    pub(crate) inner: Arc<dyn Engine>,
    pub(crate) capabilities: Capabilities,
}

impl Engine for WrappedEngine {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn catalog(&self) -> Arc<dyn Catalog> {
        self.inner.catalog()
    }

    fn close(&self) {
        self.inner.close();
    }
}

impl Log for WrappedEngine {
    fn epoch(&self) -> Epoch {
        self.inner.epoch()
    }

    fn head(&self) -> Seq {
        self.inner.head()
    }

    fn append(&self, append: Append) -> EngineFuture<Vec<Receipt>, AppendError> {
        self.inner.append(append)
    }

    fn append_each(&self, events: Vec<NewEvent>) -> Result<EngineFuture<Vec<AppendResult>, AppendError>, Rejected> {
        self.inner.append_each(events)
    }

    fn read(&self, request: ReadRequest) -> EngineFuture<LogPage, ReadError> {
        self.inner.read(request)
    }

    fn locate(&self, selection: Selection, by: LocateBy) -> EngineFuture<Seq, ReadError> {
        self.inner.locate(selection, by)
    }

    fn stamp(&self, when: When) -> EngineFuture<Millis, ReadError> {
        self.inner.stamp(when)
    }
}

impl Admin for WrappedEngine {
    fn measure(&self, name: &TopicName) -> EngineFuture<Option<TopicState>, ReadError> {
        self.inner.measure(name)
    }

    fn topics(&self, prefix: String, after: String, limit: usize) -> EngineFuture<Vec<TopicState>, ReadError> {
        self.inner.topics(prefix, after, limit)
    }

    fn deleted_through(&self, names: Vec<TopicName>) -> EngineFuture<Vec<Option<Seq>>, ReadError> {
        self.inner.deleted_through(names)
    }

    fn configure(&self, topic: TopicName, change: TopicChange) -> EngineFuture<TopicState, AppendError> {
        self.inner.configure(topic, change)
    }

    fn delete(&self, topic: TopicName) -> EngineFuture<bool, AppendError> {
        self.inner.delete(topic)
    }

    fn remove(&self, topic: TopicName, id: EventId) -> EngineFuture<bool, AppendError> {
        self.inner.remove(topic, id)
    }

    fn pending_removals(&self) -> Vec<(TopicName, Seq)> {
        self.inner.pending_removals()
    }

    fn status(&self) -> Pin<Box<dyn Future<Output = Status> + Send>> {
        self.inner.status()
    }
}
