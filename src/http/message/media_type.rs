//! Media types: what the Content-Type of a body says of its data.

use http::{HeaderMap, HeaderValue, header};

/// Subtypes of text that are not below `text/`, beside those that end in a [suffix](TEXT_SUFFIXES) of text.
const TEXT_SUBTYPES: [&[u8]; 14] = [
    b"ecmascript",
    b"graphql",
    b"javascript",
    b"json",
    b"jsonl",
    b"sql",
    b"toml",
    b"x-javascript",
    b"x-ndjson",
    b"x-sh",
    b"x-www-form-urlencoded",
    b"x-yaml",
    b"xml",
    b"yaml",
];

/// Suffixes (RFC 6839, RFC 8091, RFC 9512) of subtypes whose content is text.
const TEXT_SUFFIXES: [&[u8]; 4] = [b"+json", b"+json-seq", b"+xml", b"+yaml"];

/// The Content-Type of a request without its parameters; empty when there is none.
#[must_use]
pub fn of_request(headers: &HeaderMap) -> &[u8] {
    let content_type = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    content_type.split(|&b| b == b';').next().unwrap_or_default().trim_ascii()
}

/// A type without its parameters.
#[must_use]
pub fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}

/// Whether this is `type/subtype`, with or without parameters.
#[must_use]
pub fn is_media_type(text: &str) -> bool {
    let is_token = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    let is_header = text.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte));
    is_header && essence(text).split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

/// Whether data of this type is JSON: any subtype `json`, and those that end in `+json`.
#[must_use]
pub fn is_json(media_type: &str) -> bool {
    let subtype = essence(media_type).split_once('/').map_or("", |(_, subtype)| subtype).to_ascii_lowercase();
    subtype == "json" || subtype.ends_with("+json")
}

/// Whether a body of this type must be UTF-8: `text/…`, the types of text below `application/` and others, and what is no
/// type. Any other type may be of binary data.
#[must_use]
pub fn says_text(essence: &[u8]) -> bool {
    let Some(slash) = essence.iter().position(|&b| b == b'/') else { return true };
    let (kind, subtype) = (&essence[..slash], &essence[slash + 1..]);
    let is_token = |text: &[u8]| !text.is_empty() && text.iter().all(|b| b.is_ascii_graphic() && *b != b'/');
    if !is_token(kind) || !is_token(subtype) || kind.eq_ignore_ascii_case(b"text") {
        return true;
    }
    let subtype = subtype.to_ascii_lowercase();
    TEXT_SUBTYPES.contains(&&*subtype) || TEXT_SUFFIXES.iter().any(|suffix| subtype.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_binary_data_are_told_from_those_of_text_and_from_none() {
        for text in [
            "",
            "complete junk",
            "octet-stream",
            "/",
            "application/",
            "/pdf",
            "a/b/c",
            "image/pn g",
            "text/plain",
            "Text/CSV",
            "application/json",
            "application/x-www-form-urlencoded",
            "application/ld+json",
            "image/svg+xml",
            "application/Atom+XML",
            "application/x-ndjson",
        ] {
            assert!(says_text(text.as_bytes()), "{text}");
        }
        for binary in [
            "application/octet-stream",
            "Application/PDF",
            "application/gzip",
            "application/zip",
            "application/wasm",
            "application/cbor",
            "application/msgpack",
            "application/x-protobuf",
            "application/vnd.apache.arrow.stream",
            "image/png",
            "audio/ogg",
            "video/mp4",
            "font/woff2",
            "application/xmlx",
        ] {
            assert!(!says_text(binary.as_bytes()), "{binary}");
        }
    }

    #[test]
    fn parameters_are_no_part_of_the_type() {
        let mut headers = HeaderMap::new();
        assert_eq!(of_request(&headers), b"");
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(" image/png ; charset=binary"));
        assert_eq!(of_request(&headers), b"image/png");
        assert_eq!(essence(" image/png ; charset=binary"), "image/png");
    }

    #[test]
    fn a_media_type_has_two_parts() {
        for text in ["a/b", "text/plain;charset=utf-8", "application/vnd.x+json ; v=1"] {
            assert!(is_media_type(text), "{text}");
        }
        for text in ["", "json", "a/", "/b", "a/b/c", "a b/c", "a/b\n", "a/b; ü"] {
            assert!(!is_media_type(text), "{text:?}");
        }
    }

    #[test]
    fn some_types_are_json() {
        for text in ["application/json; charset=utf-8", "Application/LD+JSON", "text/json"] {
            assert!(is_json(text), "{text}");
        }
        for text in ["application/jsonl", "json", "application/json-seq", "text/plain"] {
            assert!(!is_json(text), "{text}");
        }
    }
}
