//! The id of a request: in the log, in every response, and in every problem, so that a user's report leads to the lines
//! of the log.

use std::{cell::Cell, fmt, sync::LazyLock};

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header with the id, in requests of trusted proxies and in every response.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is taken from a proxy, in bytes: a UUID has 36, and the ids of the usual load balancers fewer than
/// 64. Every open stream may keep one.
pub const MAX_BYTES: usize = 64;

/// Bits of [`RequestId`] that count the requests of one core: at a million requests a second, enough for nine years.
const COUNTER_BITS: u32 = 48;

/// Eight digits that differ between two runs of the hub, so that their ids differ, too.
static PROCESS: LazyLock<String> = LazyLock::new(|| format!("{:08x}", fastrand::u32(..)));

/// The id of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(IdSource);

#[derive(Debug, Clone, PartialEq, Eq)]
enum IdSource {
    /// Made here: the index of the core, and the number of the request on this core. A number, so that an id takes no
    /// memory until it is written.
    Made(u64),
    /// Sent by a trusted proxy.
    Sent(Box<str>),
}

/// Makes the ids of one core's requests.
#[derive(Debug)]
pub struct RequestIds(Cell<u64>);

impl RequestIds {
    /// The ids of the core with this index. There are fewer than 2^16 cores.
    #[must_use]
    pub fn new(core: usize) -> Self {
        Self(Cell::new((core as u64) << COUNTER_BITS))
    }

    /// The id of a request with these headers. `trusted`: its sender is a trusted proxy, whose `X-Request-Id` counts;
    /// any other client could choose the id of another's request. One that is not valid, or came twice, is
    /// replaced.
    pub fn of(&self, headers: &HeaderMap, trusted: bool) -> RequestId {
        match trusted.then(|| sent(headers)).flatten() {
            // Copied: the header is a part of the connection's read buffer, which a stream would keep.
            Some(sent) => RequestId(IdSource::Sent(sent.into())),
            None => RequestId(IdSource::Made(self.0.replace(self.0.get() + 1))),
        }
    }
}

impl RequestId {
    /// The id as the value of a header: one allocation. Written without `fmt`, because every response has one.
    #[must_use]
    pub fn header_value(&self) -> HeaderValue {
        let made = match &self.0 {
            IdSource::Made(made) => *made,
            IdSource::Sent(sent) => return HeaderValue::from_str(sent).expect("visible ASCII"),
        };
        let ((core, number), mut digits) = (parts(made), [itoa::Buffer::new(), itoa::Buffer::new()]);
        let [core_digits, number_digits] = &mut digits;
        let parts = [PROCESS.as_str(), "-", core_digits.format(core), "-", number_digits.format(number)];
        let (mut text, mut length) = ([0; MAX_BYTES], 0);
        for part in parts {
            text[length..length + part.len()].copy_from_slice(part.as_bytes());
            length += part.len();
        }
        HeaderValue::from_bytes(&text[..length]).expect("visible ASCII")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            IdSource::Made(made) => {
                let (core, number) = parts(*made);
                write!(f, "{}-{core}-{number}", *PROCESS)
            }
            IdSource::Sent(sent) => f.write_str(sent),
        }
    }
}

/// The index of the core, and the number of the request on this core.
fn parts(made: u64) -> (u64, u64) {
    (made >> COUNTER_BITS, made & ((1 << COUNTER_BITS) - 1))
}

/// The id in the header, if it came once and is valid.
fn sent(headers: &HeaderMap) -> Option<&str> {
    let mut lines = headers.get_all(REQUEST_ID).iter();
    let (first, second) = (lines.next()?, lines.next());
    first.to_str().ok().filter(|sent| second.is_none() && is_valid(sent))
}

/// Whether a proxy's id is used as it is: 1 to [`MAX_BYTES`] visible ASCII characters.
fn is_valid(sent: &str) -> bool {
    (1..=MAX_BYTES).contains(&sent.len()) && sent.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(lines: &[&str], trusted: bool) -> String {
        let value = |line: &&str| HeaderValue::from_bytes(line.as_bytes()).expect("may be sent");
        let headers = lines.iter().map(|line| (REQUEST_ID, value(line))).collect();
        RequestIds::new(3).of(&headers, trusted).to_string()
    }

    #[test]
    fn an_id_of_a_trusted_proxy_is_kept_if_it_is_short_and_visible() {
        let made = format!("{}-3-0", *PROCESS);
        let longest = "x".repeat(MAX_BYTES);
        for good in ["a", "7f9a-\"1\"", "Root=1-67891233-abcdef012345678912345678", &longest] {
            assert_eq!(id(&[good], true), good);
            assert_eq!(id(&[good], false), made, "anyone could send it");
        }
        for bad in [&[""][..], &["a b"], &["a\tb"], &["é"], &[&format!("{longest}x")], &["a", "b"], &[]] {
            assert_eq!(id(bad, true), made, "{bad:?}");
        }
    }

    #[test]
    fn no_two_requests_of_a_process_have_the_same_id() {
        let (none, cores) = (HeaderMap::new(), [RequestIds::new(0), RequestIds::new(1), RequestIds::new(1023)]);
        let ids = cores.iter().flat_map(|core| (0..100).map(|_| core.of(&none, false).to_string()));
        assert_eq!(ids.collect::<std::collections::BTreeSet<_>>().len(), 300);
    }

    #[test]
    fn the_longest_ids_fit_into_a_header() {
        for id in [IdSource::Made(u64::MAX), IdSource::Sent("x".repeat(MAX_BYTES).into())].map(RequestId) {
            assert_eq!(id.header_value(), id.to_string());
        }
    }

    #[test]
    fn an_id_is_small() {
        assert!(size_of::<RequestId>() <= 16, "{}", size_of::<RequestId>());
    }
}
