//! URL patterns (WHATWG) as selectors, matched in linear time.

use std::panic::{AssertUnwindSafe, catch_unwind};

use regex::{Regex, RegexBuilder};
use url::Url;
use urlpattern::{RegexSyntax, UrlPattern, UrlPatternInit, UrlPatternMatchInput, UrlPatternOptions, regexp::RegExp};

use super::uri_template::MAX_COMPILED_BYTES;

/// A compiled pattern, and the URL that topics are relative to.
#[derive(Debug)]
pub struct UrlMatcher {
    pattern: UrlPattern<BoundedRegex>,
    hub: Url,
}

impl UrlMatcher {
    /// Compiles a pattern, which may be relative to the URL of the hub; `None` when it is none.
    #[must_use]
    pub fn new(text: &str, hub: &Url) -> Option<Self> {
        let compile = || {
            let init = UrlPatternInit::parse_constructor_string::<BoundedRegex>(text, Some(hub.clone())).ok()?;
            let options = UrlPatternOptions { regex_syntax: RegexSyntax::Rust, ignore_case: false };
            UrlPattern::parse(init, options).ok()
        };
        // The parser has panics of its own, and anybody may send a pattern: one must not end the thread.
        let pattern = catch_unwind(AssertUnwindSafe(compile)).ok().flatten()?;
        Some(Self { pattern, hub: hub.clone() })
    }

    /// A text with which the path of each URL of the hub's host begins that it matches; `None` when it matches no URL of that
    /// host.
    #[must_use]
    pub fn path_start(&self) -> Option<&str> {
        // What of a pattern is no literal text begins with one of these.
        let literal = |text: &str| text.find([':', '{', '(', '*', '+', '?', '\\']).unwrap_or(text.len());
        let (host, path) = (self.pattern.hostname(), self.pattern.pathname());
        let other = literal(host) == host.len() && self.hub.host_str() != Some(host);
        (!other).then(|| &path[..literal(path)])
    }

    /// Whether a topic is a URL, or relative to the hub's, that the pattern matches. `data:` and others without a path never
    /// are.
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        let Some(url) = self.hub.join(topic).ok().filter(|url| !url.cannot_be_a_base()) else { return false };
        let test = || self.pattern.test(UrlPatternMatchInput::Url(url));
        matches!(catch_unwind(AssertUnwindSafe(test)), Ok(Ok(true)))
    }
}

/// A regular expression of a bounded size, without backtracking.
#[derive(Debug)]
struct BoundedRegex(Regex);

impl RegExp for BoundedRegex {
    fn syntax() -> RegexSyntax {
        RegexSyntax::Rust
    }

    fn parse(pattern: &str, _flags: &str, _force_eval: bool) -> Result<Self, ()> {
        RegexBuilder::new(pattern).size_limit(MAX_COMPILED_BYTES).build().map(Self).map_err(drop)
    }

    fn matches<'a>(&self, text: &'a str) -> Option<Vec<Option<&'a str>>> {
        let captures = self.0.captures(text)?;
        Some(captures.iter().skip(1).map(|group| group.map(|group| group.as_str())).collect())
    }

    fn pattern_string(&self) -> &str {
        self.0.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub() -> Url {
        Url::parse("https://hub.example/.well-known/mercure").expect("a URL")
    }

    #[test]
    fn a_pattern_matches_urls_and_what_is_relative_to_the_hub() {
        for (pattern, topic, want) in [
            ("https://example.com/books/:id", "https://example.com/books/1", true),
            ("https://example.com/books/:id", "https://example.com/books/1/x", false),
            ("https://example.com/books/:id", "https://example.com/Books/1", false),
            ("https://*.example.com/*", "https://a.b.example.com/x/y", true),
            ("https://*.example.com/*", "https://example.com/x", false),
            ("/books/*", "/books/1/2", true),
            ("/books/*", "https://hub.example/books/1", true),
            ("/books/*", "https://example.com/books/1", false),
            ("/:x", "books", false),
            ("/.well-known/:x", "books", true),
            ("https://example.com/(\\d+)", "https://example.com/12", true),
            ("https://example.com/(\\d+)", "https://example.com/ab", false),
            ("*", "data:,x", false),
            ("https://example.com/x?*", "https://example.com/x?a=b", true),
        ] {
            let matcher = UrlMatcher::new(pattern, &hub()).expect(pattern);
            assert_eq!(matcher.matches(topic), want, "{pattern} {topic}");
        }
    }

    #[test]
    fn what_is_no_pattern_or_would_be_too_large_is_none() {
        for text in [
            "https://example.com/(",
            "https://example.com/:",
            "https://example.com/{a",
            "/(\\p{Nope})",
            "/(a{1000}{1000})",
        ] {
            assert!(UrlMatcher::new(text, &hub()).is_none(), "{text}");
        }
    }

    #[test]
    fn a_hostile_pattern_is_matched_in_linear_time() {
        let matcher = UrlMatcher::new("/((?:a|a)*)*b", &hub());
        let evil = format!("/{}", "a".repeat(200_000));
        assert!(matcher.is_none_or(|matcher| !matcher.matches(&evil)));
        let stars = UrlMatcher::new(&format!("/{}x", "*".repeat(30)), &hub());
        assert!(stars.is_none_or(|matcher| !matcher.matches(&evil)));
    }
}
