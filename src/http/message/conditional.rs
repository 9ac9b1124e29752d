//! Conditional requests (RFC 9110, 13.1).

use http::{HeaderMap, header};

/// Whether `If-None-Match` names this entity tag, or any. The comparison is the weak one. `tag` has its quotation marks.
#[must_use]
pub fn names_tag(headers: &HeaderMap, tag: &[u8]) -> bool {
    let bare = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_vec();
    let lines = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut tags = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    tags.any(|known| known == b"*" || bare(known) == bare(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_known_when_it_is_named_in_either_form() {
        let known = |value: &str| {
            names_tag(&HeaderMap::from_iter([(header::IF_NONE_MATCH, value.parse().expect("a value"))]), b"W/\"a\"")
        };
        assert_eq!(
            ["\"a\"", "\"b\", W/\"a\"", "*", "\"b\"", "a", ""].map(known),
            [true, true, true, false, false, false]
        );
        assert!(!names_tag(&HeaderMap::new(), b"\"a\""));
    }
}
