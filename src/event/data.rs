//! An event's payload.

use std::{borrow::Cow, fmt, sync::Arc};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;

/// The `encoding` of an envelope with binary data.
pub const BASE64: &str = "base64";

/// An event's payload: UTF-8 text, as published, or binary data. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Data(DataForm);

/// Binary data is behind a pointer of its own, so that text takes no more memory than its bytes do.
#[derive(Clone, PartialEq, Eq)]
enum DataForm {
    Text(Bytes),
    Binary(Arc<Bytes>),
}

/// The payload is not UTF-8; the value is the offset of the first invalid byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the data is not UTF-8: invalid byte at offset {0}")]
pub struct NotUtf8(pub usize);

impl Data {
    /// Bytes of binary data of which [`base64`](Self::base64) can be encoded in parts, one after another: any multiple of
    /// it is four thirds as many characters, without padding.
    pub const BASE64_STEP: usize = 3;

    /// Text. Validates `bytes` as UTF-8, without a copy.
    ///
    /// # Errors
    /// When they are not UTF-8.
    pub fn new(bytes: Bytes) -> Result<Self, NotUtf8> {
        match std::str::from_utf8(&bytes) {
            Ok(_) => Ok(Self(DataForm::Text(bytes))),
            Err(error) => Err(NotUtf8(error.valid_up_to())),
        }
    }

    /// Binary data, whatever the bytes are. Without a copy.
    #[must_use]
    pub fn binary(bytes: Bytes) -> Self {
        Self(DataForm::Binary(Arc::new(bytes)))
    }

    /// Text if `bytes` are UTF-8, else binary data. Without a copy.
    #[must_use]
    pub fn any(bytes: Bytes) -> Self {
        match std::str::from_utf8(&bytes) {
            Ok(_) => Self(DataForm::Text(bytes)),
            Err(_) => Self::binary(bytes),
        }
    }

    /// Whether it is binary data: readers of text are sent [`text`](Self::text) and told that it is base64.
    #[must_use]
    pub fn is_binary(&self) -> bool {
        matches!(self.0, DataForm::Binary(_))
    }

    /// What readers of text are sent: the text as it is, or the [`base64`](Self::base64) of binary data. Text is validated
    /// again at each call, at memory speed, so that no `unsafe` is needed.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match &self.0 {
            DataForm::Text(bytes) => Cow::Borrowed(valid(bytes)),
            DataForm::Binary(bytes) => Cow::Owned(Self::base64(bytes)),
        }
    }

    /// The bytes of [`text`](Self::text), which are not validated again.
    #[must_use]
    pub fn text_bytes(&self) -> Cow<'_, [u8]> {
        match &self.0 {
            DataForm::Text(bytes) => Cow::Borrowed(bytes),
            DataForm::Binary(bytes) => Cow::Owned(Self::base64(bytes).into_bytes()),
        }
    }

    /// Number of bytes of [`text`](Self::text).
    #[must_use]
    pub fn text_len(&self) -> usize {
        match &self.0 {
            DataForm::Text(bytes) => bytes.len(),
            DataForm::Binary(bytes) => bytes.len().div_ceil(Self::BASE64_STEP) * 4,
        }
    }

    /// The text; `None` for binary data.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match &self.0 {
            DataForm::Text(bytes) => Some(valid(bytes)),
            DataForm::Binary(_) => None,
        }
    }

    /// The bytes, of either form; cloning shares them.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        match &self.0 {
            DataForm::Text(bytes) => bytes,
            DataForm::Binary(bytes) => bytes,
        }
    }

    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes().len()
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    /// `bytes` as standard base64 with padding: the one encoding of binary data everywhere.
    #[must_use]
    pub fn base64(bytes: &[u8]) -> String {
        BASE64_STANDARD.encode(bytes)
    }

    /// The bytes of standard base64 with padding. `None` for anything else: another alphabet, white space, missing
    /// padding, bits that are not zero behind the last byte.
    #[must_use]
    pub fn from_base64(text: &str) -> Option<Vec<u8>> {
        BASE64_STANDARD.decode(text).ok()
    }
}

fn valid(text: &Bytes) -> &str {
    std::str::from_utf8(text).expect("checked when it was made")
}

impl Default for Data {
    fn default() -> Self {
        Self(DataForm::Text(Bytes::new()))
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = if self.is_binary() { "Binary" } else { "Text" };
        f.debug_tuple(form).field(self.bytes()).finish()
    }
}

impl From<String> for Data {
    fn from(text: String) -> Self {
        Self(DataForm::Text(text.into()))
    }
}

impl From<&str> for Data {
    fn from(text: &str) -> Self {
        Self(DataForm::Text(Bytes::copy_from_slice(text.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_must_be_utf8_and_binary_data_need_not() {
        let invalid = Bytes::from_static(b"ab\xff");
        assert_eq!(Data::new(invalid.clone()), Err(NotUtf8(2)));
        assert_eq!(Data::any(invalid.clone()), Data::binary(invalid.clone()));
        let binary = Data::any(invalid);
        assert!(binary.is_binary() && binary.as_text().is_none());
        assert_eq!((&*binary.text(), &*binary.text_bytes(), binary.text_len()), ("YWL/", &b"YWL/"[..], 4));
        let text = Data::any(Bytes::from_static("é".as_bytes()));
        assert_eq!((text.is_binary(), &*text.text(), text.text_len()), (false, "é", 2));
        assert_ne!(Data::binary(Bytes::from_static(b"a")), Data::from("a"), "the flag is a part of it");
    }

    #[test]
    fn the_flag_takes_no_memory() {
        assert_eq!(size_of::<Data>(), size_of::<Bytes>());
    }

    #[test]
    fn only_the_canonical_base64_is_read() {
        for text in ["YQ=", "YQ", "YR==", "YQ==\n", " YQ==", "_w==", "YQ==YQ==", "é"] {
            assert_eq!(Data::from_base64(text), None, "{text:?}");
        }
        assert_eq!(Data::from_base64(""), Some(Vec::new()));
    }

    proptest! {
        #[test]
        fn binary_data_survives_its_text(bytes: Vec<u8>) {
            let data = Data::binary(bytes.clone().into());
            prop_assert_eq!(data.text().len(), data.text_len());
            prop_assert_eq!(Data::from_base64(&data.text()), Some(bytes));
        }
    }
}
