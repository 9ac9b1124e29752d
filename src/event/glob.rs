//! A pattern of names that are not topics: of models, of paths at a provider.

use std::fmt;

/// A pattern in which each `*` stands for any characters, or none. Everything else stands for itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Glob(String);

/// Why a text is no [`Glob`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGlob {
    /// It is empty.
    #[error("is empty")]
    Empty,
    /// It is longer than [`MAX_GLOB_BYTES`].
    #[error("is longer than {MAX_GLOB_BYTES} bytes")]
    TooLong,
    /// It has white space or control characters.
    #[error("has white space or control characters")]
    Space,
}

/// Longest pattern, in bytes. Names of models have up to a hundred. With it, a match takes bounded time.
pub const MAX_GLOB_BYTES: usize = 256;

impl Glob {
    /// The pattern of this text.
    ///
    /// # Errors
    /// When it cannot match a name.
    pub fn new(text: &str) -> Result<Self, InvalidGlob> {
        if text.is_empty() {
            return Err(InvalidGlob::Empty);
        }
        if text.len() > MAX_GLOB_BYTES {
            return Err(InvalidGlob::TooLong);
        }
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(InvalidGlob::Space);
        }
        Ok(Self(text.into()))
    }

    /// The pattern that matches every name.
    #[must_use]
    pub fn any() -> Self {
        Self("*".into())
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it matches every name.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.0.bytes().all(|byte| byte == b'*')
    }

    /// Whether it matches the whole `name`, with regard to case.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let Some((first, rest)) = self.0.split_once('*') else { return self.0 == name };
        let Some(name) = name.strip_prefix(first) else { return false };
        let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
        let Some(mut name) = name.strip_suffix(last) else { return false };
        // The first place of each part leaves the most for the others.
        middle.split('*').all(|part| {
            let Some(at) = name.find(part) else { return false };
            name = &name[at + part.len()..];
            true
        })
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Glob::new(pattern).expect("a pattern").matches(name)
    }

    #[test]
    fn a_star_stands_for_any_characters_at_any_place() {
        for (pattern, name) in [
            ("gpt-4o", "gpt-4o"),
            ("gpt-*", "gpt-4o-mini"),
            ("gpt-*", "gpt-"),
            ("*-mini", "gpt-4o-mini"),
            ("*4o*", "gpt-4o-mini"),
            ("gpt*o*i", "gpt-4o-mini"),
            ("*", ""),
            ("**", "anything/at/all"),
            ("ä*ü", "äöü"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("gpt-4o", "gpt-4o-mini"),
            ("gpt-4o", "GPT-4o"),
            ("gpt-*", "o1-gpt-4"),
            ("*-mini", "gpt-mini-4"),
            ("ab*ba", "aba"),
            ("a*b*b", "ab"),
            ("*a*a*", "a"),
            ("*x*", ""),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn a_text_that_no_name_can_match_is_no_pattern() {
        for (text, want) in [
            ("", InvalidGlob::Empty),
            ("gpt 4", InvalidGlob::Space),
            ("gpt\n", InvalidGlob::Space),
            (&"x".repeat(257), InvalidGlob::TooLong),
        ] {
            assert_eq!(Glob::new(text), Err(want), "{text}");
        }
    }

    /// The definition, character by character; takes exponential time.
    fn by_definition(pattern: &str, name: &str) -> bool {
        match pattern.chars().next() {
            None => name.is_empty(),
            Some('*') => {
                let ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
                ends.into_iter().any(|at| by_definition(&pattern[1..], &name[at..]))
            }
            Some(c) => name.strip_prefix(c).is_some_and(|rest| by_definition(&pattern[c.len_utf8()..], rest)),
        }
    }

    /// Every text of at most `length` of these characters.
    fn texts(characters: &[char], length: usize) -> Vec<String> {
        let mut texts = vec![String::new()];
        let mut longest = texts.clone();
        for _ in 0..length {
            let longer = longest.iter().flat_map(|text| characters.iter().map(move |c| format!("{text}{c}")));
            longest = longer.collect();
            texts.extend_from_slice(&longest);
        }
        texts
    }

    #[test]
    fn each_short_pattern_matches_what_the_definition_says() {
        let names = texts(&['a', 'b'], 5);
        for pattern in texts(&['a', 'b', '*'], 5).iter().filter(|pattern| !pattern.is_empty()) {
            for name in &names {
                assert_eq!(matches(pattern, name), by_definition(pattern, name), "{pattern} {name}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_match_is_what_the_definition_says(pattern in "[ab*]{1,8}", name in "[ab]{0,10}") {
            prop_assert_eq!(matches(&pattern, &name), by_definition(&pattern, &name));
        }
    }
}
