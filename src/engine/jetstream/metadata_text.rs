//! Metadata as text, in headers and in JSON.

use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::event::Metadata;

/// Padded base64.
pub(super) fn metadata_text(metadata: &Metadata) -> String {
    BASE64_STANDARD.encode(metadata.bytes())
}

/// The inverse of [`metadata_text`]; `None` for anything that it does not produce.
pub(super) fn read_metadata(text: &str) -> Option<Metadata> {
    Metadata::stored(&BASE64_STANDARD.decode(text).ok()?)
}
