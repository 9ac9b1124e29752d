//! Which limit was met, and how long to wait: in words for whoever met it.

use std::{fmt, time::Duration};

/// Every limit by who somebody is; each is a key of the configuration's `[limits]`.
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
    /// Topics made an hour by one holder.
    HolderTopics,
    /// Bad credentials a second of one address.
    BadCredentials,
}

/// That a limit is met. Nothing was used up by asking. `Display` says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exceeded {
    /// Which one.
    pub what: Limit,
    /// What it allows.
    pub limit: u64,
    /// How long to wait before asking again. It is the true time for what refills; what somebody has open ends when it ends.
    pub wait: Duration,
    /// Whether the account was not one's own, but that of all who came while there was no room to tell them apart.
    pub common: bool,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::AddressConnections,
        Self::AddressStreams,
        Self::AddressEvents,
        Self::AddressBytes,
        Self::HolderStreams,
        Self::HolderEvents,
        Self::HolderBytes,
        Self::HolderTopics,
        Self::BadCredentials,
    ];

    /// Its name: what follows `limits.` in the configuration.
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
            Self::BadCredentials => "bad_credentials",
        }
    }
}

impl Exceeded {
    /// Whole seconds to wait, for `Retry-After`: never too few, at least one.
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
                write!(f, "this address may publish {limit} event{s} a second, and has; come back in {seconds} s")
            }
            Limit::AddressBytes => {
                write!(f, "this address may publish {limit} bytes a second, and has; come back in {seconds} s")
            }
            Limit::HolderEvents => {
                write!(
                    f,
                    "the holder of this token may publish {limit} event{s} a second, and has; come back in {seconds} s"
                )
            }
            Limit::HolderBytes => {
                write!(
                    f,
                    "the holder of this token may publish {limit} bytes a second, and has; come back in {seconds} s"
                )
            }
            Limit::HolderTopics => {
                write!(
                    f,
                    "the holder of this token may make {limit} topic{s} an hour, and has; come back in {seconds} s"
                )
            }
            Limit::BadCredentials => write!(
                f,
                "{limit} bad credential{s} a second came from this address, which is its limit; correct what it sends, \
                 and come back in {seconds} s"
            ),
        }?;
        if self.common {
            f.write_str(" (the limit is shared by all whom the hub had no room to tell apart)")?;
        }
        Ok(())
    }
}

impl std::error::Error for Exceeded {}

#[cfg(test)]
mod tests {
    use super::*;

    fn exceeded(what: Limit, limit: u64, wait_ms: u64) -> Exceeded {
        Exceeded { what, limit, wait: Duration::from_millis(wait_ms), common: false }
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
            "the holder of this token may publish 1 event a second, and has; come back in 2 s"
        );
        for limit in Limit::ALL {
            let text = text(limit, 7, 3000);
            assert!(text.contains('7') && (text.contains("; close some") || text.contains("in 3 s")), "{text}");
            let shared = Exceeded { common: true, ..exceeded(limit, 7, 0) }.to_string();
            assert!(shared.contains("shared by all"), "{shared}");
        }
    }

    #[test]
    fn whoever_comes_back_after_the_seconds_told_has_waited_long_enough() {
        for (ms, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (16_000, 16)] {
            assert_eq!(exceeded(Limit::AddressBytes, 1, ms).retry_after(), seconds, "{ms}");
        }
    }
}
