//! Metadata as text, in headers and in JSON.

use crate::event::{Data, Metadata};

/// [Base64](Data::base64).
pub(super) fn metadata_text(metadata: &Metadata) -> String {
    Data::base64(metadata.bytes())
}

/// The inverse of [`metadata_text`]; `None` for anything that it does not produce.
pub(super) fn read_metadata(text: &str) -> Option<Metadata> {
    Metadata::stored(&Data::from_base64(text)?)
}
