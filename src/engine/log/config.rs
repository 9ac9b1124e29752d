//! Configuration of a log engine.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::event::{Millis, retention::Rules};

/// The wall clock. Tests inject their own.
pub type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;

/// A monotonic clock: time elapsed since an arbitrary moment. Tests inject their own.
pub type Uptime = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Bounds and rules of a log engine. [`LogConfig::new`] has the numbers that are no settings, each with its reason here.
#[derive(Clone)]
pub struct LogConfig {
    /// Retention rules of the topics, and the store's cap.
    pub rules: Rules,
    /// How long an idempotency key is remembered: longer than a client should keep retrying.
    pub idempotency_window: Duration,
    /// Maximum number of keys, each of up to 512 bytes; one with more receipts counts as several. Further keyed appends
    /// are refused.
    pub idempotency_keys: usize,
    /// Capacity of the writer's queue in bytes, each event counted with [`EVENT_OVERHEAD`]: about a second of a
    /// fast disk. An append larger than the capacity is accepted if no other large one is queued, and appends of up to
    /// 1/32 of it have an additional quarter.
    pub queue_bytes: usize,
    /// Maximum number of events per commit, unless one append has more. A larger group gains nothing from sharing
    /// the flush, and latency grows.
    pub group_events: usize,
    /// Maximum bytes of data per commit, unless one append has more, for the same reason.
    pub group_bytes: usize,
    /// Maximum number of topics for which a page is built topic by topic; above it, the commits are scanned, and only
    /// topics met there are looked up: each topic costs every page a lookup in the table.
    pub merge_topics: usize,
    /// Minimum number of topics for which a page may be read by a scan of the commits; below it, pages are always
    /// merged from the topics: a merge of few is cheap.
    pub pick_topics: usize,
    /// Interval between two space reclamations. Each costs the store a walk over possible garbage.
    pub reclaim_every: Duration,
    /// The wall clock.
    pub clock: Clock,
    /// The monotonic clock.
    pub uptime: Uptime,
    /// Identifies the monotonic clock's origin: processes with the same value share the clock of `uptime`. `None` if
    /// the clock is not shared.
    pub boot: Option<Arc<str>>,
}

/// Bytes that an event counts in the queue besides its data and names: the structs that carry it, rounded up.
pub const EVENT_OVERHEAD: usize = 256;

impl LogConfig {
    /// A configuration with these settings, and this machine's clocks.
    #[must_use]
    pub fn new(rules: Rules, idempotency_window: Duration, idempotency_keys: usize) -> Self {
        Self {
            rules,
            idempotency_window,
            idempotency_keys,
            queue_bytes: 64 << 20,
            group_events: 4096,
            group_bytes: 1 << 20,
            merge_topics: 1024,
            pick_topics: 16,
            reclaim_every: Duration::from_secs(2),
            clock: Arc::new(|| Millis::from(SystemTime::now())),
            uptime: uptime(),
            boot: boot(),
        }
    }

    /// How old an append may be when another hub is to execute it: three times as long as anyone waits for it. Whoever has
    /// repeated it may have been answered as long ago, and its key must still be known: so it is a part of the window.
    #[must_use]
    pub(in crate::engine) fn repeats_within(&self) -> Duration {
        (self.idempotency_window / 4).min(Duration::from_secs(30))
    }

    /// The idempotency window of the fixtures, also of those of the stores, which must keep keys as long.
    pub const FIXTURE_WINDOW: Duration = Duration::from_mins(10);

    /// A configuration for tests and benches: unlimited retention, and more idempotency keys than any of them uses.
    #[must_use]
    pub fn fixture() -> Self {
        Self::new(Rules::default(), Self::FIXTURE_WINDOW, 1_000_000)
    }
}

/// Time since the machine's boot, including suspend.
#[cfg(target_os = "linux")]
fn uptime() -> Uptime {
    use rustix::time::{ClockId, clock_gettime};
    Arc::new(|| Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default())
}

/// Time since this call. May exclude suspend; then a suspend looks like a leap of the wall clock.
#[cfg(not(target_os = "linux"))]
fn uptime() -> Uptime {
    let began = std::time::Instant::now();
    Arc::new(move || began.elapsed())
}

/// The kernel's boot id (proc_sys_kernel(5)).
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
