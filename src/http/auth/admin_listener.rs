//! Where operators' requests come in.

/// The listener that serves statistics and metrics, and whether it requires a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminListener {
    /// The public listener; the grant `admin` is required.
    Shared,
    /// A listener of its own; the grant `admin` is required.
    Separate,
    /// A listener of its own on the loopback, without credentials: all users of this machine are trusted.
    SeparateUnauthenticated,
}
