//! A name or pattern is accepted exactly when the rules allow it, and a pattern matches exactly the names that they
//! say.
//!
//! Input: a filter and a name, separated by the first line feed; a second one belongs to the name.

use gapless::event::{Filter, TopicName};
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// Checks the filter and the name by themselves and against each other.
pub(crate) fn holds_for(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (filter, name) = text.split_once('\n').unwrap_or((text, text));
    let as_filter = Filter::new(filter);
    assert_eq!(as_filter.is_ok(), is_name(filter) || is_pattern(filter), "{filter:?}: {as_filter:?}");
    let as_name = TopicName::new(name);
    assert_eq!(as_name.is_ok(), is_name(name), "{name:?}: {as_name:?}");
    let (Ok(filter), Ok(name)) = (as_filter, as_name) else { return };
    let parts: Vec<&str> = filter.as_str().split('/').collect();
    let segments: Vec<&str> = name.as_str().split('/').collect();
    assert_eq!(filter.matches(&name), matches(&parts, &segments), "{filter} {name}");
    if let Filter::Pattern(pattern) = &filter {
        assert!(!pattern.matches(&name) || name.as_str().starts_with(pattern.literal_prefix()), "{filter} {name}");
    }
}

/// The rules of docs/PROTOCOL.md, implemented independently.
fn is_allowed(text: &str) -> bool {
    let plain = |c: char| !matches!(c.general_category(), GeneralCategory::Control | GeneralCategory::Format);
    (1..=255).contains(&text.len())
        && text.chars().all(plain)
        && text.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
        && !text.starts_with('$')
        && text != "hub"
        && !text.starts_with("hub/")
}

fn is_name(text: &str) -> bool {
    is_allowed(text) && !text.contains('*')
}

fn is_pattern(text: &str) -> bool {
    let body = text.strip_suffix("/**").unwrap_or(if text == "**" { "*" } else { text });
    is_allowed(text) && text.contains('*') && body.split('/').all(|part| part == "*" || !part.contains('*'))
}

fn matches(parts: &[&str], segments: &[&str]) -> bool {
    match (parts, segments) {
        (["**"], [_, ..]) | ([], []) => true,
        (["*", parts @ ..], [_, segments @ ..]) => matches(parts, segments),
        ([part, parts @ ..], [segment, segments @ ..]) => part == segment && matches(parts, segments),
        _ => false,
    }
}
