//! What differs between the protocols that serve one log. Authorization, quotas, replay, back-pressure and draining are
//! the same for all.
//!
//! | of a protocol | where |
//! |---|---|
//! | its paths and methods | rows of `TABLE` in [`routes`](crate::http::api::routes), and what they call in [`dispatch`](crate::http::api::dispatch) |
//! | a request for events | a [`Protocol`], which makes an [`EventsRequest`] of it: selection, start, mode |
//! | its streams | a variant of [`Encoding`](crate::http::api::stream::encoding::Encoding) |
//! | its pages, at once or by a long poll | a [`PageFormat`] |
//! | the text of its cursors | a [`CursorText`](crate::http::api::cursor_text::CursorText), which its parser, encoding and pages use |
//! | a publish | a handler, which makes events of the body and answers with the receipts |

use http::request::Parts;

use super::{events_request::EventsRequest, page::PageFormat};
use crate::http::message::problem::Problem;

/// How a protocol asks for events. Parsing does no I/O.
#[derive(Debug)]
pub struct Protocol {
    /// Parses a request that has its parameters in the head; with the number of filters that it may name.
    pub from_head: fn(&Parts, usize) -> Result<EventsRequest, Problem>,
    /// Checks the head of a request that has its parameters in the body, before the body is read.
    pub check_head_of_body: fn(&Parts) -> Result<(), Problem>,
    /// Parses such a request: its head, its body, and the number of filters that it may name.
    pub from_body: fn(&Parts, &[u8], usize) -> Result<EventsRequest, Problem>,
    /// Bytes of such a body at most.
    pub max_body_bytes: usize,
    /// The form of its pages.
    pub page: &'static PageFormat,
}
