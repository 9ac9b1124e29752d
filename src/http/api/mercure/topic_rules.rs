//! What a topic may be called, and which names are the hub's own.

use percent_encoding::percent_decode_str;
use url::Url;

use crate::{
    event::topic::is_format,
    http::message::problem::{Code, Problem},
};

/// The path of the hub. Topics whose URL has it, or one below it, are reserved: the hub publishes there.
pub const HUB_PATH: &str = "/.well-known/mercure";

/// Bytes of a name or of a selector at most: what the specification's own hub accepts.
pub const MAX_NAME_BYTES: usize = 4096;

/// Checks that a text has no character that could not be shown, or that could forge a line of a stream. `what` names it.
///
/// # Errors
/// Names the first such character.
pub fn check_characters(what: &str, text: &str) -> Result<(), Problem> {
    match text.chars().find(|&c| c.is_control() || is_format(c)) {
        None => Ok(()),
        Some(c) => Err(Problem::new(
            Code::BodyInvalid,
            format!("'{what}' contains U+{:04X}, a control or format character; remove it", u32::from(c)),
        )),
    }
}

/// Whether a topic is the hub's own: whether the URL that it is, or that it is relative to `hub`, has the path of the hub
/// or one below it, whatever its host.
#[must_use]
pub fn is_reserved(topic: &str, hub: &Url) -> bool {
    // The parser resolves dot segments, escaped ones too, and backslashes.
    let Ok(url) = hub.join(topic) else { return false };
    if url.cannot_be_a_base() {
        return false;
    }
    let path = percent_decode_str(url.path()).decode_utf8_lossy();
    path.strip_prefix(HUB_PATH).is_some_and(|below| below.is_empty() || below.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_means_the_hub_is_reserved_in_every_spelling() {
        let hub = Url::parse("https://hub.example/.well-known/mercure").expect("a URL");
        for topic in [
            "",
            "/.well-known/mercure",
            "/.well-known/mercure/subscriptions/x",
            "https://hub.example/.well-known/mercure",
            "https://other.example/.well-known/mercure/x",
            "http://other.example:81/.well-known/./mercure?x#y",
            "/.well-known/%6Dercure",
            "/%2Ewell-known/mercure",
            "/a/../.well-known/mercure/",
            "/a/%2e%2E/.well-known/mercure",
            "\\.well-known\\mercure",
            "mercure",
            "mercure/x",
            "./mercure",
            "?x",
            "#x",
            "\u{20}/.well-known/mercure",
        ] {
            assert!(is_reserved(topic, &hub), "{topic:?}");
        }
        for topic in [
            "/.well-known/mercure-dashboard",
            "/.well-known",
            "https://example.com/books/1",
            "https://example.com/x/.well-known/mercure",
            "urn:x:/.well-known/mercure",
            "data:,/.well-known/mercure",
            "books",
            "/.well-known/Mercure",
            "https://[",
        ] {
            assert!(!is_reserved(topic, &hub), "{topic:?}");
        }
    }

    #[test]
    fn a_character_that_nobody_sees_is_refused_and_letters_of_any_script_are_not() {
        for bad in ["a\r", "a\n", "\0", "\u{7f}", "\u{85}", "\u{200b}", "\u{202e}x", "\u{feff}"] {
            assert!(check_characters("id", bad).is_err(), "{bad:?}");
        }
        for good in ["", "a b", "שלום", "é🦀", "\u{a0}"] {
            assert!(check_characters("id", good).is_ok(), "{good:?}");
        }
    }
}
