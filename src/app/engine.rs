//! Opens the configured engine over its store.

use std::{
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

use super::{AppError, jetstream, relay};
use crate::{
    config::{Config, ConfigErrors, kinds::EngineKind},
    engine::{
        Engine,
        jetstream::{JetStreamConfig, JetStreamEngine, JetStreamError},
        log::{LogConfig, LogEngine, Store},
        memory::MemoryStore,
        sled::{
            CACHE_BYTES_PER_SEGMENT, CLOSE_AFTER, MAX_OPEN_SEGMENTS, SCRUB_DELAY, SledConfig, SledStore, kept_clock,
        },
    },
    event::{Millis, retention::Rules},
    hub::broker::Broker,
    progress::WorkProgress,
};

pub(super) fn open(
    config: &Config,
    broker: &Arc<Broker>,
    progress: &Arc<WorkProgress>,
) -> Result<Arc<dyn Engine>, AppError> {
    let engine = match config.hub.engine {
        EngineKind::JetStream => open_jetstream(config, broker)?,
        EngineKind::Memory => open_log(MemoryStore::new(), config, broker),
        EngineKind::Sled => {
            open_log(SledStore::open_reporting(sled_config(config), Arc::clone(progress))?, config, broker)
        }
    };
    Ok(supporting(engine, &config.retention_rules())?)
}

/// The engine, if it has the limits of `rules`. Closes it if not.
///
/// # Errors
/// Every key, and every rule, that sets a limit which the engine does not have.
fn supporting(engine: Arc<dyn Engine>, rules: &Rules) -> Result<Arc<dyn Engine>, ConfigErrors> {
    let (kinds, name) = (engine.capabilities().retention, engine.name());
    let mut errors = ConfigErrors::default();
    for limit in kinds.unsupported_limits(&rules.default) {
        let problem = format_args!("the engine {name} does not support this limit; set it to none");
        errors.push(format_args!("retention.{limit}"), problem);
    }
    for (index, rule) in rules.rules.iter().enumerate() {
        for limit in kinds.unsupported_limits(&rule.retention) {
            let problem = format_args!(
                "rule {} ({}): {limit}: the engine {name} does not support this limit; remove it",
                index + 1,
                rule.topics
            );
            errors.push("retention.rules", problem);
        }
    }
    if errors.all().is_empty() {
        return Ok(engine);
    }
    engine.close();
    Err(errors)
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
    LogEngine::open(store, log_config(config), broker.clone())
}

/// Opens the engine over the configured stream. Waits for servers that do not answer, for ever: the caller gives up when
/// the drain is over.
fn open_jetstream(config: &Config, broker: &Arc<Broker>) -> Result<Arc<dyn Engine>, AppError> {
    let addresses: Vec<String> = config.hub.listen.iter().map(ToString::to_string).collect();
    let settings = JetStreamConfig {
        nats: jetstream::nats_config(config, "hub")?,
        hub: jetstream::hub_name(config).into(),
        address: addresses.join(",").into(),
        max_batch: config.nats.max_batch,
    };
    loop {
        match JetStreamEngine::open(&settings, log_config(config), broker.clone()) {
            Ok(engine) => return Ok(engine),
            Err(JetStreamError::NotNow(problem)) => {
                tracing::warn!(problem, "waiting for the NATS servers");
                thread::sleep(SERVERS_PAUSE);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Between two attempts to reach the NATS servers.
const SERVERS_PAUSE: Duration = Duration::from_secs(1);

pub(super) fn log_config(config: &Config) -> LogConfig {
    let publish = &config.publish;
    LogConfig::new(
        relay::with_rules(config.retention_rules(), config),
        publish.idempotency_window,
        publish.idempotency_keys,
    )
}

pub(super) fn sled_config(config: &Config) -> SledConfig {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::{Capabilities, RetentionKinds},
        event::{Filter, Retention, retention::Rule},
        hub::{HubConfig, testing::WrappedEngine},
    };

    fn engine(retention: RetentionKinds) -> Arc<dyn Engine> {
        let broker = Broker::new(1, &HubConfig::fixture());
        let full: Arc<dyn Engine> = LogEngine::open(MemoryStore::new(), LogConfig::fixture(), broker);
        Arc::new(WrappedEngine::new(full, Capabilities { retention, ..Capabilities::FULL }))
    }

    #[tokio::test]
    async fn a_configured_limit_that_the_engine_does_not_have_is_an_error_that_names_its_key() {
        let full = Capabilities::FULL.retention;
        let ageless = RetentionKinds { age: false, ..full };
        let bytes = Retention { max_bytes: Some(7), ..Retention::default() };
        let both = Retention { max_age: Some(Duration::from_hours(24)), ..bytes };
        let rule = |topics, retention| Rule { topics: Filter::new(topics).expect("valid"), retention, retry: None };
        let rules = Rules { rules: vec![rule("a", bytes), rule("jobs/**", both)], default: both, ..Rules::default() };
        assert!(supporting(engine(full), &rules).is_ok());

        let limited = engine(ageless);
        let Err(errors) = supporting(Arc::clone(&limited), &rules) else { panic!("it has no limit of age") };
        let shown: Vec<String> = errors.all().iter().map(|one| format!("{}: {}", one.place, one.problem)).collect();
        assert_eq!(
            shown,
            [
                "retention.max_age: the engine memory does not support this limit; set it to none",
                "retention.rules: rule 2 (jobs/**): max_age: the engine memory does not support this limit; remove it",
            ]
        );
        assert!(limited.status().await.refusing.is_some(), "it is closed");

        let without = Rules { rules: vec![rule("a", bytes)], default: bytes, ..Rules::default() };
        assert!(supporting(engine(ageless), &without).is_ok());
    }
}
