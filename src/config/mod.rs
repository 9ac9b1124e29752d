//! The configuration. Flags override environment variables, which override a TOML file, which overrides the defaults.
//!
//! All mistakes of all sources are reported together, so that fixing them does not take a restart for each.
//!
//! | module | idea |
//! |---|---|
//! | [`keys`] | every key with its default, range and reason, in one table |
//! | [`kinds`] | the text forms of durations, sizes and other values |
//! | `credential` | files that the service manager has passed on |
//! | [`list`], [`names`] | lists; origins, domains, networks |
//! | [`listen`] | listen addresses, and Unix sockets |
//! | [`mercure`] | the URL and the keys of Mercure |
//! | [`nats`], [`nats_login`] | servers of NATS; how the hub logs in to them |
//! | [`otlp`], [`otlp_headers`] | where traces and metrics are exported, and with which headers |
//! | [`rules`] | retention by topic or pattern |
//! | [`access`] | static tokens, and issuers of JWTs |
//! | [`providers`], [`provider_key`] | providers of the relay; where the key of each is |
//! | `tables` | several TOML tables under one key: rules, tokens, issuers and providers |
//! | `table` | a key, and the macro that generates the types |
//! | `flags`, `environment`, `file`, `sources` | the sources, and their precedence |
//! | `origin`, `resolve` | a value and where it is written; the effective value of each key |
//! | [`errors`] | all mistakes |
//! | [`effective`] | the effective configuration as a file, for `gapless check` |

use std::path::PathBuf;

use environment::Environment;
use kinds::{EngineKind, ProtocolKind};
use listen::Listen;
use mercure::{KeyFile, MercureKeys};
use providers::ProviderSettings;
use resolve::Resolver;

pub mod access;
mod credential;
pub mod effective;
mod environment;
pub mod errors;
mod file;
mod flags;
pub mod keys;
pub mod kinds;
pub mod list;
pub mod listen;
pub mod mercure;
pub mod names;
pub mod nats;
pub mod nats_login;
mod origin;
pub mod otlp;
pub mod otlp_headers;
pub mod provider_key;
pub mod providers;
mod resolve;
pub mod rules;
mod sources;
mod table;
mod tables;
#[cfg(test)]
mod tests;

pub use self::{
    effective::Effective,
    errors::ConfigErrors,
    flags::Flags,
    keys::{Config, KEYS},
    table::ConfigKey,
};
use crate::{
    access::{Access, AccessSettings, Grant},
    event::{Retention, retention::Rules},
};

/// Reads the configuration from `flags`, from the process's environment, and from the file that either of them names.
///
/// # Errors
/// All mistakes of all sources. The process should exit with [`EXIT_CODE`].
pub fn load(flags: &Flags) -> Result<(Config, Effective), ConfigErrors> {
    load_with(flags, &Environment::of_process())
}

/// The exit code for an invalid configuration: `EX_CONFIG` of `sysexits.h`.
pub const EXIT_CODE: u8 = 78;

/// As [`load`], with the environment given.
fn load_with(flags: &Flags, environment: &Environment) -> Result<(Config, Effective), ConfigErrors> {
    let mut errors = ConfigErrors::default();
    let ignored = environment.unknown(&mut errors);
    let named = || environment.get("GAPLESS_CONFIG").map(PathBuf::from);
    let file = flags.file.clone().or_else(named).map(|path| file::read(&path, &mut errors)).unwrap_or_default();
    let mut resolver = Resolver::new(sources::candidates(flags, environment, file), errors);
    let mut config = Config::read(&mut resolver);
    ProviderSettings::add_public(&mut config.relay.providers, &config.relay.dialects);
    config.check(&mut resolver);
    let (config, settings) = resolver.finish(config)?;
    Ok((config, Effective::new(settings, ignored)))
}

impl Config {
    /// The retention of every topic.
    #[must_use]
    pub fn retention_rules(&self) -> Rules {
        let Self { retention, store, .. } = self;
        Rules {
            rules: retention.rules.clone(),
            default: Retention {
                max_events: retention.max_events,
                max_age: retention.max_age,
                max_bytes: retention.max_bytes,
            },
            max_store_bytes: store.max_bytes,
        }
    }

