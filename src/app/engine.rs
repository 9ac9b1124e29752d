//! Which engine keeps the log, and over which store.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::AppError;
use crate::{
    config::{Config, kinds::Engine as EngineKind},
    engine::{
        Engine,
        log::{LogConfig, LogEngine, Store},
        memory::MemoryStore,
        sled::{SledConfig, SledStore, kept_clock},
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

/// The newest stamp that the hub on this configuration's store has told of, and by how much it is ahead of this machine's
/// clock; `None` when the hub that had the store last saw nothing of that.
#[must_use]
pub fn clock_ahead(config: &Config) -> Option<(Millis, Duration)> {
    let stamp = kept_clock(&config.hub.data).filter(|_| config.hub.engine == EngineKind::Sled)?;
    let ahead = stamp.0.checked_sub(Millis::from(SystemTime::now()).0)? / 1000;
    (ahead > 0).then(|| (stamp, Duration::from_secs(ahead)))
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
