//! A response that nobody but its client needs: it ends when the client closes its direction.
//!
//! By default a client that has closed its direction is answered, because it may still read, and whether it does shows
//! only at the next write. A response that is silent for minutes has no next write, and what it costs goes on.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering::Relaxed},
};

/// The client may close its direction.
const OFF: u8 = 0;
/// A client that closes its direction has left.
const ON: u8 = 1;
/// The response ends now.
const CUT: u8 = 2;

/// An extension of each HTTP/1.1 request. Over HTTP/2 a client that leaves resets its stream, and is always noticed.
#[derive(Debug, Clone, Default)]
pub struct ClientWatch(Arc<AtomicU8>);

impl ClientWatch {
    /// From now on a client that closes its direction has left: its request and its response are dropped.
    pub fn begin(&self) {
        self.0.store(ON, Relaxed);
    }

    /// The response ends now, complete or not, and so does the connection. Its task notices when it is woken next.
    pub fn cut(&self) {
        self.0.store(CUT, Relaxed);
    }

    /// The request is over.
    pub(super) fn end(&self) {
        self.0.store(OFF, Relaxed);
    }

    /// Whether it has begun.
    pub(super) fn is_on(&self) -> bool {
        self.0.load(Relaxed) == ON
    }

    /// Whether the response ends now.
    pub(super) fn is_cut(&self) -> bool {
        self.0.load(Relaxed) == CUT
    }
}
