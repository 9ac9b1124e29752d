//! The topics of a subscription: a set of names and patterns.

use std::{borrow::Borrow, collections::BTreeSet, fmt, sync::Arc};

use super::{
    record::NewEvent,
    rule::SelectionRule,
    shape::Shape,
    topic::{TopicError, TopicName, check_text},
};

/// A valid pattern: `*` matches exactly one segment, a final `**` one or more.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(Arc<str>);

/// One topic name or pattern of a selection.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Filter {
    /// Exactly this topic.
    Topic(TopicName),
    /// Every topic whose name matches, including topics created later.
    Pattern(Pattern),
}

/// A non-empty set of filters, sorted and without duplicates, so that equal sets are equal values.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Selection {
    filters: Arc<[Filter]>,
    /// The distinct shapes of its patterns: they determine the cost of matching a topic.
    shapes: Arc<[Shape]>,
    /// What narrows it down; `None` for all that the filters match.
    rule: Option<SelectionRule>,
}

/// Number of filters up to which they are tried one by one.
const LINEAR_MAX: usize = 4;

impl Pattern {
    /// Whether the pattern matches `topic`.
    #[must_use]
    pub fn matches(&self, topic: &TopicName) -> bool {
        if topic.is_internal() {
            return false;
        }
        if &*self.0 == "**" {
            return true;
        }
        let mut names = topic.as_str().split('/');
        let mut parts = self.0.split('/').peekable();
        while let Some(part) = parts.next() {
            let Some(name) = names.next() else { return false };
            if part == "**" && parts.peek().is_none() {
                return true;
            }
            if part != "*" && part != name {
                return false;
            }
        }
        names.next().is_none()
    }

    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The prefix that every matching name has: the text before the first wildcard.
    #[must_use]
    pub fn literal_prefix(&self) -> &str {
        self.0.split_once('*').map_or(&*self.0, |(before, _)| before)
    }
}

impl Borrow<str> for Pattern {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Filter {
    /// Parses a topic name or, if it contains a `*`, a pattern.
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn new(text: &str) -> Result<Self, TopicError> {
        if !text.contains('*') {
            return TopicName::new(text).map(Self::Topic);
        }
        check_text(text)?;
        let mut parts = text.split('/').peekable();
        while let Some(part) = parts.next() {
            let whole = part == "*" || (part == "**" && parts.peek().is_none());
            if part.contains('*') && !whole {
                return Err(TopicError::MisplacedWildcard);
            }
        }
        Ok(Self::Pattern(Pattern(text.into())))
    }

    /// Whether it matches `topic`.
    #[must_use]
    pub fn matches(&self, topic: &TopicName) -> bool {
        match self {
            Self::Topic(name) => name == topic,
            Self::Pattern(pattern) => pattern.matches(topic),
        }
    }

    /// The shape of a pattern; `None` for a name.
    #[must_use]
    pub fn shape(&self) -> Option<Shape> {
        match self {
            Self::Topic(_) => None,
            Self::Pattern(pattern) => Some(Shape::of(pattern.as_str())),
        }
    }

    /// The text of the filter.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Topic(name) => name.as_str(),
            Self::Pattern(pattern) => pattern.as_str(),
        }
    }
}

impl Selection {
    /// The set of `filters`; `None` when there are none.
    #[must_use]
    pub fn new(filters: impl IntoIterator<Item = Filter>) -> Option<Self> {
        let mut filters: Vec<Filter> = filters.into_iter().collect();
        filters.sort_unstable();
        filters.dedup();
        if filters.is_empty() {
            return None;
        }
        let shapes: BTreeSet<Shape> = filters.iter().filter_map(Filter::shape).collect();
        Some(Self { filters: filters.into(), shapes: shapes.into_iter().collect(), rule: None })
    }

    /// The same, narrowed down by `rule`.
    #[must_use]
    pub fn with_rule(self, rule: SelectionRule) -> Self {
        Self { rule: Some(rule), ..self }
    }

    /// Whether its rule admits a topic that the filters match.
    #[must_use]
    pub fn admits_topic(&self, topic: &TopicName) -> bool {
        self.rule.as_ref().is_none_or(|rule| rule.admits_topic(topic))
    }

    /// Whether its rule admits an event of a topic that it matches.
    #[must_use]
    pub fn admits(&self, event: &NewEvent) -> bool {
        self.rule.as_ref().is_none_or(|rule| rule.admits(event))
    }

    /// The filters, sorted.
    #[must_use]
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// The distinct shapes of the patterns.
    #[must_use]
    pub fn shapes(&self) -> &[Shape] {
        &self.shapes
    }

    /// Whether it matches `topic`.
    #[must_use]
    pub fn matches(&self, topic: &TopicName) -> bool {
        self.filters_match(topic) && self.admits_topic(topic)
    }

