//! An attribute as the value of an HTTP header, and back: the
//! [binary mode](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md#3132-http-header-values)
//! writes characters that a header cannot have as percent-encoded UTF-8.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, utf8_percent_encode};

use super::{attributes::CloudAttribute, uri::is_reference};

/// What the names of headers of attributes begin with.
pub const PREFIX: &str = "ce-";

/// What is encoded besides control characters and everything that is not ASCII.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// The header of an attribute. `None` for a name that no header can have.
#[must_use]
pub fn header(name: &str, value: &CloudAttribute) -> Option<(HeaderName, HeaderValue)> {
    let text = value.to_string();
    let encoded = Cow::from(utf8_percent_encode(&text, ENCODED));
    let name = HeaderName::from_bytes(format!("{PREFIX}{name}").as_bytes()).ok()?;
    Some((name, HeaderValue::from_str(&encoded).ok()?))
}

/// The text of such a header: without the quotes that some senders put around it, decoded once. What a sender has not
/// encoded is UTF-8, or else Latin-1, as `fetch` sends it. `None` when it does not decode to UTF-8.
#[must_use]
pub fn text(value: &HeaderValue) -> Option<String> {
    let bytes = value.as_bytes();
    let unquoted = bytes.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    let mut plain = Cow::Borrowed(bytes);
    if let Some(quoted) = unquoted {
        let mut escaped = false;
        let keep = |byte: &u8| {
            escaped = *byte == b'\\' && !escaped;
            !escaped
        };
        plain = Cow::Owned(quoted.iter().copied().filter(keep).collect());
    }
    if std::str::from_utf8(&plain).is_err() {
        plain = Cow::Owned(plain.iter().copied().map(char::from).collect::<String>().into_bytes());
    }
    String::from_utf8(percent_decode(&plain).collect()).ok()
}

/// The text of the header of a URI. Some senders do not encode the `%` of one: what is no URI when it is decoded, and was one
/// before, is taken as it was sent.
#[must_use]
pub fn uri(value: &HeaderValue) -> Option<String> {
    let decoded = text(value)?;
    let sent = value.to_str().ok().filter(|sent| is_reference(sent) && !is_reference(&decoded));
    Some(sent.map_or(decoded, str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_survives_its_header() {
        for value in ["", "plain/text?x=1&y", "Euro € 😀", "100% \"quoted\" \\ back", "%20", "a\nb\0"] {
            let (name, header) = header("own", &CloudAttribute::Text(value.into())).expect("a header");
            assert_eq!((name.as_str(), text(&header).as_deref()), ("ce-own", Some(value)));
            assert!(header.as_bytes().iter().all(u8::is_ascii_graphic), "{header:?}");
        }
        let flag = header("flag", &CloudAttribute::Boolean(true)).expect("a header").1;
        assert_eq!(flag, "true");
        assert_eq!(header("not a name", &CloudAttribute::Integer(1)), None);
    }

    #[test]
    fn a_uri_is_read_whether_its_percent_signs_were_encoded_or_not() {
        for (sent, want) in [("/a%25C3%25BC", "/a%C3%BC"), ("/a%C3%BC", "/a%C3%BC"), ("/a%20b", "/a%20b"), ("/a", "/a")]
        {
            assert_eq!(uri(&HeaderValue::from_static(sent)).as_deref(), Some(want), "{sent}");
        }
        assert_eq!(uri(&HeaderValue::from_static("a b")).as_deref(), Some("a b"), "it is refused later");
    }

    #[test]
    fn quotes_and_what_was_not_encoded_are_read() {
        let text = |bytes: &[u8]| text(&HeaderValue::from_bytes(bytes).expect("a value"));
        assert_eq!(text(br#""a \"b\" \\ %20c""#).as_deref(), Some(r#"a "b" \  c"#));
        assert_eq!(text("grüße".as_bytes()).as_deref(), Some("grüße"));
        assert_eq!(text(b"gr\xFC\xDFe %C3%BC").as_deref(), Some("grüße ü"));
        assert_eq!(text(b"\"").as_deref(), Some("\""));
        assert_eq!(text(b"100%").as_deref(), Some("100%"));
        assert_eq!(text(b"%ff"), None);
    }
}
