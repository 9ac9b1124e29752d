//! The path of the subscriptions by one selector, under which each of them has its own.
//!
//! | dialect | path of a selector | of a subscription |
//! |---|---|---|
//! | 0 | `/.well-known/mercure/subscriptions/<topic>` | `…/<topic>/<subscriber>` |
//! | 1 | `/.well-known/mercure/subscriptions/<match_type>/<match>` | `…/<match_type>/<match>/<subscriber>` |

use std::{borrow::Borrow, sync::Arc};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::http::api::mercure::selector::{MatcherKind, Selector};

/// The path of all subscriptions.
pub const SUBSCRIPTIONS_PATH: &str = "/.well-known/mercure/subscriptions";

/// What is not encoded in the expansion of a variable (RFC 6570, 3.2.2): letters, digits, and these.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The path, which is the same for equal selectors of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Collection(Arc<str>);

impl Collection {
    /// That of a selector.
    #[must_use]
    pub fn of(selector: &Selector) -> Self {
        Self::new(selector.parameter(), selector.text())
    }

    /// That of the selector with this text.
    #[must_use]
    pub fn new(kind: MatcherKind, selector: &str) -> Self {
        let kind = match type_name(kind) {
            Some(name) => format!("{name}/"),
            None => String::new(),
        };
        Self(format!("{SUBSCRIPTIONS_PATH}/{kind}{}", escaped(selector)).into())
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0
    }

    /// The kind of its selector, and the selector's text.
    #[must_use]
    pub fn selector(&self) -> (MatcherKind, String) {
        let segments = self.0.get(SUBSCRIPTIONS_PATH.len() + 1..).unwrap_or_default();
        let (kind, text) = match segments.split_once('/') {
            Some((name, text)) => (kind_named(name).unwrap_or(MatcherKind::Exact), text),
            None => (MatcherKind::Topic, segments),
        };
        (kind, percent_decode_str(text).decode_utf8_lossy().into_owned())
    }
}

impl Borrow<str> for Collection {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A text as one segment of a path.
#[must_use]
pub fn escaped(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// The `match_type` of a kind; `None` for dialect 0, which has none.
#[must_use]
pub fn type_name(kind: MatcherKind) -> Option<&'static str> {
    match kind {
        MatcherKind::Topic => None,
        MatcherKind::Exact => Some("exact"),
        MatcherKind::UrlPattern => Some("urlpattern"),
    }
}

/// The kind with this `match_type`.
#[must_use]
pub fn kind_named(name: &str) -> Option<MatcherKind> {
    [MatcherKind::Exact, MatcherKind::UrlPattern].into_iter().find(|kind| type_name(*kind) == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_encoded_once_and_comes_back() {
        for (kind, text, want) in [
            (MatcherKind::Topic, "https://example.com/{id}", "https%3A%2F%2Fexample.com%2F%7Bid%7D"),
            (MatcherKind::Topic, "exact", "exact"),
            (MatcherKind::Exact, "a b+c%2F~é", "exact/a%20b%2Bc%252F~%C3%A9"),
            (MatcherKind::UrlPattern, "/:x", "urlpattern/%2F%3Ax"),
            (MatcherKind::Topic, "*", "%2A"),
        ] {
            let collection = Collection::new(kind, text);
            assert_eq!(collection.path(), format!("{SUBSCRIPTIONS_PATH}/{want}"));
            assert_eq!(collection.selector(), (kind, text.to_owned()));
        }
    }
}
