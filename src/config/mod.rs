//! The configuration: from flags, over the environment, over a TOML file, over defaults.
//!
//! Every mistake of every source is told at once: finding them would take a restart each.
//!
//! | room | idea |
//! |---|---|
//! | [`keys`] | every key, its default, range and reason, on one screen |
//! | [`kinds`] | how a duration, a size, an address is written |
//! | [`list`], [`names`] | several values; origins, domains, networks |
//! | [`listen`] | addresses, and socket files |
//! | [`rules`] | retention by topic or pattern |
//! | [`access`] | static tokens, and issuers of JWTs |
//! | `tables` | what rules, tokens and issuers are written as |
//! | `table` | a key, and the macro that makes the types |
//! | `flags`, `environment`, `file`, `resolve` | the sources, and which one wins |
//! | [`errors`] | what is wrong, all of it |
//! | [`effective`] | the outcome as a file, for `gapless check` |

use std::path::PathBuf;

use environment::Environment;
use resolve::Resolver;

pub mod access;
pub mod effective;
mod environment;
pub mod errors;
mod file;
mod flags;
pub mod keys;
pub mod kinds;
pub mod list;
pub mod listen;
pub mod names;
mod resolve;
pub mod rules;
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

/// Reads the configuration from `flags`, from the process's environment, and from the file that either names.
///
/// # Errors
/// Every mistake of all of them. The process should exit with [`EXIT_CODE`].
pub fn load(flags: &Flags) -> Result<(Config, Effective), ConfigErrors> {
    load_with(flags, &Environment::of_process())
}

/// `EX_CONFIG` of `sysexits.h`: what a process exits with over its configuration.
pub const EXIT_CODE: u8 = 78;

/// As [`load`], with the environment given.
fn load_with(flags: &Flags, environment: &Environment) -> Result<(Config, Effective), ConfigErrors> {
    let mut errors = ConfigErrors::default();
    let ignored = environment.unknown(&mut errors);
    let named = || environment.get("GAPLESS_CONFIG").map(PathBuf::from);
    let file = flags.file.clone().or_else(named).map(|path| file::read(&path, &mut errors)).unwrap_or_default();
    let mut resolver = Resolver::new(flags, environment, file, errors);
    let config = Config::read(&mut resolver);
    config.check(&mut resolver);
    let (config, settings) = resolver.finish(config)?;
    Ok((config, Effective { settings, ignored }))
}

impl Config {
    /// Every topic's retention.
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

    /// Whether somebody is told apart: a token or an issuer is configured, or what is open without.
    #[must_use]
    pub fn has_credentials(&self) -> bool {
        let keys::Access { tokens, issuers, anyone_publish, anyone_subscribe, .. } = &self.access;
        !(tokens.is_empty() && issuers.is_empty() && anyone_publish.is_empty() && anyone_subscribe.is_empty())
    }

    /// Whether connections speak TLS.
    #[must_use]
    pub fn speaks_tls(&self) -> bool {
        self.tls.cert.is_some() || !self.tls.acme.is_empty()
    }

    /// What the keys say about credentials.
    #[must_use]
    pub fn is_transient(&self) -> AccessSettings {
        let Self { access, .. } = self;
        AccessSettings {
            tokens: access.tokens.clone(),
            issuers: access.issuers.clone(),
            anonymous: Grant {
                publish: access.anyone_publish.clone(),
                subscribe: access.anyone_subscribe.clone(),
                admin: false,
            },
            revoked: access.revoked.clone(),
            leeway: access.leeway,
        }
    }

    /// What must hold between keys, and of the files that they name.
    fn check(&self, resolver: &mut Resolver<'_>) {
        let Self { hub, stream, http, publish, cors, tls, .. } = self;
        resolver.require(!hub.listen.is_empty(), &["listen"], "names no address; leave it out, or name one");
        for (list, keys) in [(&hub.listen, ["listen", "open"]), (&self.admin.listen, ["admin.listen", "open"])] {
            for (index, address) in list.iter().enumerate() {
                resolver.require(
                    hub.open || self.has_credentials() || address.is_local(),
                    &keys,
                    format_args!(
                        "{address} is reachable from beyond this machine and no credential is configured; listen on \
                         127.0.0.1, configure [access], or say --open to let everyone in who reaches it"
                    ),
                );
                resolver.require(!list[..index].contains(address), &keys[..1], format_args!("names {address} twice"));
            }
        }
        resolver.require(
            tls.cert.is_some() == tls.key.is_some(),
            &["tls.cert", "tls.key"],
            "one goes with the other; name the certificate's chain and its private key",
        );
        resolver.require(
            tls.acme.is_empty() || (tls.cert.is_none() && tls.key.is_none()),
            &["tls.acme", "tls.cert", "tls.key"],
            "a certificate is either in files or asked for; leave out the one or the other",
        );
        // What is in them is judged by those who use them.
        for (key, file) in [("tls.cert", &tls.cert), ("tls.key", &tls.key), ("tls.acme_roots", &tls.acme_roots)] {
            let Some(path) = file else { continue };
            if let Err(error) = std::fs::File::open(path) {
                resolver.require(false, &[key], format_args!("{} cannot be read: {error}", path.display()));
            }
        }
        resolver.require(
            !(cors.credentials && cors.origins.iter().any(|origin| ["*", "null"].contains(&&**origin))),
            &["cors.origins", "cors.credentials"],
            "pages of any site (* and null) would act with their visitors' cookies; name the origins that may",
        );
        // With the others, because a mistake in a key's file is one of the configuration.
        for (key, problem) in Access::new(self.is_transient()).err().unwrap_or_default() {
            resolver.require(false, &[key], problem);
        }
        resolver.require(
            publish.batch_bytes <= publish.inflight_bytes / 3,
            &["publish.batch_bytes", "publish.inflight_bytes"],
            format_args!(
                "publish.batch_bytes ({} bytes) is more than a third of publish.inflight_bytes ({} bytes): a publisher may have half of \
                 what it leaves free, so no such batch would be taken",
                publish.batch_bytes, publish.inflight_bytes
            ),
        );
        for (small, large, keys) in [
            (publish.event_bytes, publish.batch_bytes, ["publish.event_bytes", "publish.batch_bytes"]),
            (stream.ring_bytes, stream.ring_bytes_total, ["stream.ring_bytes", "stream.ring_bytes_total"]),
            (http.header_line_bytes, http.header_bytes, ["http.header_line_bytes", "http.header_bytes"]),
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