    /// Whether access control is configured: a token, an issuer, or the topics that are open to anyone.
    #[must_use]
    pub fn has_credentials(&self) -> bool {
        let keys::Access { tokens, issuers, anyone_publish, anyone_subscribe, .. } = &self.access;
        !(tokens.is_empty() && issuers.is_empty() && anyone_publish.is_empty() && anyone_subscribe.is_empty())
    }

    /// Why the hub may not listen on `address`: other machines reach it, and nothing restricts them. `None` when it may.
    #[must_use]
    pub fn exposed(&self, address: &Listen) -> Option<String> {
        let allowed = self.hub.open || self.has_credentials() || address.is_local();
        (!allowed).then(|| {
            format!(
                "{address} is reachable from other machines, but no credential is configured; listen on 127.0.0.1, configure \
                 [access], or set --open to allow every request without authentication"
            )
        })
    }

    /// Reads the keys of Mercure.
    ///
    /// # Errors
    /// All mistakes, each as (configuration key, problem).
    pub fn mercure_keys(&self) -> Result<MercureKeys, Vec<(&'static str, String)>> {
        let keys::Mercure { publisher_key, publisher_algorithms, subscriber_key, subscriber_algorithms, .. } =
            &self.mercure;
        let publishers = KeyFile { file: publisher_key.as_deref(), algorithms: publisher_algorithms };
        let subscribers = KeyFile { file: subscriber_key.as_deref(), algorithms: subscriber_algorithms };
        MercureKeys::read(publishers, subscribers)
    }

    /// Whether connections use TLS.
    #[must_use]
    pub fn speaks_tls(&self) -> bool {
        self.tls.cert.is_some() || !self.tls.acme.is_empty()
    }

    /// The settings of [`Access`].
    #[must_use]
    pub fn access_settings(&self) -> AccessSettings {
        let Self { access, .. } = self;
        AccessSettings {
            tokens: access.tokens.clone(),
            issuers: access.issuers.clone(),
            anonymous: Grant {
                publish: access.anyone_publish.clone(),
                subscribe: access.anyone_subscribe.clone(),
                // The key's owner pays: without a credential only an open hub relays.
                relay: Vec::new(),
                admin: false,
            },
            revoked: access.revoked.clone(),
            leeway: access.leeway,
        }
    }

    /// Reads the key of each provider, and drops it. Apart from [`load`], because `gapless token` needs no provider: a
    /// variable is often set in the hub's own environment only.
    ///
    /// # Errors
    /// Each key that is missing.
    pub fn check_provider_keys(&self) -> Result<(), ConfigErrors> {
        let mut errors = ConfigErrors::default();
        for ProviderSettings { name, key, .. } in &self.relay.providers {
            if let Err(problem) = key.read() {
                errors.push(format_args!("relay.providers.{name}"), problem);
            }
        }
        errors.into_result(())
    }

