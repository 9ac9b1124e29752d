//! The HTTP client of everything in this program that sends requests: of the commands to a hub, of a hub to the servers
//! of issuers' keys and to the providers of its relay.
//!
//! HTTP/1.1, one connection per request or per sequence of requests; of a pool also HTTP/2. Redirects are never followed:
//! a caller that wants one would have to decide again what it may send there.
//!
//! | module | idea |
//! |---|---|
//! | [`address`] | a server's address, from a URL |
//! | [`byte_stream`] | a connection, whatever carries it |
//! | [`connector`] | connections: TCP or a Unix socket, directly or through a proxy, with or without TLS |
//! | [`proxy`] | proxies from the environment |
//! | [`trust`] | certificate verification |
//! | [`pinned`] | trust in one certificate that is known |
//! | [`exchange`] | one request and its response, chunk by chunk, within bounds of time and size |
//! | [`pool`] | many requests to one server at once, on connections that are kept |
//! | `dial` | the connections of a pool |

pub mod address;
pub mod byte_stream;
pub mod connector;
mod dial;
pub mod exchange;
pub mod pinned;
pub mod pool;
pub mod proxy;
pub mod trust;

pub use address::{HttpUrl, InvalidUrl, ServerAddress};
pub use connector::Connector;

/// The `User-Agent` of every request.
pub const USER_AGENT: &str = concat!("gapless/", env!("CARGO_PKG_VERSION"));

/// How long a connection is silent before the kernel asks whether the other end is there, and between two questions;
/// after [`KEEPALIVE_RETRIES`] without an answer it is broken. A model may reason for minutes without a byte, and NATs
/// and load balancers drop what is silent for four (Azure) to six (AWS).
const KEEPALIVE: std::time::Duration = std::time::Duration::from_secs(30);
const KEEPALIVE_RETRIES: u32 = 3;
