//! The topic of the log that holds the updates of a topic of Mercure, whose name may be any text: a URL, mostly.
//!
//! | updates | topic of the log |
//! |---|---|
//! | public | `mercure/<segment>` |
//! | private | `mercure-private/<segment>` |
//!
//! The segment is the name with everything percent-encoded that a segment may not hold, so the two are one to one. A name
//! whose segment would be too long has `~` and a hash instead; its text is kept with each event.

use std::{borrow::Cow, fmt::Write};

use percent_encoding::percent_decode_str;

use crate::{
    access,
    event::{
        TopicName,
        topic::{MAX_TOPIC_BYTES, is_format},
    },
};

/// The first segment of topics with public updates, with its slash.
pub const PUBLIC: &str = "mercure/";

/// The first segment of topics with private updates, with its slash.
pub const PRIVATE: &str = "mercure-private/";

/// Bytes of a segment at most: what the longer of the two prefixes leaves.
const MAX_SEGMENT_BYTES: usize = MAX_TOPIC_BYTES - PRIVATE.len();

/// Bytes of the hash in the segment of a long name: 128 bits, so that nobody finds two names with one hash.
const HASH_BYTES: usize = 16;

/// Who may read an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Every subscriber.
    Public,
    /// Those with a grant for one of its topics.
    Private,
}

/// The name of a topic of Mercure, as its topic of the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoggedName<'n> {
    /// Itself.
    Text(Cow<'n, str>),
    /// Its hash: the text is kept with the events.
    Hashed,
}

impl Audience {
    /// The audience of a topic of the log, and the segment after its prefix; `None` when it is none of Mercure's.
    #[must_use]
    pub fn of(topic: &TopicName) -> Option<(Self, &str)> {
        let (name, public) = (topic.as_str(), Self::Public);
        let segment = name.strip_prefix(PUBLIC).map(|segment| (public, segment));
        segment.or_else(|| name.strip_prefix(PRIVATE).map(|segment| (Self::Private, segment)))
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Public => PUBLIC,
            Self::Private => PRIVATE,
        }
    }
}

/// The topic of the log for the topic of Mercure with this `name`, which is not empty and has no control or format
/// characters.
///
/// # Errors
/// For a name that breaks these rules.
pub fn log_topic(name: &str, audience: Audience) -> Result<TopicName, crate::event::topic::TopicError> {
    let mut segment = String::with_capacity(name.len() + 8);
    for (index, c) in name.char_indices() {
        // A segment `.` or `..` is refused, and `~` begins a hash.
        let first = index == 0 && matches!(c, '.' | '~');
        if first || matches!(c, '/' | '%' | '*') || c.is_control() || is_format(c) {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                write!(segment, "%{byte:02X}").expect("memory");
            }
        } else {
            segment.push(c);
        }
    }
    if segment.len() > MAX_SEGMENT_BYTES {
        segment = format!("~{}", access::hex(&access::sha256(name.as_bytes())[..HASH_BYTES]));
    }
    TopicName::new(&format!("{}{segment}", audience.prefix()))
}

/// Whether a topic of the log has only the hash of its name, so that the text must be kept with its events.
#[must_use]
pub fn is_hashed(topic: &TopicName) -> bool {
    Audience::of(topic).is_some_and(|(_, segment)| segment.starts_with('~'))
}

/// The name of which `segment` was made.
#[must_use]
pub fn name_of(segment: &str) -> LoggedName<'_> {
    if segment.starts_with('~') {
        return LoggedName::Hashed;
    }
    // A segment that was not made of a name, as one of a topic from before the protocol was on, is its own name.
    LoggedName::Text(percent_decode_str(segment).decode_utf8().unwrap_or(Cow::Borrowed(segment)))
}

/// The name of a topic with public updates, for a reader; `None` when it is private, or only its hash is known.
#[must_use]
pub fn public_name(topic: &TopicName) -> Option<Cow<'_, str>> {
    match Audience::of(topic)? {
        (Audience::Public, segment) => match name_of(segment) {
            LoggedName::Text(name) => Some(name),
            LoggedName::Hashed => None,
        },
        (Audience::Private, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(name: &str) -> String {
        let topic = log_topic(name, Audience::Public).expect(name);
        let private = log_topic(name, Audience::Private).expect(name);
        assert_eq!(Audience::of(&private).map(|(_, segment)| segment), topic.as_str().strip_prefix(PUBLIC), "{name}");
        topic.as_str()[PUBLIC.len()..].to_owned()
    }

    #[test]
    fn a_name_is_one_segment_that_can_be_read() {
        for (name, want) in [
            ("https://example.com/books/1", "https:%2F%2Fexample.com%2Fbooks%2F1"),
            ("a b?c=d#e", "a b?c=d#e"),
            ("größe", "größe"),
            (".", "%2E"),
            ("..", "%2E."),
            ("a.", "a."),
            ("~x", "%7Ex"),
            ("x~", "x~"),
            ("100%/*", "100%25%2F%2A"),
            ("$x", "$x"),
            ("hub", "hub"),
        ] {
            assert_eq!(segment(name), want);
        }
    }

    #[test]
    fn a_long_name_is_hashed_and_two_names_are_never_one_topic() {
        let longest = "x".repeat(MAX_SEGMENT_BYTES);
        assert_eq!(segment(&longest), longest);
        let (one, other) = (format!("{longest}a"), format!("{longest}b"));
        assert!(is_hashed(&log_topic(&one, Audience::Private).expect("valid")));
        assert_eq!((segment(&one).len(), name_of(&segment(&one))), (1 + 2 * HASH_BYTES, LoggedName::Hashed));
        assert_ne!(segment(&one), segment(&other));
        assert!(!is_hashed(&log_topic(&segment(&one), Audience::Public).expect("valid")), "no name forges a hash");
    }

    #[test]
    fn a_private_name_is_shown_to_nobody() {
        let shown = |audience| public_name(&log_topic("a/b", audience).expect("valid")).map(Cow::into_owned);
        assert_eq!((shown(Audience::Public).as_deref(), shown(Audience::Private)), (Some("a/b"), None));
    }

    #[test]
    fn an_empty_name_has_no_topic() {
        assert!(log_topic("", Audience::Public).is_err());
    }

    proptest::proptest! {
        #[test]
        fn the_name_comes_back(name in "[a-c./~%*$ é🦀]{1,40}") {
            let segment = segment(&name);
            proptest::prop_assert_eq!(name_of(&segment), LoggedName::Text(name.as_str().into()));
        }
    }
}
