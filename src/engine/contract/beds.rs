//! The stores that every promise is tried on.

use std::sync::Arc;

use super::super::{
    Engine, Observer,
    log::{LogConfig, LogEngine},
    memory::MemoryStore,
    sled::{SledConfig, SledStore},
};

/// Somewhere an engine can be opened, closed, and opened again over what it kept.
pub(crate) trait StoreFactory {
    fn new() -> Self;
    fn open(&mut self, config: LogConfig, observer: Arc<dyn Observer>) -> Arc<dyn Engine>;
}

pub(crate) struct MemoryFactory(pub(crate) MemoryStore);

impl StoreFactory for MemoryFactory {
    fn new() -> Self {
        Self(MemoryStore::new())
    }

    fn open(&mut self, config: LogConfig, observer: Arc<dyn Observer>) -> Arc<dyn Engine> {
        LogEngine::open(self.0.clone(), config, observer)
    }
}

/// A directory that lives as long as its bed; the store on it is let go of when its engine is closed.
pub(crate) struct SledFactory(tempfile::TempDir);

impl StoreFactory for SledFactory {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn open(&mut self, config: LogConfig, observer: Arc<dyn Observer>) -> Arc<dyn Engine> {
        let store = SledStore::open(SledConfig::new(self.0.path().join("store"))).expect("a sound store");
        LogEngine::open(store, config, observer)
    }
}
