//! What a log engine is told when it opens.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::event::{Millis, retention::Rules};

/// Where the engine's time comes from; tests advance it by hand.
pub type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;

/// The time that passes, since any moment, by a clock that nobody sets; tests advance it by hand.
pub type Uptime = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Bounds and rules of a log engine.
#[derive(Clone)]
pub struct LogConfig {
    /// What topics keep.
    pub rules: Rules,
    /// How long an idempotency key is remembered. 10 minutes: longer than any sane client goes on retrying.
    pub idempotency_window: Duration,
    /// Keys remembered at most, each of up to 512 bytes; one with more receipts counts as several. A keyed append beyond is
    /// refused. 250,000: at most 128 MB, mostly half of it, and 400 keyed appends a second over the default window.
    pub idempotency_keys: usize,
    /// Bytes of appends that may wait, each event counted with [`EVENT_OVERHEAD`]. 64 MiB: a second or so of a fast disk.
    /// One append larger than all of it is still taken when no other large one waits, and appends of up to a 32nd of it
    /// have a quarter more.
    pub queue_bytes: usize,
    /// Events in one commit at most, unless one append has more. 4096: beyond, sharing a flush gains nothing more
    /// and latency grows.
    pub group_events: usize,
    /// Bytes of data in one commit at most, unless one append has more. 1 MiB, for the same reason.
    pub group_bytes: usize,
    /// Topics up to which a page is made of what is known of each; above, the log is walked, and every topic in it is
    /// looked up. 1024: each of them costs every page a look into the table.
    pub merge_topics: usize,
    /// Topics from which such a page may be picked from the log when they are much of it; below, it is always merged
    /// from each topic's own run. 16: few runs are never dear.
    pub pick_topics: usize,
    /// Time between two rounds of taking back space. 2 seconds: each costs the store a walk over what may be dead.
    pub reclaim_every: Duration,
    /// Where time comes from.
    pub clock: Clock,
    /// Where the time that passes comes from.
    pub uptime: Uptime,
    /// Names the time since that moment: where another process's log has the same name here, its `uptime` is of the same
    /// clock. `None` when no other's is.
    pub boot: Option<Arc<str>>,
}

/// What an event costs the queue beyond its data and names: the structs that carry it, rounded up.
pub const EVENT_OVERHEAD: usize = 256;

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            rules: Rules::default(),
            idempotency_window: Duration::from_mins(10),
            idempotency_keys: 250_000,
            queue_bytes: 64 << 20,
            group_events: 4096,
            group_bytes: 1 << 20,
            merge_topics: 1024,
            pick_topics: 16,
            reclaim_every: Duration::from_secs(2),
            clock: Arc::new(wall_clock),
            uptime: uptime(),
            boot: boot(),
        }
    }
}

/// The machine's clock; 0 when it stands before 1970.
fn wall_clock() -> Millis {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// Since the machine started, with the time that it slept.
#[cfg(target_os = "linux")]
fn uptime() -> Uptime {
    use rustix::time::{ClockId, clock_gettime};
    Arc::new(|| Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default())
}

/// Since now. The time that a machine sleeps may not be part of it; then it looks like a leap of its clock.
#[cfg(not(target_os = "linux"))]
fn uptime() -> Uptime {
    let began = std::time::Instant::now();
    Arc::new(move || began.elapsed())
}

/// The kernel's name for this boot (proc_sys_kernel(5)).
#[cfg(target_os = "linux")]
fn boot() -> Option<Arc<str>> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let name = text.trim();
    (!name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic())).then(|| name.into())
}

#[cfg(not(target_os = "linux"))]
fn boot() -> Option<Arc<str>> {
    None
}

impl fmt::Debug for LogConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogConfig")
            .field("rules", &self.rules)
            .field("idempotency_window", &self.idempotency_window)
            .field("queue_bytes", &self.queue_bytes)
            .finish_non_exhaustive()
    }
}
