//! Floor 3: HTTP. Requests become topics, events and cursors; frames become bytes.
//!
//! | module | idea |
//! |---|---|
//! | [`net`] | connections: listening, TLS, HTTP/1.1 and HTTP/2, timeouts |
//! | [`message`] | parts of HTTP messages: problems, headers, queries |
//! | [`auth`] | authentication and authorization of a request |
//! | [`api`] | the routes and their handlers |

pub mod api;
pub mod auth;
pub mod message;
pub mod net;
#[cfg(test)]
mod replaced_log;
#[cfg(test)]
mod served_core;
#[cfg(test)]
mod stalled_disk;
#[cfg(test)]
mod testing;