    /// Checks that the site is a directory that can be read. Apart from [`load`], because `gapless token` needs no site.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn check_site(&self) -> Result<(), ConfigErrors> {
        let mut errors = ConfigErrors::default();
        if let Some(Err(error)) = self.hub.site.as_ref().map(std::fs::read_dir) {
            errors.push("site", format_args!("{error}; name a directory of files to serve"));
        }
        errors.into_result(())
    }

    /// Checks the constraints between keys, and that the files that they name can be read.
    fn check(&self, resolver: &mut Resolver) {
        let Self { hub, stream, http, publish, cors, tls, relay, .. } = self;
        self.nats.check(hub.engine == EngineKind::JetStream, resolver);
        resolver.require(
            !hub.listen.is_empty(),
            &["listen"],
            "has no address; name one, or leave the key out for the default",
        );
        for (list, keys) in [(&hub.listen, ["listen", "open"]), (&self.admin.listen, ["admin.listen", "open"])] {
            for (index, address) in list.iter().enumerate() {
                let exposed = self.exposed(address);
                resolver.require(exposed.is_none(), &keys, exposed.unwrap_or_default());
                resolver.require(!list[..index].contains(address), &keys[..1], format_args!("has {address} twice"));
            }
        }
        resolver.require(
            hub.engine != EngineKind::JetStream || !hub.protocols.contains(&ProtocolKind::DurableStreams),
            &["protocols", "engine"],
            "durable-streams is not served from jetstream: each hub keeps the order of producers in its own memory; use sled",
        );
        resolver.require(
            tls.cert.is_some() == tls.key.is_some(),
            &["tls.cert", "tls.key"],
            "one needs the other; name both the certificate chain and its private key",
        );
        resolver.require(
            tls.acme.is_empty() || (tls.cert.is_none() && tls.key.is_none()),
            &["tls.acme", "tls.cert", "tls.key"],
            "a certificate comes either from files or from ACME; leave out one of the two",
        );
        if hub.protocols.contains(&ProtocolKind::Mercure) {
            let Self { mercure, .. } = self;
            resolver.require(
                mercure.publisher_key.is_some() || mercure.subscriber_key.is_some() || mercure.anonymous,
                &["protocols", "mercure.publisher_key", "mercure.subscriber_key", "mercure.anonymous"],
                "nobody could publish or subscribe by mercure; name the file with the key of publishers' tokens in \
                 mercure.publisher_key, and one for subscribers, or set mercure.anonymous",
            );
            resolver.require(
                mercure.issuer.is_none() || mercure.url.is_some(),
                &["mercure.issuer", "mercure.url"],
                "tokens of dialect 1 are for the URL of the hub; name it in mercure.url",
            );
            resolver.require(
                !mercure.subscriptions || mercure.subscriber_key.is_some(),
                &["mercure.subscriptions", "mercure.subscriber_key"],
                "nobody could see the subscriptions: that needs a subscriber's token; name its key in mercure.subscriber_key",
            );
            resolver.require(
                !mercure.subscriptions || hub.engine != EngineKind::JetStream,
                &["mercure.subscriptions", "engine"],
                "subscriptions cannot be told from jetstream: each hub knows only its own subscribers; use sled, or leave it out",
            );
            for (key, problem) in self.mercure_keys().err().unwrap_or_default() {
                resolver.require(false, &[key], problem);
            }
        }
        // Their content is checked when it is used.
        for (key, file) in [("tls.cert", &tls.cert), ("tls.key", &tls.key), ("tls.acme_roots", &tls.acme_roots)] {
            let Some(path) = file else { continue };
            if let Err(error) = std::fs::File::open(path) {
                resolver.require(false, &[key], format_args!("{} cannot be read: {error}", path.display()));
            }
        }
        resolver.require(
            !(cors.credentials && cors.origins.iter().any(|origin| ["*", "null"].contains(&&**origin))),
            &["cors.origins", "cors.credentials"],
            "pages of any site (* and null) could send requests with their visitors' cookies; list the trusted origins",
        );
        // Reads key files here, so that their mistakes are reported with the others.
        for (key, problem) in Access::new(self.access_settings()).err().unwrap_or_default() {
            resolver.require(false, &[key], problem);
        }
        resolver.require(
            publish.batch_bytes <= publish.inflight_bytes / 3,
            &["publish.batch_bytes", "publish.inflight_bytes"],
            format_args!(
                "publish.batch_bytes ({} bytes) is more than a third of publish.inflight_bytes ({} bytes): a publisher may use half of \
                 what it leaves free, so no batch of that size would be accepted",
                publish.batch_bytes, publish.inflight_bytes
            ),
        );
        resolver.require(
            relay.runs <= relay.history,
            &["relay.runs", "relay.history"],
            format_args!(
                "relay.runs ({}) is more than relay.history ({}), which must hold them",
                relay.runs, relay.history
            ),
        );
        for (small, large, keys) in [
            (publish.event_bytes, publish.batch_bytes, ["publish.event_bytes", "publish.batch_bytes"]),
            (stream.ring_bytes, stream.ring_bytes_total, ["stream.ring_bytes", "stream.ring_bytes_total"]),
            (http.header_line_bytes, http.header_bytes, ["http.header_line_bytes", "http.header_bytes"]),
            (relay.event_bytes, relay.answer_bytes, ["relay.event_bytes", "relay.answer_bytes"]),
        ] {
            let [first, second] = keys;
            resolver.require(
                small <= large,
                &keys,
                format_args!("{first} ({small} bytes) is more than {second} ({large} bytes), which must hold one"),
            );
        }
    }
}
