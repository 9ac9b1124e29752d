//! A topic's name: UTF-8 segments split by `/`.

use std::{fmt, sync::Arc};

/// Longest topic name and longest pattern, in bytes (docs/PROTOCOL.md, "Topics").
pub const MAX_TOPIC_BYTES: usize = 255;

/// A valid topic name. Cheap to clone; equal names compare equal byte by byte.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Arc<str>);

/// Why a text is not a valid topic name or pattern. `Display` says what to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// No bytes at all.
    #[error("the topic is empty; give it at least one character")]
    Empty,
    /// More than [`MAX_TOPIC_BYTES`].
    #[error("the topic has {0} bytes; at most {MAX_TOPIC_BYTES} are allowed")]
    TooLong(usize),
    /// A leading, trailing or doubled `/`.
    #[error("the topic has an empty segment; remove a leading, trailing or doubled '/'")]
    EmptySegment,
    /// A segment `.` or `..`.
    #[error("the topic has a segment '.' or '..', which browsers and proxies resolve in a path; use another name")]
    DotSegment,
    /// A character of Unicode category Cc or Cf.
    #[error("the topic contains U+{0:04X}, a control or format character; remove it")]
    ControlCharacter(u32),
    /// `*` in a name that must be exact.
    #[error("the topic contains '*'; patterns are for subscriptions, not for naming one topic")]
    Wildcard,
    /// The first segment starts with `$` or is `hub`.
    #[error("the topic's first segment starts with '$' or is 'hub'; those are reserved")]
    Reserved,
    /// `*` inside a segment, or `**` before the end.
    #[error("a pattern's '*' must be a whole segment, and '**' the last one")]
    MisplacedWildcard,
}

impl TopicName {
    /// Validates `text` as a topic name.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn new(text: &str) -> Result<Self, TopicError> {
        check_text(text)?;
        Self::without_wildcard(text)
    }

    /// The name of a topic of the hub itself. It starts with `$`, so [`TopicName::new`] refuses it and no pattern matches
    /// it.
    #[must_use]
    pub fn internal(name: &'static str) -> Self {
        debug_assert!(name.starts_with('$'), "{name} is not reserved");
        Self(name.into())
    }

    /// Whether it is a topic of the hub itself.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        self.0.starts_with('$')
    }

    /// Validates a name read from a store: also one of the hub itself. Earlier versions allowed a segment `.` or `..`:
    /// such a topic stays readable.
    ///
    /// # Errors
    /// The other rule that it breaks.
    pub fn stored(text: &str) -> Result<Self, TopicError> {
        match check_text(text) {
            Ok(()) | Err(TopicError::DotSegment) => Self::without_wildcard(text),
            Err(TopicError::Reserved) if text.starts_with('$') => Self::without_wildcard(text),
            Err(error) => Err(error),
        }
    }

    fn without_wildcard(text: &str) -> Result<Self, TopicError> {
        if text.contains('*') { Err(TopicError::Wildcard) } else { Ok(Self(text.into())) }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Checks the rules that names and patterns share.
pub(super) fn check_text(text: &str) -> Result<(), TopicError> {
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    if text.len() > MAX_TOPIC_BYTES {
        return Err(TopicError::TooLong(text.len()));
    }
    if let Some(c) = text.chars().find(|&c| c.is_control() || is_format(c)) {
        return Err(TopicError::ControlCharacter(c.into()));
    }
    if text.split('/').any(str::is_empty) {
        return Err(TopicError::EmptySegment);
    }
    let first = text.split('/').next().unwrap_or_default();
    if first.starts_with('$') || first == "hub" {
        return Err(TopicError::Reserved);
    }
    // The last rule, so that a stored name that breaks it breaks no other one.
    if text.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(TopicError::DotSegment);
    }
    Ok(())
}

/// Unicode general category Cf (Unicode 16.0, `DerivedGeneralCategory.txt`).
#[must_use]
pub const fn is_format(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{0600}'..='\u{0605}' | '\u{061C}' | '\u{06DD}' | '\u{070F}'
        | '\u{0890}'..='\u{0891}' | '\u{08E2}' | '\u{180E}' | '\u{200B}'..='\u{200F}'
        | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206F}'
        | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{110BD}' | '\u{110CD}'
        | '\u{13430}'..='\u{1343F}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0001}' | '\u{E0020}'..='\u{E007F}')
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl std::borrow::Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_names_are_taken_as_they_are() {
        for text in
            ["a", "jobs/42/tokens", "größe/ü", "a b", "...", "a/.b/c..", "x$", "a/hub", "a/$b", &"x".repeat(255)]
        {
            assert_eq!(TopicName::new(text).expect(text).as_str(), text);
        }
    }

    #[test]
    fn each_broken_rule_is_named() {
        for (text, want) in [
            ("", TopicError::Empty),
            (&*"x".repeat(256), TopicError::TooLong(256)),
            ("/a", TopicError::EmptySegment),
            ("a/", TopicError::EmptySegment),
            ("a//b", TopicError::EmptySegment),
            (".", TopicError::DotSegment),
            ("a/./b", TopicError::DotSegment),
            ("jobs/../audit", TopicError::DotSegment),
            ("a/..", TopicError::DotSegment),
            ("a\nb", TopicError::ControlCharacter(10)),
            ("a\u{200d}b", TopicError::ControlCharacter(0x200d)),
            ("a\u{7f}", TopicError::ControlCharacter(0x7f)),
            ("a/*", TopicError::Wildcard),
            ("$sys", TopicError::Reserved),
            ("hub", TopicError::Reserved),
            ("hub/x", TopicError::Reserved),
        ] {
            assert_eq!(TopicName::new(text), Err(want), "{text:?}");
        }
    }

    #[test]
    fn a_stored_name_may_have_dot_segments_or_be_the_hubs_own_and_nothing_else_that_is_refused() {
        for text in [".", "a/../b", "a", "$relay/runs"] {
            assert_eq!(TopicName::stored(text).expect(text).as_str(), text);
        }
        for text in ["", "../", "../*", "hub/..", "../\n"] {
            assert!(TopicName::stored(text).is_err(), "{text:?}");
        }
    }
}
