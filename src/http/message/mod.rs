//! Parts of HTTP messages that every handler needs, and authentication, too.
//!
//! | module | idea |
//! |---|---|
//! | [`problem`] | every error code with its status (RFC 9457) |
//! | [`headers`] | headers that may occur once |
//! | [`accept`] | the `Accept` header |
//! | [`query`] | a query string, decoded as browsers encode it |
//! | [`json_text`] | JSON on one line, whatever splits it into lines |

pub mod accept;
pub mod headers;
pub mod json_text;
pub mod problem;
pub mod query;
