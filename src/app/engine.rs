//! Which engine keeps the log, and over which store.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::AppError;
use crate::{
    config::{Config, kinds::EngineKind},
    engine::{
        Engine,
        log::{LogConfig, LogEngine, Store},
        memory::MemoryStore,
        sled::{SledConfig, SledStore, kept_clock},
    },
    event::Millis,
    hub::broker::Broker,
};

pub(super) fn open(config: &Config, broker: &Arc<Broker>) -> Result<Arc<dyn Engine>, AppError> {
    Ok(match config.hub.engine {
        EngineKind::Memory => open_log(MemoryStore::new(), config, broker),
        EngineKind::Sled => open_log(SledStore::open(sled_config(config))?, config, broker),
    })
}

/// What is known of the clock of a store.
#[derive(Debug, Default)]
pub struct ClockState {
    /// What the log's clock has shown, and by how much that is ahead of this machine's.
    pub ahead: Option<(Millis, Duration)>,
    /// When this machine's clock leapt last, and how far in all known leaps.
    pub leapt: Option<(Millis, Duration)>,
}

/// What the hub that had this configuration's store last has told of its clock.
#[must_use]
pub fn clock_state(config: &Config) -> ClockState {
    if config.hub.engine != EngineKind::Sled {
        return ClockState::default();
    }
    let kept = kept_clock(&config.hub.data);
    let now = Millis::from(SystemTime::now());
    let ahead = |stamp: Millis| Duration::from_secs(stamp.0.saturating_sub(now.0) / 1000);
    ClockState {
        ahead: kept.ahead.map(|stamp| (stamp, ahead(stamp))).filter(|(_, ahead)| !ahead.is_zero()),
        leapt: kept.leaps.iter().next_back().map(|last| (last.at, kept.leaps.gained())),
    }
}

fn open_log<S: Store>(store: S, config: &Config, broker: &Arc<Broker>) -> Arc<dyn Engine> {
    let config = LogConfig {
        rules: config.retention_rules(),
        idempotency_window: config.publish.idempotency_window,
        idempotency_keys: config.publish.idempotency_keys,
        clock: Arc::new(|| Millis::from(SystemTime::now())),
        ..LogConfig::default()
    };
    LogEngine::open(store, config, broker.clone())
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
