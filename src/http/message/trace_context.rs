//! The place of a request in a trace: its header `traceparent`.

use http::{HeaderMap, HeaderName};

use super::headers;
use crate::event::TraceParent;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The place in a trace of a request with these headers; `None` when the header is missing, comes twice or is not valid,
/// as the standard says. Anyone may send one: it identifies a trace of the sender's, and nothing depends on it here.
#[must_use]
pub fn of(headers: &HeaderMap) -> Option<TraceParent> {
    TraceParent::parse(headers::one(headers, &TRACEPARENT).ok()??.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_comes_once_and_is_valid_names_its_trace() {
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let of = |lines: &[&str]| {
            let headers = lines.iter().map(|line| (TRACEPARENT, line.parse().expect("a value"))).collect();
            of(&headers).map(|parent| parent.to_string())
        };
        assert_eq!(of(&[valid]).as_deref(), Some(valid));
        for ignored in [&[][..], &[""], &[valid, valid], &["00-junk"]] {
            assert_eq!(of(ignored), None, "{ignored:?}");
        }
    }
}
