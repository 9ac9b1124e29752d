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

/// Whether the `Accept` header prefers the media type `wanted` to `other`, by their weights. `wanted` must be named, with
/// the parameters that it has; for `other` wildcards count.
#[must_use]
pub fn prefers(headers: &HeaderMap, wanted: &str, other: &str) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<MediaRange> = values.flat_map(|value| value.split(',')).map(MediaRange::parse).collect();
    let (wanted, other) = (MediaRange::parse(wanted), MediaRange::parse(other));
    let best = |of: &dyn Fn(&MediaRange) -> bool| {
        ranges.iter().filter(|range| of(range)).map(|range| range.weight).max_by(f32::total_cmp).unwrap_or(0.0)
    };
    best(&|range| *range.media == *wanted.media && wanted.parameters.iter().all(|one| range.parameters.contains(one)))
        > best(&|range| range.covers(&other.media))
}

/// One of the ranges of an `Accept` header, in lower case.
struct MediaRange {
    media: String,
    parameters: Vec<String>,
    weight: f32,
}

impl MediaRange {
    fn parse(text: &str) -> Self {
        let mut parts = text.split(';').map(|part| part.trim().to_ascii_lowercase());
        let mut range = Self { media: parts.next().unwrap_or_default(), parameters: Vec::new(), weight: 1.0 };
        for part in parts {
            match part.strip_prefix("q=") {
                Some(weight) => range.weight = weight.parse().unwrap_or(0.0),
                None => range.parameters.push(part),
            }
        }
        range
    }

    fn covers(&self, media: &str) -> bool {
        let kind = |text: &str| text.split('/').next().unwrap_or_default().to_owned();
        self.media == media || self.media == "*/*" || self.media == format!("{}/*", kind(media))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_with_the_higher_weight_is_preferred() {
        const PROTOBUF: &str = "application/x; proto=a.B; encoding=delimited";
        let headers = |text: &str| HeaderMap::from_iter([(header::ACCEPT, text.parse().expect("a value"))]);
        for (text, preferred) in [
            ("application/x;proto=a.B;encoding=delimited;q=0.6,text/plain;version=0.0.4;q=0.4,*/*;q=0.3", true),
            ("application/x;proto=a.B;encoding=delimited;q=0.3,text/plain;version=0.0.4;q=0.4", false),
            ("application/x;proto=a.B;encoding=text,text/plain;q=0.1", false),
            ("application/x, text/*;q=0.1", false),
            ("application/x;proto=a.B;encoding=delimited;q=0.2, */*;q=0.3", false),
            ("Application/X; encoding=delimited; proto=a.B", true),
            ("application/x;proto=a.B;encoding=delimited;q=junk", false),
            ("*/*", false),
        ] {
            assert_eq!(prefers(&headers(text), PROTOBUF, "text/plain"), preferred, "{text}");
        }
    }

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
