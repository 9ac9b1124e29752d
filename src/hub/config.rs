//! Sizes of the hub.

/// [`HubConfig::readers`] of the hub. Each may hold a page in memory and open a segment.
pub const READERS: usize = 8;

/// Sizes and delays of the hub.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// Upper bound of one feed's ring, in bytes of frames.
    pub ring_bytes: usize,
    /// Upper bound of all rings together, in bytes of frames.
    pub rings_bytes: usize,
    /// Reconnect delay in milliseconds of topics that have no delay of their own.
    pub retry_ms: u32,
    /// Log pages read concurrently; further readers wait in FIFO order.
    pub readers: usize,
}

impl HubConfig {
    /// A configuration for tests and benches: rings that hold all that most of them publish.
    #[must_use]
    pub fn fixture() -> Self {
        Self { ring_bytes: 1 << 20, rings_bytes: 256 << 20, retry_ms: 3000, readers: READERS }
    }
}
