//! The stores that the contract is tested with.

use std::sync::Arc;

use super::super::{
    Engine, Observer,
    log::{LogConfig, LogEngine},
    memory::MemoryStore,
    sled::{SledConfig, SledStore},
};

/// Opens an engine over the same stored data, again and again.
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

/// A temporary directory, deleted with the factory; the store in it is closed by its engine.
pub(crate) struct SledFactory(tempfile::TempDir);

impl StoreFactory for SledFactory {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn open(&mut self, config: LogConfig, observer: Arc<dyn Observer>) -> Arc<dyn Engine> {
        let store = SledStore::open(SledConfig::fixture(self.0.path().join("store"))).expect("a sound store");
        LogEngine::open(store, config, observer)
    }
}
