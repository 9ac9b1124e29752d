//! Selectors: which topics a subscriber, or a grant of a token, means.

use url::Url;

use super::{uri_template::UriTemplate, url_pattern::UrlMatcher};

/// The selector of every topic, in both dialects.
const ALL: &str = "*";

/// One selector.
#[derive(Debug)]
pub struct Selector {
    text: Box<str>,
    kind: SelectorKind,
    parameter: MatcherKind,
}

/// The parameter by which a subscription has a selector, which decides how the subscription is described to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatcherKind {
    /// `topic`, of dialect 0.
    Topic,
    /// `match` or `match_exact`, of dialect 1.
    Exact,
    /// `match_urlpattern`, of dialect 1.
    UrlPattern,
}

#[derive(Debug)]
enum SelectorKind {
    All,
    Exact,
    /// A template, which also matches its own text.
    Template(UriTemplate),
    Url(Box<UrlMatcher>),
}

/// The text is no URL pattern, or one that would take too much memory. The reason is the compiler's own, and is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid topic matcher pattern")]
pub struct InvalidPattern;

/// Several selectors: a topic is selected when one of them matches it.
#[derive(Debug, Default)]
pub struct SelectorSet(Vec<Selector>);

impl Selector {
    /// A selector of dialect 1 that compares byte by byte; `*` is every topic.
    #[must_use]
    pub fn exact(text: &str) -> Self {
        Self::by(text, MatcherKind::Exact)
    }

    /// A selector of dialect 0: a text or a URI template.
    #[must_use]
    pub fn text_or_template(text: &str) -> Self {
        match UriTemplate::new(text) {
            Some(template) => {
                Self { text: text.into(), kind: SelectorKind::Template(template), parameter: MatcherKind::Topic }
            }
            None => Self::by(text, MatcherKind::Topic),
        }
    }

    /// A selector that is no pattern.
    fn by(text: &str, parameter: MatcherKind) -> Self {
        let kind = if text == ALL { SelectorKind::All } else { SelectorKind::Exact };
        Self { text: text.into(), kind, parameter }
    }

    /// A URL pattern of dialect 1, which may be relative to the URL of the hub; `*` is every topic.
    ///
    /// # Errors
    /// When it is none.
    pub fn url_pattern(text: &str, hub: &Url) -> Result<Self, InvalidPattern> {
        if text == ALL {
            return Ok(Self::by(text, MatcherKind::UrlPattern));
        }
        let matcher = UrlMatcher::new(text, hub).ok_or(InvalidPattern)?;
        let kind = SelectorKind::Url(Box::new(matcher));
        Ok(Self { text: text.into(), kind, parameter: MatcherKind::UrlPattern })
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The parameter that it is the value of.
    #[must_use]
    pub fn parameter(&self) -> MatcherKind {
        self.parameter
    }

    /// Whether it selects one name alone.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        matches!(self.kind, SelectorKind::Exact)
    }

    /// A text with which each path of the hub begins that it selects; `None` when it selects none. An exact one has the
    /// whole path.
    #[must_use]
    pub fn path_start(&self) -> Option<&str> {
        match &self.kind {
            SelectorKind::All => Some(""),
            SelectorKind::Exact => Some(&self.text),
            SelectorKind::Template(_) => self.text.split('{').next(),
            SelectorKind::Url(matcher) => matcher.path_start(),
        }
    }

    /// Whether it selects the topic with this name.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match &self.kind {
            SelectorKind::All => true,
            SelectorKind::Exact => *self.text == *name,
            SelectorKind::Template(template) => *self.text == *name || template.matches(name),
            SelectorKind::Url(matcher) => matcher.matches(name),
        }
    }

    /// A text that two selectors share only if they select the same.
    fn key(&self) -> String {
        let kind = match self.kind {
            SelectorKind::All => 'a',
            SelectorKind::Exact => 'e',
            SelectorKind::Template(_) => 't',
            SelectorKind::Url(_) => 'u',
        };
        format!("{kind}{}:{}", self.text.len(), self.text)
    }
}

impl SelectorSet {
    /// The set of these selectors.
    #[must_use]
    pub fn new(selectors: Vec<Selector>) -> Self {
        Self(selectors)
    }

    /// Whether one of them selects the topic with this name.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|selector| selector.matches(name))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The selectors, in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = &Selector> {
        self.0.iter()
    }

    /// The names that are selected as they are.
    pub fn exact(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|selector| selector.is_exact()).map(|selector| &*selector.text)
    }

    /// Whether topics may be selected whose names are not known.
    #[must_use]
    pub fn has_patterns(&self) -> bool {
        self.0.iter().any(|selector| !selector.is_exact())
    }

    /// A text that is the same for sets of the same selectors, and for no others.
    #[must_use]
    pub fn key(&self) -> String {
        let mut keys: Vec<String> = self.0.iter().map(Selector::key).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub() -> Url {
        Url::parse("https://hub.example/.well-known/mercure").expect("a URL")
    }

    #[test]
    fn a_star_is_every_topic_whatever_the_kind() {
        for star in
            [Selector::exact("*"), Selector::text_or_template("*"), Selector::url_pattern("*", &hub()).expect("valid")]
        {
            assert!(star.matches("a") && star.matches("https://example.com/x") && star.matches("data:,x"));
        }
        assert!(!Selector::exact("a*").matches("ab"));
    }

    #[test]
    fn a_template_selects_its_own_text_too_and_only_in_dialect_0() {
        let template = Selector::text_or_template("/books/{id}");
        assert!(template.matches("/books/1") && template.matches("/books/{id}") && !template.matches("/books/1/2"));
        let exact = Selector::exact("/books/{id}");
        assert!(!exact.matches("/books/1") && exact.matches("/books/{id}"));
        let broken = Selector::text_or_template("/books/{id");
        assert!(broken.matches("/books/{id") && !broken.matches("/books/1"));
    }

    #[test]
    fn equal_sets_have_one_key_and_different_ones_do_not() {
        let set =
            |texts: &[&str]| SelectorSet::new(texts.iter().map(|text| Selector::text_or_template(text)).collect());
        assert_eq!(set(&["a", "b", "a"]).key(), set(&["b", "a"]).key());
        let keys = [
            set(&["a", "b"]),
            set(&["ab"]),
            set(&["*"]),
            set(&["{a}"]),
            set(&["a1:b"]),
            SelectorSet::new(vec![Selector::url_pattern("{a}", &hub()).expect("valid")]),
        ]
        .map(|set| set.key());
        let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len(), "{keys:?}");
        assert_eq!(set(&["a", "{b}", "c"]).exact().collect::<Vec<_>>(), ["a", "c"]);
        assert!(set(&["a", "{b}"]).has_patterns() && set(&["*"]).has_patterns() && !set(&["a", "b"]).has_patterns());
    }
}
