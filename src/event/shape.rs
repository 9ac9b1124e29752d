//! The shape of a pattern: the positions of its wildcards.
//!
//! Of all patterns of one shape exactly one can match a given topic: the topic's name with `*` at the shape's wildcard
//! positions. So patterns indexed by their text are matched with one look-up for each shape, however many patterns
//! there are (tuple space search; Srinivasan, Suri and Varghese, 1999). A topic of `n` segments has at most `2^(n+1) -
//! 1` shapes that can match it.

use super::topic::TopicName;

/// The positions of `*` in a pattern, and whether it ends in `**`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape {
    /// Whether it ends in `**`.
    pub open: bool,
    /// Number of segments, without a final `**`. A name of 255 bytes has at most 128.
    pub segments: u8,
    /// A bit for each segment that is `*`; the first segment is the lowest bit.
    stars: u128,
}

impl Shape {
    /// The shape of a valid pattern.
    #[must_use]
    pub fn of(pattern: &str) -> Self {
        let mut shape = Self { open: false, segments: 0, stars: 0 };
        for segment in pattern.split('/') {
            if segment == "**" {
                shape.open = true;
                break;
            }
            if segment == "*" {
                shape.stars |= 1 << shape.segments;
            }
            shape.segments += 1;
        }
        shape
    }

    /// Writes the only pattern of this shape that can match `topic` into `text`. Returns whether there is one.
    pub fn pattern_for(self, topic: &TopicName, text: &mut String) -> bool {
        text.clear();
        if topic.is_internal() {
            return false;
        }
        let mut names = topic.as_str().split('/');
        for index in 0..self.segments {
            let Some(name) = names.next() else { return false };
            if index > 0 {
                text.push('/');
            }
            text.push_str(if self.stars & (1 << index) == 0 { name } else { "*" });
        }
        if self.open {
            text.push_str(if self.segments == 0 { "**" } else { "/**" });
        }
        names.next().is_some() == self.open
    }

    /// Number of segments of a topic.
    #[must_use]
    pub fn segments_of(topic: &TopicName) -> u8 {
        u8::try_from(topic.as_str().split('/').count()).unwrap_or(u8::MAX)
    }

    /// The lowest shape, in sort order, with this number of segments.
    #[must_use]
    pub const fn first(open: bool, segments: u8) -> Self {
        Self { open, segments, stars: 0 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::Filter;

    #[test]
    fn a_shape_is_where_the_wildcards_are() {
        let same = |a: &str, b: &str| Shape::of(a) == Shape::of(b);
        assert!(same("a/*/b", "x/*/y") && same("a/**", "b/**") && same("*", "*"));
        assert!(!same("a/*/b", "a/b/*") && !same("a/**", "a/*") && !same("**", "a/**") && !same("*/a", "*/a/b"));
        let longest = format!("{}*", "a/".repeat(127));
        assert_eq!(Shape::of(&longest).segments, 128);
    }

    proptest! {
        #[test]
        fn of_a_shape_one_pattern_matches(
            pattern in "([ab*]/){0,4}([ab*]|\\*\\*)",
            topic in "([ab]/){0,5}[ab]",
        ) {
            prop_assume!(pattern.contains('*'));
            let topic = TopicName::new(&topic).expect("valid");
            let mut text = String::new();
            let matched = Shape::of(&pattern).pattern_for(&topic, &mut text) && text == pattern;
            prop_assert_eq!(matched, Filter::new(&pattern).expect("valid").matches(&topic));
        }
    }
}