    fn filters_match(&self, topic: &TopicName) -> bool {
        if self.filters.len() <= LINEAR_MAX {
            return self.filters.iter().any(|filter| filter.matches(topic));
        }
        // Sorted: names before patterns.
        let patterns_from = self.filters.partition_point(|filter| matches!(filter, Filter::Topic(_)));
        let (names, patterns) = self.filters.split_at(patterns_from);
        let has = |all: &[Filter], text: &str| all.binary_search_by(|filter| filter.as_str().cmp(text)).is_ok();
        let mut text = String::new();
        has(names, topic.as_str())
            || self.shapes.iter().any(|shape| shape.pattern_for(topic, &mut text) && has(patterns, &text))
    }

    /// The topics selected by name.
    pub fn names(&self) -> impl Iterator<Item = &TopicName> {
        self.filters.iter().filter_map(|filter| match filter {
            Filter::Topic(name) => Some(name),
            Filter::Pattern(_) => None,
        })
    }

    /// The patterns.
    pub fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.filters.iter().filter_map(|filter| match filter {
            Filter::Pattern(pattern) => Some(pattern),
            Filter::Topic(_) => None,
        })
    }

    /// The only topic, when the selection is one name.
    #[must_use]
    pub fn single(&self) -> Option<&TopicName> {
        match &*self.filters {
            [Filter::Topic(name)] => Some(name),
            _ => None,
        }
    }

    /// Whether more can follow when all topics that it names are closed: with a pattern, and with a rule, whose protocol
    /// knows no end of a topic.
    #[must_use]
    pub fn never_ends(&self) -> bool {
        self.is_open_ended() || self.rule.is_some()
    }

    /// Whether topics created later can match: true with any pattern.
    #[must_use]
    pub fn is_open_ended(&self) -> bool {
        !self.shapes.is_empty()
    }
}

impl From<TopicName> for Selection {
    fn from(name: TopicName) -> Self {
        Self { filters: [Filter::Topic(name)].into(), shapes: [].into(), rule: None }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl fmt::Debug for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&*self.filters).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, topic: &str) -> bool {
        Filter::new(pattern).expect("valid pattern").matches(&TopicName::new(topic).expect("valid topic"))
    }

    #[test]
    fn one_star_is_one_segment_and_two_are_one_or_more() {
        for (pattern, topic, want) in [
            ("jobs/*/tokens", "jobs/42/tokens", true),
            ("jobs/*/tokens", "jobs/42/x/tokens", false),
            ("jobs/**", "jobs/42/tokens", true),
            ("jobs/**", "jobs/42", true),
            ("jobs/**", "jobs", false),
            ("jobs/*", "jobs/42/tokens", false),
            ("**", "a/b/c", true),
            ("*", "a", true),
            ("*", "a/b", false),
            ("*/b", "a/b", true),
            ("a/*", "a", false),
            ("a/b", "a/b", true),
            ("a/b", "a/B", false),
        ] {
            assert_eq!(matches(pattern, topic), want, "{pattern} {topic}");
        }
    }

    #[test]
    fn no_pattern_matches_a_topic_of_the_hub_itself() {
        let internal = TopicName::internal("$relay/runs");
        for pattern in ["**", "*/*", "*/runs", "*/**"] {
            let filter = Filter::new(pattern).expect("valid");
            let shape = filter.shape().expect("a pattern");
            assert!(!filter.matches(&internal) && !shape.pattern_for(&internal, &mut String::new()), "{pattern}");
        }
        assert_eq!(Filter::new("$relay/*"), Err(TopicError::Reserved));
        assert!(Selection::from(internal.clone()).matches(&internal));
    }

    #[test]
    fn a_misplaced_wildcard_is_refused() {
        for text in ["a*", "a/**/b", "***", "a/b*c", "**/a"] {
            assert_eq!(Filter::new(text), Err(TopicError::MisplacedWildcard), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_selection_matches_what_one_of_its_filters_matches(
            filters in proptest::collection::vec("([ab*]/){0,3}([ab*]|\\*\\*)", 1..12),
            topic in "([ab]/){0,4}[ab]",
        ) {
            let filters: Vec<_> = filters.iter().map(|text| Filter::new(text).expect("valid")).collect();
            let topic = TopicName::new(&topic).expect("valid");
            let selection = Selection::new(filters.clone()).expect("some");
            proptest::prop_assert_eq!(selection.matches(&topic), filters.iter().any(|filter| filter.matches(&topic)));
        }
    }

    #[test]
    fn equal_sets_of_filters_are_equal_selections() {
        let of = |texts: &[&str]| Selection::new(texts.iter().map(|t| Filter::new(t).expect("valid"))).expect("some");
        assert_eq!(of(&["b", "a", "b"]), of(&["a", "b"]));
        assert!(Selection::new([]).is_none());
    }
}
