//! The `Accept` header.

use http::{HeaderMap, header};

/// Whether the `Accept` header names this media type itself. Wildcards do not count: they ask for the default. Weights
/// are ignored: a client that names a type can read it.
#[must_use]
pub fn names(headers: &HeaderMap, media: &str) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut ranges = values.flat_map(|value| value.split(','));
    ranges.any(|range| range.split(';').next().is_some_and(|range| range.trim().eq_ignore_ascii_case(media)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_counts_when_it_is_named() {
        let headers = |text: &str| HeaderMap::from_iter([(header::ACCEPT, text.parse().expect("a value"))]);
        for (text, named) in [
            ("text/event-stream", true),
            ("application/json, Text/Event-Stream;q=0.5", true),
            ("*/*", false),
            ("text/*", false),
            ("text/event-streams", false),
        ] {
            assert_eq!(names(&headers(text), "text/event-stream"), named, "{text}");
        }
        assert!(!names(&HeaderMap::new(), "text/event-stream"));
    }
}
