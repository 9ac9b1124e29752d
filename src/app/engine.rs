//! Which engine keeps the log, and over which store.

use std::{sync::Arc, time::SystemTime};

use super::AppError;
use crate::{
    config::{Config, kinds::Engine as EngineKind},
    engine::{
        Engine,
        log::{LogConfig, LogEngine, Store},
        memory::MemoryStore,
        sled::{SledConfig, SledStore},
    },
    event::Millis,
    hub::board::Board,
};

pub(super) fn open(config: &Config, board: &Arc<Board>) -> Result<Arc<dyn Engine>, AppError> {
    Ok(match config.hub.engine {
        EngineKind::Memory => open_log(MemoryStore::new(), config, board),
        EngineKind::Sled => open_log(SledStore::open(sled_config(config))?, config, board),
    })
}

fn open_log<S: Store>(store: S, config: &Config, board: &Arc<Board>) -> Arc<dyn Engine> {
    let config = LogConfig {
        rules: config.retention_rules(),
        idempotency_window: config.publish.idempotency_window,
        idempotency_keys: config.publish.idempotency_keys,
        clock: Arc::new(|| Millis::from(SystemTime::now())),
        ..LogConfig::default()
    };
    LogEngine::open(store, config, board.clone())
}

fn sled_config(config: &Config) -> SledConfig {
    SledConfig {
        rotate_bytes: config.store.rotate_bytes,
        rotate_age: config.store.rotate_age,
        reserve_bytes: config.store.reserve_bytes,
        key_window: config.publish.idempotency_window,
        ..SledConfig::new(config.hub.data.clone())
    }
}
