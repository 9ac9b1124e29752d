//! The content type of a stream, and what it means for its data.

use http::{HeaderMap, HeaderValue, header};

use crate::http::message::{
    headers,
    media_type::{essence, is_media_type},
    problem::{Code, Problem},
};

/// Longest content type in bytes: some have parameters of a hundred bytes.
pub const MAX_BYTES: usize = 255;

/// The type of a stream that is created without one, as the protocol asks.
pub const DEFAULT: &str = "application/octet-stream";

/// How the data of a stream is read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataFormat {
    /// Messages, each a JSON value.
    Json,
    /// Text: `text/*`.
    Text,
    /// Bytes.
    Bytes,
}

impl DataFormat {
    /// That of a content type.
    #[must_use]
    pub fn of(content_type: &str) -> Self {
        let essence = essence(content_type);
        if essence.eq_ignore_ascii_case("application/json") {
            Self::Json
        } else if essence.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("text/")) {
            Self::Text
        } else {
            Self::Bytes
        }
    }
}

/// Whether two content types are the same, apart from their parameters and from the case of their letters.
#[must_use]
pub fn is_same(one: &str, other: &str) -> bool {
    essence(one).eq_ignore_ascii_case(essence(other))
}

/// The content type of a request, if it has one.
///
/// # Errors
/// When it came twice, is no `type/subtype`, or has more than [`MAX_BYTES`] bytes.
pub fn of_request(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers::one(headers, &header::CONTENT_TYPE)? else { return Ok(None) };
    let text = value.to_str().ok().map(str::trim).filter(|text| is_media_type(text) && text.len() <= MAX_BYTES);
    let problem = || {
        let detail = format!("Content-Type must be like text/plain or application/json, of at most {MAX_BYTES} bytes");
        Problem::new(Code::HeaderInvalid, detail)
    };
    text.map(Some).ok_or_else(problem)
}

/// A content type as the value of a header. One that was stored by [`of_request`] is valid.
#[must_use]
pub fn header_value(content_type: &str) -> HeaderValue {
    HeaderValue::from_str(content_type).unwrap_or(HeaderValue::from_static(DEFAULT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_follows_from_the_type_without_its_parameters() {
        for (text, format) in [
            ("application/json", DataFormat::Json),
            ("Application/JSON; charset=utf-8", DataFormat::Json),
            ("text/plain", DataFormat::Text),
            ("TEXT/html;charset=UTF-8", DataFormat::Text),
            ("application/octet-stream", DataFormat::Bytes),
            ("application/x-ndjson", DataFormat::Bytes),
            ("texte/plain", DataFormat::Bytes),
        ] {
            assert_eq!(DataFormat::of(text), format, "{text}");
        }
        assert!(is_same("text/plain; charset=utf-8", "TEXT/PLAIN") && !is_same("text/plain", "text/html"));
    }

    #[test]
    fn what_is_no_media_type_is_refused() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(text).expect("visible"));
            of_request(&headers).map(|text| text.map(str::to_owned))
        };
        assert_eq!(of(" image/svg+xml ").expect("valid").as_deref(), Some("image/svg+xml"));
        let long = format!("text/plain; a={}", "x".repeat(MAX_BYTES));
        for text in ["", "text", "text/", "/plain", "te xt/plain", &long] {
            assert_eq!(of(text).expect_err(text).code, Code::HeaderInvalid);
        }
        assert_eq!(of_request(&HeaderMap::new()), Ok(None));
    }
}
