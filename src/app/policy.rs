//! The access policy and the quotas: what a reload replaces.

use std::{num::NonZeroU32, sync::Arc};

use crate::{
    access::Access,
    config::{Config, ConfigErrors, names::Forwarded},
    http::auth::{
        cors::Cors,
        credential::CredentialSources,
        forwarded::{ForwardedHeader, Proxies},
        policy::{Policies, Policy},
    },
    quota::{QuotaConfig, QuotaLimits},
};

/// Builds the policy. Reads the key files; starts no thread.
///
/// # Errors
/// All problems of the access configuration.
pub(super) fn policy(config: &Config) -> Result<Policy, ConfigErrors> {
    let Config { access: keys, http, cors, hub, .. } = config;
    let access = Access::new(config.access_settings()).map_err(|problems| {
        let mut errors = ConfigErrors::default();
        for (key, problem) in problems {
            errors.push(key, problem);
        }
        errors
    })?;
    let header = match http.forwarded {
        Forwarded::XForwardedFor => ForwardedHeader::XForwardedFor,
        Forwarded::Forwarded => ForwardedHeader::Forwarded,
    };
    Ok(Policy {
        loopback_names: access.is_open() && !hub.open,
        access,
        places: CredentialSources {
            cookie: keys.cookie.clone(),
            query_subscribe: keys.query_subscribe,
            query_publish: keys.query_publish,
        },
        proxies: Proxies::new(http.trusted_proxies.iter().copied(), header),
        cors: Cors::new(cors.origins.clone(), cors.credentials, cors.max_age),
    })
}

/// Replaces the policy in force. The new one takes over the issuers' keys that were already fetched.
pub(super) fn replace(policies: &Arc<Policies>, policy: Policy) {
    policy.access.copy_fetched_keys(&policies.current().access);
    policies.replace(policy);
    watch(policies);
}

/// Starts fetching the issuers' keys for the policy in force. When keys change, open streams are authorized again.
pub(super) fn watch(policies: &Arc<Policies>) {
    // Weak, because the policy owns the watchers and ends them when it is dropped.
    let watched = Arc::downgrade(policies);
    policies.current().access.watch(Arc::new(move || {
        if let Some(policies) = watched.upgrade() {
            policies.invalidate();
        }
    }));
}

/// The quotas of an address and of a credential holder.
pub(super) fn quota_config(config: &Config) -> QuotaConfig {
    let limits = &config.limits;
    let count = |limit: Option<usize>| limit.map(|limit| limit as u64);
    let rate = |limit: Option<u32>| limit.map(|limit| NonZeroU32::new(limit).expect("the keys' ranges begin at 1"));
    // A caller without a holder, of an open hub, has them by its address.
    let relay = QuotaLimits {
        runs: count(limits.holder_runs),
        runs_per_minute: rate(limits.holder_runs_per_minute),
        tokens_per_day: rate(limits.holder_tokens_per_day),
        ..QuotaLimits::default()
    };
    QuotaConfig {
        address: QuotaLimits {
            connections: count(limits.address_connections),
            streams: count(limits.address_streams),
            events: rate(limits.address_events),
            bytes: rate(limits.address_bytes),
            topics: None,
            bad_credentials: rate(Some(limits.bad_credentials)),
            ..relay.clone()
        },
        holder: QuotaLimits {
            streams: count(limits.holder_streams),
            events: rate(limits.holder_events),
            bytes: rate(limits.holder_bytes),
            topics: rate(limits.holder_topics),
            ..relay
        },
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};

    use super::*;
    use crate::config::{Flags, load};

    fn config(flags: &[&str]) -> Config {
        let command = Flags::augment_args(Command::new("gapless"));
        let matches = command.get_matches_from([&["gapless"], flags].concat());
        load(&Flags::from_arg_matches(&matches).expect("flags")).expect("sound").0
    }

    #[test]
    fn each_limit_is_what_its_key_says() {
        let some = NonZeroU32::new;
        let bad_credentials = |n| QuotaLimits { bad_credentials: some(n), ..QuotaLimits::default() };
        let want = QuotaConfig { address: bad_credentials(20), holder: QuotaLimits::default() };
        assert_eq!(quota_config(&config(&[])), want, "the defaults");

        let all = config(&[
            "--limits-address-connections=1",
            "--limits-address-streams=2",
            "--limits-address-events=3",
            "--limits-address-bytes=4KiB",
            "--limits-holder-streams=5",
            "--limits-holder-events=6",
            "--limits-holder-bytes=7KiB",
            "--limits-holder-topics=8",
            "--limits-bad-credentials=9",
            "--limits-holder-runs=10",
            "--limits-holder-runs-per-minute=11",
            "--limits-holder-tokens-per-day=12",
        ]);
        let relay = |limits: QuotaLimits| QuotaLimits {
            runs: Some(10),
            runs_per_minute: some(11),
            tokens_per_day: some(12),
            ..limits
        };
        let address = QuotaLimits {
            connections: Some(1),
            streams: Some(2),
            events: some(3),
            bytes: some(4096),
            ..bad_credentials(9)
        };
        let holder = QuotaLimits {
            streams: Some(5),
            events: some(6),
            bytes: some(7168),
            topics: some(8),
            ..QuotaLimits::default()
        };
        assert_eq!(quota_config(&all), QuotaConfig { address: relay(address), holder: relay(holder) });
    }

    #[test]
    fn the_policy_trusts_the_proxies_that_are_named_and_the_header_that_is_chosen() {
        let policy = policy(&config(&["--http-trusted-proxies=10.0.0.0/8", "--http-forwarded=forwarded"]));
        let proxies = policy.expect("sound").proxies;
        let header = |name: &'static str, text: &str| [(name.parse().expect("a name"), text.parse().expect("text"))];
        let client = |peer: &str, headers| proxies.client(peer.parse().expect("an address"), &headers).to_string();
        let theirs = || header("forwarded", "for=198.51.100.7").into_iter().collect();
        assert_eq!(client("10.0.0.1", theirs()), "198.51.100.7");
        assert_eq!(client("192.0.2.1", theirs()), "192.0.2.1");
        let other = header("x-forwarded-for", "198.51.100.7").into_iter().collect();
        assert_eq!(client("10.0.0.1", other), "10.0.0.1");
    }
}
