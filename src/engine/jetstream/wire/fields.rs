//! The text of a header: the version of the format, then fields `k=v`, separated by one blank.

use std::fmt::Write as _;

use super::error::{FIRST_VERSION, VERSION, WireError};

/// Header of every record: the version and its fields.
pub(super) const GL: &str = "Gl";
/// Header of the newest event of a topic in a commit: the topic's state after it.
pub(super) const GL_TOPIC: &str = "Gl-Topic";
/// Header of an event that another hub forwarded: whose it is.
pub(super) const GL_JOB: &str = "Gl-Job";
/// Header of an event with metadata: these bytes as base64.
pub(super) const GL_METADATA: &str = "Gl-Metadata";
/// Header of the first message of a write: which write it is.
pub(super) const GL_WRITE: &str = "Gl-Write";

/// Headers, as they are sent.
pub(in crate::engine::jetstream) type HeaderText = Vec<(&'static str, String)>;

/// The headers of a message.
pub(in crate::engine::jetstream) trait HeaderLookup {
    /// The value of a header; `None` when it is not there.
    fn header(&self, name: &str) -> Option<&str>;
}

impl HeaderLookup for [(&'static str, String)] {
    fn header(&self, name: &str) -> Option<&str> {
        self.iter().find(|(of, _)| *of == name).map(|(_, value)| value.as_str())
    }
}

/// Builds the text of a header.
pub(super) struct FieldText(String);

/// The fields of a header.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(&'a str);

impl FieldText {
    /// A text that begins with the first version.
    pub(super) fn versioned() -> Self {
        Self::of_version(FIRST_VERSION)
    }

    /// A text that begins with this version.
    pub(super) fn of_version(version: u64) -> Self {
        Self(version.to_string())
    }

    /// A text of a header beside `Gl`, which has the version.
    pub(super) fn plain() -> Self {
        Self(String::new())
    }

    pub(super) fn number(mut self, key: char, value: u64) -> Self {
        self.key(key);
        write!(self.0, "{value}").expect("writing to a String");
        self
    }

    /// Nothing for 0, which is what a missing number means.
    pub(super) fn number_unless_0(self, key: char, value: u64) -> Self {
        if value == 0 { self } else { self.number(key, value) }
    }

    /// Nothing for an empty text, which is what a missing text means.
    pub(super) fn text(mut self, key: char, value: &str) -> Self {
        if !value.is_empty() {
            self.key(key);
            encode(value, &mut self.0);
        }
        self
    }

    /// ASCII without blanks, as it is.
    pub(super) fn verbatim(mut self, key: char, value: &str) -> Self {
        debug_assert!(value.bytes().all(|byte| byte.is_ascii_graphic()), "{value:?}");
        if !value.is_empty() {
            self.key(key);
            self.0.push_str(value);
        }
        self
    }

    pub(super) fn finish(self) -> String {
        self.0
    }

    fn key(&mut self, key: char) {
        if !self.0.is_empty() {
            self.0.push(' ');
        }
        self.0.push(key);
        self.0.push('=');
    }
}

impl<'a> Fields<'a> {
    /// The fields of the header `Gl`.
    ///
    /// # Errors
    /// When it is missing, or of a newer version.
    pub(super) fn of(headers: &'a (impl HeaderLookup + ?Sized)) -> Result<Self, WireError> {
        let text = headers.header(GL).ok_or(WireError::Malformed("no header Gl"))?;
        let (version, rest) = text.split_once(' ').unwrap_or((text, ""));
        match number(version) {
            None | Some(0) => Err(WireError::Malformed("the header Gl does not begin with a version")),
            Some(newer) if newer > VERSION => Err(WireError::Newer(newer)),
            Some(_) => Ok(Self(rest)),
        }
    }

    /// The fields of a header beside `Gl`.
    pub(super) fn plain(text: &'a str) -> Self {
        Self(text)
    }

    pub(super) fn verbatim(self, key: char) -> Option<&'a str> {
        self.0.split(' ').find_map(|field| field.strip_prefix(key)?.strip_prefix('='))
    }

    /// The number of a field; `None` when it is missing.
    ///
    /// # Errors
    /// When it is no number.
    pub(super) fn number(self, key: char) -> Result<Option<u64>, WireError> {
        let parse = |text| number(text).ok_or(WireError::Malformed("a field is not a number"));
        self.verbatim(key).map(parse).transpose()
    }

    /// The number of a field; 0 when it is missing.
    ///
    /// # Errors
    /// When it is no number.
    pub(super) fn number_or_0(self, key: char) -> Result<u64, WireError> {
        Ok(self.number(key)?.unwrap_or(0))
    }

    /// The text of a field; empty when it is missing.
    ///
    /// # Errors
    /// When it is not percent-encoded UTF-8.
    pub(super) fn text(self, key: char) -> Result<String, WireError> {
        decode(self.verbatim(key).unwrap_or_default()).ok_or(WireError::Malformed("a field is not percent-encoded"))
    }
}

/// Digits without a sign; `None` for anything else and beyond 64 bits.
pub(super) fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// Appends `text`, every byte but `[A-Za-z0-9_-]` as `%` and two hexadecimal digits.
pub(super) fn encode(text: &str, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

/// The inverse of [`encode`]; `None` for anything that it does not produce.
pub(super) fn decode(encoded: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(encoded.len()), encoded.as_bytes());
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, after) = rest.split_first_chunk::<2>()?;
        rest = after;
        bytes.push(hex(digits[0])? << 4 | hex(digits[1])?);
    }
    let text = String::from_utf8(bytes).ok()?;
    let mut again = String::with_capacity(encoded.len());
    encode(&text, &mut again);
    (again == encoded).then_some(text)
}

