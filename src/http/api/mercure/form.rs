//! `application/x-www-form-urlencoded`, pair by pair, so that a body of a million small pairs takes no memory.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use crate::http::message::problem::{Code, Problem};

/// The pairs of a form, in order. A key is decoded at once, and its value by [`FormValue::text`].
pub fn pairs(body: &[u8]) -> impl Iterator<Item = (Cow<'_, str>, FormValue<'_>)> {
    let pairs = body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| {
        let end = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        let (key, value) = (&pair[..end], pair.get(end + 1..).unwrap_or_default());
        // A key that is no UTF-8 is none that is known.
        (decoded(key).unwrap_or_default(), FormValue(value))
    })
}

/// A value that is not decoded yet.
#[derive(Debug, Clone, Copy)]
pub struct FormValue<'f>(&'f [u8]);

impl<'f> FormValue<'f> {
    /// The value of the field `name`.
    ///
    /// # Errors
    /// When it is not UTF-8.
    pub fn text(self, name: &str) -> Result<Cow<'f, str>, Problem> {
        decoded(self.0).ok_or_else(|| {
            Problem::new(Code::BodyInvalid, format!("'{name}' is not UTF-8; encode it as encodeURIComponent does"))
        })
    }
}

/// A text with `+` for spaces, and escapes; `None` when it is not UTF-8.
fn decoded(text: &[u8]) -> Option<Cow<'_, str>> {
    if !text.iter().any(|byte| matches!(byte, b'+' | b'%')) {
        return std::str::from_utf8(text).ok().map(Cow::Borrowed);
    }
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    String::from_utf8(percent_decode(&spaced).collect()).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_as_a_browser_encodes_them() {
        let body = b"topic=a+b%2F&&data=x%3Dy=z&private&=v&%74opic=%C3%A9";
        let read: Vec<_> =
            pairs(body).map(|(key, value)| format!("{key}:{}", value.text("x").expect("UTF-8"))).collect();
        assert_eq!(read, ["topic:a b/", "data:x=y=z", "private:", ":v", "topic:é"]);
        let bad: Vec<_> = pairs(b"a=%FF&b=\xff").map(|(_, value)| value.text("x").is_err()).collect();
        assert_eq!(bad, [true, true]);
    }
}
