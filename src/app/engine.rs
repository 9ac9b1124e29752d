//! Opens the configured engine over its store.

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
        sled::{
            CACHE_BYTES_PER_SEGMENT, CLOSE_AFTER, MAX_OPEN_SEGMENTS, SCRUB_DELAY, SledConfig, SledStore, kept_clock,
        },
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

/// The recorded state of a store's clock.
#[derive(Debug, Default)]
pub struct ClockState {
    /// The newest time stamp of the log, and by how much it is ahead of the machine's clock; `None` when it is not ahead.
    pub ahead: Option<(Millis, Duration)>,
    /// The time of the machine's clock's last leap forward, and the sum of all recorded leaps.
    pub leapt: Option<(Millis, Duration)>,
}

/// The clock state that the last hub on this configuration's store has recorded.
#[must_use]
pub fn clock_state(config: &Config) -> ClockState {
    if config.hub.engine != EngineKind::Sled {
        return ClockState::default();
    }
    let recorded = kept_clock(&config.hub.data);
    let now = Millis::from(SystemTime::now());
    let ahead = |stamp: Millis| Duration::from_secs(stamp.0.saturating_sub(now.0) / 1000);
    ClockState {
        ahead: recorded.ahead.map(|stamp| (stamp, ahead(stamp))).filter(|(_, ahead)| !ahead.is_zero()),
        leapt: recorded.leaps.iter().next_back().map(|last| (last.at, recorded.leaps.gained())),
    }
}

fn open_log<S: Store>(store: S, config: &Config, broker: &Arc<Broker>) -> Arc<dyn Engine> {
    let publish = &config.publish;
    let config = LogConfig::new(config.retention_rules(), publish.idempotency_window, publish.idempotency_keys);
    LogEngine::open(store, config, broker.clone())
}

fn sled_config(config: &Config) -> SledConfig {
    SledConfig {
        dir: config.hub.data.clone(),
        rotate_bytes: config.store.rotate_bytes,
        rotate_age: config.store.rotate_age,
        reserve_bytes: config.store.reserve_bytes,
        key_window: config.publish.idempotency_window,
        cache_bytes_per_segment: CACHE_BYTES_PER_SEGMENT,
        max_open_segments: MAX_OPEN_SEGMENTS,
        close_after: CLOSE_AFTER,
        scrub_after: SCRUB_DELAY,
    }
}
