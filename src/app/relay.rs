//! Composes the relay: its providers, its bounds, and the runs of earlier processes.

use std::{sync::Arc, time::Duration};

use tokio::runtime;

use super::AppError;
use crate::{
    client::pool,
    config::{
        Config,
        providers::{DialectKind, OnDisconnect, ProviderSettings},
    },
    event::{
        Filter, Retention, TopicName,
        retention::{Rule, Rules},
    },
    hub::Hub,
    lifecycle::Drain,
    relay::{
        Relay, RelayLimits,
        dialect::{self, Dialect},
        journal,
        provider::{Provider, UnwatchedPolicy, UpstreamKey},
        recovery::recover,
        runs::Runs,
    },
};

/// When a run that was begun through a provider's own path is stopped if nobody watches it, and its provider has no
/// setting: long enough for a page that is loaded again, short enough to pay little for an answer that nobody wants.
const UNWATCHED: UnwatchedPolicy = UnwatchedPolicy::Stop(Duration::from_mins(1));

/// How much longer than the longest run its beginning is in the journal: its ending may have to wait for the disk.
const JOURNAL_MARGIN: Duration = Duration::from_mins(10);

/// The relay, with the runs of earlier processes: those that had no ending have one. `None` when there is no provider and
/// no earlier run.
///
/// # Errors
/// When a key is missing, or the journal cannot be used.
pub(super) fn open(config: &Config, hub: &Arc<Hub>, drain: &Drain) -> Result<Option<Arc<Relay>>, AppError> {
    let settings = &config.relay;
    if settings.providers.is_empty() && hub.topic(&TopicName::internal(journal::TOPIC)).is_none() {
        return Ok(None);
    }
    let providers = settings.providers.iter().map(|provider| Ok((provider.name.clone(), Arc::new(of(provider)?))));
    let providers = providers.collect::<Result<_, AppError>>()?;
    let limits = RelayLimits {
        connect_timeout: settings.connect_timeout,
        first_byte_timeout: settings.first_byte_timeout,
        silence_timeout: settings.silence_timeout,
        run_timeout: settings.run_timeout,
        request_bytes: settings.request_bytes,
        event_bytes: settings.event_bytes,
        answer_bytes: settings.answer_bytes,
    };
    let runs = Arc::new(Runs::new(hub.members().hub, settings.history, settings.runs, settings.keep));
    let runtime = runtime::Builder::new_current_thread().enable_time().build()?;
    let recovered = runtime.block_on(recover(hub, &runs))?;
    if recovered.interrupted > 0 {
        tracing::warn!(runs = recovered.interrupted, "runs of an earlier process had no ending; they are interrupted");
    }
    Ok(Some(Arc::new(Relay::new(Arc::clone(hub), (runs, recovered.tail), providers, limits, drain.clone()))))
}

/// Adds the retention of the relay's topics: of its journal, and, after the configured rules, of the runs' own topics. The
/// journal has the beginning of each run that may be running.
pub(super) fn with_rules(rules: Rules, config: &Config) -> Rules {
    let kept = |topics, max_age| {
        let retention = Retention { max_age: Some(max_age), ..Retention::default() };
        Rule { topics, retention, retry: None }
    };
    let keep = config.relay.keep;
    let longest = keep.max(config.relay.run_timeout + JOURNAL_MARGIN);
    let journal = kept(Filter::Topic(TopicName::internal(journal::TOPIC)), longest);
    let runs = (!config.relay.providers.is_empty())
        .then(|| kept(Filter::new(&journal::own_topic("*")).expect("a pattern"), keep));
    Rules { rules: std::iter::once(journal).chain(rules.rules).chain(runs).collect(), ..rules }
}

/// Reads the keys of the providers again. A key that cannot be read stays as it was.
pub(super) fn reload_keys(relay: &Relay, config: &Config) {
    for settings in &config.relay.providers {
        let Some(provider) = relay.providers.get(&settings.name) else { continue };
        match key(settings) {
            Ok(key) => provider.set_key(key),
            Err(problem) => tracing::error!(provider = settings.name, problem, "the key of a provider is not reloaded"),
        }
    }
}

fn of(settings: &ProviderSettings) -> Result<Provider, AppError> {
    let problem = |problem| AppError::Provider { name: settings.name.clone(), problem };
    let provider = Provider {
        name: settings.name.clone(),
        dialect: dialect_of(settings.dialect),
        path_prefix: settings.url.path.trim_end_matches('/').to_owned(),
        connector: pool::connector(&settings.url.server).map_err(|error| problem(error.to_string()))?,
        models: settings.models.clone(),
        on_disconnect: settings.on_disconnect.map_or(UNWATCHED, |policy| match policy {
            OnDisconnect::Continue => UnwatchedPolicy::Continue,
            OnDisconnect::Cancel => UnwatchedPolicy::Stop(Duration::ZERO),
            OnDisconnect::After(time) => UnwatchedPolicy::Stop(time),
        }),
        endpoints: settings.endpoints.clone(),
        key: arc_swap::ArcSwapOption::empty(),
    };
    provider.set_key(key(settings).map_err(problem)?);
    Ok(provider)
}

fn key(settings: &ProviderSettings) -> Result<Option<UpstreamKey>, String> {
    Ok(settings.key.read()?.and_then(|secret| UpstreamKey::new(secret.expose())))
}

fn dialect_of(kind: DialectKind) -> &'static dyn Dialect {
    dialect::by_name(kind.name()).expect("the relay has every dialect of the configuration")
}
