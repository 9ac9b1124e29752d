//! Paths of providers: which are safe to compare, and what stands before an operation.

/// Most segments before an operation: `/api/paas/v4` has three.
const MAX_PREFIX_SEGMENTS: usize = 4;

/// Whether a path means the same to everyone: no empty, `.` or `..` segment, and nothing that a server could decode or
/// normalize into one.
pub fn is_plain(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    let is_plain = |segment: &str| !segment.is_empty() && segment != "." && segment != "..";
    let mut bytes = path.bytes().enumerate();
    bytes.all(|(at, byte)| match byte {
        b'\\' | b'?' | b'#' | b';' => false,
        b'%' => path.get(at + 1..at + 3).is_some_and(encodes_plain),
        _ => byte.is_ascii_graphic(),
    }) && rest.split('/').all(is_plain)
}

/// Whether two hexadecimal digits encode a character that separates nothing and is not decoded again.
fn encodes_plain(digits: &str) -> bool {
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let byte = u8::from_str_radix(digits, 16).unwrap_or(0);
    is_hex && !byte.is_ascii_control() && !b"/.\\%;?#".contains(&byte)
}

/// What of a plain path follows its prefix: segments from `words`, and versions like `v1` and `v1beta`.
///
/// Only known words are a prefix. A path that merely ends like an operation, below a collection of files for example,
/// is then another operation.
pub(super) fn operation<'p>(path: &'p str, words: &[&str]) -> Option<&'p str> {
    let mut rest = path.strip_prefix('/').filter(|_| is_plain(path))?;
    for _ in 0..MAX_PREFIX_SEGMENTS {
        match rest.split_once('/') {
            Some((first, after)) if words.contains(&first) || is_version(first) => rest = after,
            _ => break,
        }
    }
    Some(rest)
}

/// Whether `segment` is the version of an API.
pub(super) fn is_version(segment: &str) -> bool {
    let Some(rest) = segment.strip_prefix('v') else { return false };
    rest.starts_with(|c: char| c.is_ascii_digit()) && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Whether `operation` is `collection`, or one item of it.
pub(super) fn is_item_of(operation: &str, collection: &str) -> bool {
    let item = operation.strip_prefix(collection).and_then(|rest| rest.strip_prefix('/'));
    item.is_some_and(|item| !item.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_could_be_read_as_another_is_not_plain() {
        for path in [
            "",
            "/",
            "v1",
            "/v1/",
            "//v1",
            "/v1//models",
            "/v1/./models",
            "/v1/../models",
            "/v1/..",
            "/v1%2fmodels",
            "/v1/%2E%2e/models",
            "/v1/%252e/a",
            "/v1\\models",
            "/v1/%5cmodels",
            "/v1/..;/a",
            "/v1/%3b",
            "/v1/a?b",
            "/v1/a#b",
            "/v1/a%3fb",
            "/v1/a b",
            "/v1/a\n",
            "/v1/é",
            "/v1/%00",
            "/v1/%0a",
            "/v1/%",
            "/v1/%4",
            "/v1/%zz",
            "/v1/%+4",
            "/v1/%é",
        ] {
            assert!(!is_plain(path), "{path}");
        }
        for path in ["/v1", "/v1/models/gpt-4o.mini:x@y", "/v1/models/a%3Ab%20c", "/v1/.../..a"] {
            assert!(is_plain(path), "{path}");
        }
    }

    #[test]
    fn only_known_words_and_versions_are_a_prefix() {
        let words = ["api", "openai"];
        for (path, want) in [
            ("/models", Some("models")),
            ("/v1/models", Some("models")),
            ("/api/v1beta2/models", Some("models")),
            ("/v1beta/openai/models", Some("models")),
            ("/v1/files/models", Some("files/models")),
            ("/v1", Some("v1")),
            ("/version/models", Some("version/models")),
            ("/v1-/models", Some("v1-/models")),
            ("/v1/v1/v1/v1/v1/models", Some("v1/models")),
            ("/v1/../models", None),
        ] {
            assert_eq!(operation(path, &words), want, "{path}");
        }
        assert!(is_item_of("models/a", "models"));
        for other in ["models", "models/a/b", "modelsx/a", "x/models/a"] {
            assert!(!is_item_of(other, "models"), "{other}");
        }
    }
}
