//! Connections: from a listener to a request that a [`handler`] answers, and back.
//!
//! | module | idea |
//! |---|---|
//! | [`listen`] | binding and listening: TCP addresses, Unix socket files |
//! | [`transport`] | a connected socket, TCP or Unix |
//! | [`handler`] | what admits connections and answers requests |
//! | [`server`] | the accept loops of one core |
//! | [`state`] | what the connections of all cores share |
//! | [`connection`] | one connection: protocol negotiation, HTTP/1.1, HTTP/2, timeouts |
//! | [`takeover`] | takes an HTTP/1.1 connection from hyper after it has written the response head |
//! | [`socket`] | non-blocking writes to the socket of a connection that was taken over, plain or TLS |
//! | [`tls`] | the TLS server, its certificates and their renewal |
//! | [`peer`] | the remote address of a connection, and the listener that it came to |
//! | [`client_watch`] | a response that ends when its client closes its direction |
//! | [`cutter`] | ends a response whose client does not take it |
//! | [`tracked_socket`] | a socket that measures how long its client has not read |
//! | [`response`] | a response and its body |
//! | [`throttled_log`] | a log message that is written at most once a second |

pub mod client_watch;
pub mod connection;
pub mod cutter;
pub mod handler;
pub mod listen;
pub mod peer;
pub mod response;
pub mod server;
pub mod socket;
pub mod state;
pub mod takeover;
pub mod throttled_log;
pub mod tls;
pub mod tracked_socket;
pub mod transport;
