//! How long a stream lives: `Stream-TTL`, counted from its last use, or `Stream-Expires-At`, a fixed time.

use http::{HeaderMap, HeaderName};
use serde::{Deserialize, Serialize};

use crate::{
    event::Millis,
    http::message::{
        headers,
        problem::{Code, Problem},
    },
};

/// The header of a time to live.
pub const TTL: HeaderName = HeaderName::from_static("stream-ttl");
/// The header of an expiry.
pub const EXPIRES_AT: HeaderName = HeaderName::from_static("stream-expires-at");

/// Longest `Stream-TTL`, in seconds: a hundred years, which no clock of ours overflows with.
const MAX_TTL: u64 = 3_155_760_000;

/// Longest `Stream-Expires-At` in bytes: a time with nanoseconds and an offset has 35.
const MAX_TIME_BYTES: usize = 64;

/// When a stream ends by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lifetime {
    /// This many seconds after it was last used.
    Ttl(u64),
    /// At this time.
    ExpiresAt {
        /// The time as it was given, which is given back.
        text: String,
        /// The same in milliseconds since the Unix epoch.
        at: u64,
    },
}

impl Lifetime {
    /// What a request asks for; `None` when it has neither header.
    ///
    /// # Errors
    /// When it has both, or one that is not valid.
    pub fn of_request(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let invalid = |detail: String| Err(Problem::new(Code::HeaderInvalid, detail));
        match (headers::one(headers, &TTL)?, headers::one(headers, &EXPIRES_AT)?) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => invalid("send Stream-TTL or Stream-Expires-At, not both".to_owned()),
            (Some(ttl), None) => match ttl.to_str().ok().and_then(seconds) {
                Some(seconds) => Ok(Some(Self::Ttl(seconds))),
                None => invalid(format!(
                    "Stream-TTL must be a whole number of seconds from 0 to {MAX_TTL}, without sign and leading zeros"
                )),
            },
            (None, Some(time)) => {
                let text = time.to_str().unwrap_or_default();
                let at = Millis::parse_rfc3339(text).filter(|_| text.len() <= MAX_TIME_BYTES);
                match at {
                    Some(at) => Ok(Some(Self::ExpiresAt { text: text.to_owned(), at: at.0 })),
                    None => {
                        invalid("Stream-Expires-At must be a time of RFC 3339, like 2030-01-31T12:00:00Z".to_owned())
                    }
                }
            }
        }
    }

    /// Whether two streams with these lifetimes have the same configuration.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ttl(one), Self::Ttl(other))
            | (Self::ExpiresAt { at: one, .. }, Self::ExpiresAt { at: other, .. }) => one == other,
            _ => false,
        }
    }
}

fn seconds(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = digits && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok())?.filter(|seconds| *seconds <= MAX_TTL)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn asked(headers: &[(HeaderName, &'static str)]) -> Result<Option<Lifetime>, Problem> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        Lifetime::of_request(&headers.collect())
    }

    #[test]
    fn a_lifetime_is_a_number_of_seconds_or_a_time() {
        assert_eq!(asked(&[]), Ok(None));
        assert_eq!(asked(&[(TTL, "3600")]), Ok(Some(Lifetime::Ttl(3600))));
        for text in ["2030-01-01T00:00:00Z", "2030-01-01T00:00:00.000+00:00", "2030-01-01T01:00:00+01:00"] {
            let Ok(Some(Lifetime::ExpiresAt { at, text: kept })) = asked(&[(EXPIRES_AT, text)]) else {
                panic!("{text}")
            };
            assert_eq!((at, kept.as_str()), (1_893_456_000_000, text));
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in ["", "+1", "-1", "01", "1.5", "1e3", "abc", "3155760001", "99999999999999999999"] {
            assert_eq!(asked(&[(TTL, text)]).expect_err(text).code, Code::HeaderInvalid);
        }
        for text in ["", "tomorrow", "2030-01-01", "2030-13-01T00:00:00Z"] {
            assert_eq!(asked(&[(EXPIRES_AT, text)]).expect_err(text).code, Code::HeaderInvalid);
        }
        assert!(asked(&[(TTL, "1"), (EXPIRES_AT, "2030-01-01T00:00:00Z")]).is_err());
    }
}
