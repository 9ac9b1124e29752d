//! What a server serves.

use std::net::IpAddr;

use hyper::body::Incoming;

use super::response::Response;
use crate::quota::{ConnectionPermit, Exceeded};

/// A request, whose body arrives while it is read.
pub type IncomingRequest = http::Request<Incoming>;

/// Admits connections and answers requests on one core.
pub trait Handler: 'static {
    /// The permit of a connection in the quota of `address`; `None` for an address without one.
    ///
    /// # Errors
    /// When the address has as many connections as it may. The connection is closed without a response.
    fn admit(&self, address: IpAddr) -> Result<Option<ConnectionPermit>, Exceeded>;

    /// Answers a request, which has a [`Peer`](super::peer::Peer) among its extensions. A refusal is a response, too.
    /// Dropped when the client resets the request or closes the connection.
    fn respond(&self, request: IncomingRequest) -> impl Future<Output = Response>;
}
