//! Parts of HTTP messages that every handler needs, and authentication, too.
//!
//! | module | idea |
//! |---|---|
//! | [`problem`] | every error code with its status (RFC 9457) |
//! | [`headers`] | headers that may occur once |
//! | [`accept`] | the `Accept` header |
//! | [`conditional`] | conditional requests: `If-None-Match` |
//! | [`destination`] | what a browser wants to use a response for |
//! | [`media_type`] | media types: what a Content-Type says of the data |
//! | [`query`] | a query string, decoded as browsers encode it |
//! | [`request_id`] | the id of a request, and who may choose it |
//! | [`trace_context`] | the trace of a request: `traceparent` |
//! | [`json_text`] | JSON on one line, whatever splits it into lines: the vocabulary's |

pub mod accept;
pub mod conditional;
pub mod destination;
pub mod headers;
pub mod media_type;
pub mod problem;
pub mod query;
pub mod request_id;
pub mod trace_context;

pub use crate::event::json_text;
