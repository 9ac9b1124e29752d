//! The shape of a batch, and of its response.

/// Whether a JSON body was one envelope or an array: the response has the same shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http::api::publish) enum BatchShape {
    One,
    Many,
}
