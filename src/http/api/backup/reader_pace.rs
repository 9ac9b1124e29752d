//! The minimum rate of a backup's reader: it holds the hub's only permit, so one that takes a byte now and then would keep all
//! others from making a backup.

use std::{
    cell::Cell,
    rc::{Rc, Weak},
    time::Duration,
};

use tokio::{task::spawn_local, time::Instant};

use crate::http::net::cutter::Cutter;

/// Bytes a second at least, on average. At this rate a gigabyte takes four and a half hours; what takes longer than that is no
/// backup that anyone waits for.
pub(super) const RATE: usize = 64 << 10;

/// Longest pause without using up the rate: that of a client whose disk is busy.
const PAUSE: Duration = Duration::from_mins(1);

/// Interval between two looks.
const TICK: Duration = Duration::from_secs(1);

/// How fast the reader takes the frames, as [`BodyPace`](crate::http::api::pace::BodyPace) for bodies of requests: waiting for
/// it uses up a budget of time, and each frame adds the time that it takes at the minimum rate. The time that the hub takes for
/// a frame is not counted.
pub(super) struct ReaderPace {
    left: Cell<Duration>,
    /// Since when the reader has a frame to take.
    given: Cell<Option<Instant>>,
    cut: Cell<bool>,
}

impl ReaderPace {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self { left: Cell::new(PAUSE), given: Cell::new(None), cut: Cell::new(false) })
    }

    /// Cuts the response by `cutter` when the reader is too slow, for as long as there is one.
    pub(super) fn watch(self: &Rc<Self>, cutter: Option<Cutter>) {
        let Some(cutter) = cutter else { return };
        let watched = Rc::downgrade(self);
        spawn_local(async move {
            if too_slow(watched).await {
                cutter.cut();
            }
        });
    }

    /// The reader has taken the frame that was given to it, and asks for the next.
    pub(super) fn asked(&self) {
        if let Some(since) = self.given.take() {
            self.left.set(self.left.get().saturating_sub(since.elapsed()).min(PAUSE));
        }
    }

    /// A frame is given to the reader.
    pub(super) fn gave(&self, bytes: usize) {
        let earned = Duration::from_micros((bytes as u64).saturating_mul(1_000_000) / RATE as u64);
        self.left.set(self.left.get() + earned);
        self.given.set(Some(Instant::now()));
    }

    /// Whether it was cut.
    pub(super) fn was_cut(&self) -> bool {
        self.cut.get()
    }

    fn is_too_slow(&self) -> bool {
        self.given.get().is_some_and(|since| since.elapsed() > self.left.get())
    }
}

/// Waits until the reader is too slow; false when it is gone.
async fn too_slow(reader: Weak<ReaderPace>) -> bool {
    loop {
        tokio::time::sleep(TICK).await;
        let Some(reader) = reader.upgrade() else { return false };
        if reader.is_too_slow() {
            reader.cut.set(true);
            return true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a reader that takes this many bytes a second is cut within an hour, with frames of `frame` bytes.
    async fn is_cut(rate: usize, frame: usize) -> bool {
        let pace = ReaderPace::new();
        let taking = async {
            for _ in 0..(3600 * rate).div_ceil(frame) {
                pace.asked();
                pace.gave(frame);
                tokio::time::sleep(Duration::from_millis((frame * 1000 / rate) as u64)).await;
            }
        };
        tokio::select! {
            () = taking => {}
            _ = too_slow(Rc::downgrade(&pace)) => {}
        }
        pace.was_cut()
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_below_the_minimum_rate_is_cut_and_a_large_frame_may_take_its_time() {
        for frame in [1000, 256 << 10, 100 << 20] {
            assert!(is_cut(RATE / 2, frame).await, "{frame}");
            assert!(!is_cut(RATE + RATE / 10, frame).await, "{frame}");
        }
        assert!(is_cut(1, 256 << 10).await);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_that_the_hub_takes_is_not_counted() {
        let pace = ReaderPace::new();
        for _ in 0..100 {
            pace.gave(1);
            pace.asked();
            tokio::time::sleep(PAUSE * 2).await;
            assert!(!pace.is_too_slow());
        }
    }
}
