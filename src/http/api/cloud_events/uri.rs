//! URIs of attributes, by the characters that RFC 3986 allows.

/// Whether this is a URI or a reference to one, and not empty.
#[must_use]
pub fn is_reference(text: &str) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(byte);
    let mut escapes = text.split('%').skip(1);
    !text.is_empty()
        && text.bytes().all(|byte| is_allowed(&byte))
        && escapes.all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()))
}

/// Whether this is a URI with a scheme.
#[must_use]
pub fn is_absolute(text: &str) -> bool {
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
    let is_scheme = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_reference(text) && is_scheme && scheme.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_and_uris_are_told_from_other_texts() {
        for text in [
            "/s",
            "a",
            "#x",
            "https://x.example/a%20b?c=d#e",
            "urn:uuid:1",
            "//x",
            "mailto:a@b.example",
            "http://[::1]/",
        ] {
            assert!(is_reference(text), "{text}");
        }
        for text in ["", "a b", "/ü", "%zz", "%2", "a%", "/a{b}", "<x>", "a\\b", "\"x\"", "a|b"] {
            assert!(!is_reference(text), "{text}");
        }
        for text in ["https://x.example", "urn:x", "a+b-c.d:e"] {
            assert!(is_absolute(text), "{text}");
        }
        for text in ["schema", "/schema", ":x", "1a:x", "a b:c", ""] {
            assert!(!is_absolute(text), "{text}");
        }
    }
}
