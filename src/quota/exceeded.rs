//! The limit that was exceeded and the time to wait, as a message for the client.

use std::{fmt, time::Duration};

/// Every limit of an address or a holder; each is a key of the configuration's `[limits]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Connections of one address.
    AddressConnections,
    /// Streams of one address.
    AddressStreams,
    /// Events published a second by one address.
    AddressEvents,
    /// Bytes of data published a second by one address.
    AddressBytes,
    /// Streams of one holder.
    HolderStreams,
    /// Events published a second by one holder.
    HolderEvents,
    /// Bytes of data published a second by one holder.
    HolderBytes,
    /// Topics created an hour by one holder.
    HolderTopics,
    /// Runs of the relay at once of one holder, or of an address without one.
    HolderRuns,
    /// Runs of the relay begun a minute by one holder, or by an address without one.
    HolderRunsPerMinute,
    /// Tokens a day that the runs of one holder use, or of an address without one.
    HolderTokensPerDay,
    /// Invalid credentials a second of one address.
    BadCredentials,
}

/// A limit is exceeded. The refused request was not charged. `Display` says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exceeded {
    /// The limit.
    pub what: Limit,
    /// Its value.
    pub limit: u64,
    /// How long to wait before a retry: exact for rates, an estimate for what is open.
    pub wait: Duration,
    /// Whether the account is the shared one of all clients that came while the table was full.
    pub shared: bool,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::AddressConnections,
        Self::AddressStreams,
        Self::AddressEvents,
        Self::AddressBytes,
        Self::HolderStreams,
        Self::HolderEvents,
        Self::HolderBytes,
        Self::HolderTopics,
        Self::HolderRuns,
        Self::HolderRunsPerMinute,
        Self::HolderTokensPerDay,
        Self::BadCredentials,
    ];

    /// Its key below `limits.` in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AddressConnections => "address_connections",
            Self::AddressStreams => "address_streams",
            Self::AddressEvents => "address_events",
            Self::AddressBytes => "address_bytes",
            Self::HolderStreams => "holder_streams",
            Self::HolderEvents => "holder_events",
            Self::HolderBytes => "holder_bytes",
            Self::HolderTopics => "holder_topics",
            Self::HolderRuns => "holder_runs",
            Self::HolderRunsPerMinute => "holder_runs_per_minute",
            Self::HolderTokensPerDay => "holder_tokens_per_day",
            Self::BadCredentials => "bad_credentials",
        }
    }
}

impl Exceeded {
    /// Whole seconds to wait, for `Retry-After`: rounded up, at least one.
    #[must_use]
    pub fn retry_after(&self) -> u64 {
        let part = u64::from(self.wait.subsec_nanos() > 0);
        (self.wait.as_secs() + part).max(1)
    }
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (limit, s, seconds) = (self.limit, if self.limit == 1 { "" } else { "s" }, self.retry_after());
        match self.what {
            Limit::AddressConnections => {
                write!(f, "this address has {limit} connection{s}, which is its limit; close some")
            }
            Limit::AddressStreams => write!(f, "this address has {limit} stream{s}, which is its limit; close some"),
            Limit::HolderStreams => {
                write!(f, "the holder of this token has {limit} stream{s}, which is its limit; close some")
            }
            Limit::AddressEvents => {
                write!(
                    f,
                    "this address may publish {limit} event{s} a second, and has reached that limit; retry in {seconds} s"
                )
            }
            Limit::AddressBytes => {
                write!(
                    f,
                    "this address may publish {limit} bytes a second, and has reached that limit; retry in {seconds} s"
                )
            }
            Limit::HolderEvents => {
                write!(
                    f,
                    "the holder of this token may publish {limit} event{s} a second, and has reached that limit; retry in {seconds} s"
                )
            }
            Limit::HolderBytes => {
                write!(
                    f,
                    "the holder of this token may publish {limit} bytes a second, and has reached that limit; retry in {seconds} s"
                )
            }
            Limit::HolderTopics => {
                write!(
                    f,
                    "the holder of this token may create {limit} topic{s} an hour, and has reached that limit; retry in {seconds} s"
                )
            }
            Limit::HolderRuns => {
                write!(f, "you have {limit} run{s} at once, which is your limit; stop one, or wait for its end")
            }
            Limit::HolderRunsPerMinute => {
                write!(f, "you may begin {limit} run{s} a minute, and have reached that limit; retry in {seconds} s")
            }
            Limit::HolderTokensPerDay => {
                write!(f, "you may use {limit} token{s} a day, and have used them up; retry in {seconds} s")
            }
            Limit::BadCredentials => write!(
                f,
                "{limit} invalid credential{s} a second came from this address, which is its limit; correct its credentials, \
                 and retry in {seconds} s"
            ),
        }?;
        if self.shared {
            f.write_str(
                " (this limit is shared by all clients for which the hub has no room to keep separate counts)",
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for Exceeded {}

#[cfg(test)]
mod tests {
    use super::*;

    fn exceeded(what: Limit, limit: u64, wait_ms: u64) -> Exceeded {
        Exceeded { what, limit, wait: Duration::from_millis(wait_ms), shared: false }
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let text = |what, limit, wait| exceeded(what, limit, wait).to_string();
        assert_eq!(
            text(Limit::AddressStreams, 100, 3000),
            "this address has 100 streams, which is its limit; close some"
        );
        assert_eq!(
            text(Limit::HolderEvents, 1, 1001),
            "the holder of this token may publish 1 event a second, and has reached that limit; retry in 2 s"
        );
        for limit in Limit::ALL {
            let text = text(limit, 7, 3000);
            assert!(
                text.contains('7')
                    && ["; close some", "; stop one", "in 3 s"].iter().any(|advice| text.contains(advice)),
                "{text}"
            );
            let shared = Exceeded { shared: true, ..exceeded(limit, 7, 0) }.to_string();
            assert!(shared.contains("shared by all"), "{shared}");
        }
    }

    #[test]
    fn a_client_that_waits_the_reported_seconds_has_waited_long_enough() {
        for (ms, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (16_000, 16)] {
            assert_eq!(exceeded(Limit::AddressBytes, 1, ms).retry_after(), seconds, "{ms}");
        }
    }
}