fn hex(digit: u8) -> Option<u8> {
    u8::try_from(char::from(digit).to_digit(16)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_survives_and_is_ascii_without_blanks(text in any::<String>()) {
            let mut encoded = String::new();
            encode(&text, &mut encoded);
            prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(decode(&encoded), Some(text));
        }

        #[test]
        fn what_is_decoded_is_the_only_encoding(encoded in "[a-z%0-9A-F~ é]{0,12}") {
            if let Some(text) = decode(&encoded) {
                let mut again = String::new();
                encode(&text, &mut again);
                prop_assert_eq!(again, encoded);
            }
        }

        #[test]
        fn no_header_panics(text in any::<String>()) {
            let headers = vec![(GL, text)];
            if let Ok(fields) = Fields::of(headers.as_slice()) {
                drop((fields.number('k'), fields.text('n'), fields.verbatim('f')));
            }
        }
    }

    #[test]
    fn a_newer_version_is_told_from_what_is_no_record() {
        let error = |text: &str| Fields::of([(GL, text.to_owned())].as_slice()).err();
        assert_eq!(error("3 k=1"), Some(WireError::Newer(3)));
        assert_eq!(error("2 k=1"), None);
        assert!(WireError::Newer(3).to_string().contains("update this hub"));
        assert_eq!(error("1 z=unknown"), None);
        for text in ["", "0", " 1", "one", "+1 k=1", "1k=1", "99999999999999999999"] {
            assert!(matches!(error(text), Some(WireError::Malformed(_))), "{text:?}");
        }
        assert!(matches!(Fields::of([].as_slice()), Err(WireError::Malformed(_))));
    }

    #[test]
    fn only_the_canonical_encoding_is_decoded() {
        for text in ["%", "%4", "%41", "%e9", "%C3", "a b", "é", "%zz", "%+1"] {
            assert_eq!(decode(text), None, "{text:?}");
        }
        assert_eq!(decode("a%20b").as_deref(), Some("a b"));
    }

    #[test]
    fn fields_are_found_by_their_whole_key() {
        let text = FieldText::versioned().number('k', 7).text('n', "a=b k=9").number_unless_0('r', 0).finish();
        assert_eq!(text, "1 k=7 n=a%3Db%20k%3D9");
        let headers = [(GL, text)];
        let fields = Fields::of(headers.as_slice()).expect("a record");
        assert_eq!((fields.number('k'), fields.number('r')), (Ok(Some(7)), Ok(None)));
        assert_eq!(fields.text('n').as_deref(), Ok("a=b k=9"));
        assert!(Fields::plain("k=-1").number('k').is_err() && Fields::plain("k=").number('k').is_err());
    }
}
