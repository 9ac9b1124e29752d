//! The progress of a long operation, as a line at the end of stderr. It appears after a second, is drawn on a terminal
//! only, and is removed at the end. Nothing is drawn when `TERM` is `dumb` or not set; it has no colours.

use std::{
    fmt,
    io::{self, Write},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use indicatif::{BinaryBytes, ProgressBar, ProgressDrawTarget, ProgressState as DrawnState, ProgressStyle};
use parking_lot::Mutex;

use crate::{
    event::duration,
    progress::{ProgressState, WorkProgress},
};

/// How long an operation takes at least before its progress is shown.
const DELAY: Duration = Duration::from_secs(1);

/// How often it is drawn.
const TICK: Duration = Duration::from_millis(100);

/// How long the end of an operation waits until the line is removed: the terminal may be stopped.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(1);

/// The line that is drawn now, for writers that must not write into it. Locked during each write.
static DRAWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// What a [`WorkProgress`] counts.
#[derive(Debug, Clone, Copy)]
pub enum CountedUnit {
    /// Bytes: shown with their rate.
    Bytes,
    /// Anything else: shown as numbers.
    Items,
    /// Milliseconds that an operation takes anyway: shown as a bar and the time left.
    Time,
}

impl CountedUnit {
    fn style(self, total: u64) -> ProgressStyle {
        let template = match (self, total) {
            (Self::Bytes, 0) => "{spinner} {wide_msg}  {bytes}  {rate}  {elapsed}",
            (Self::Bytes, _) => "{wide_msg} [{bar:16}] {bytes} of {total_bytes}, {rate}{left}",
            (Self::Items, 0) => "{spinner} {wide_msg}  {elapsed}",
            (Self::Items, _) => "{wide_msg} [{bar:16}] {pos} of {len}{left}",
            (Self::Time, _) => "{wide_msg} [{bar:16}] {percent:>3}%{left}",
        };
        let style = ProgressStyle::with_template(template).expect("a valid template");
        style.progress_chars("=> ").tick_chars("|/-\\ ").with_key("rate", write_rate).with_key("left", write_left)
    }
}

/// Writes the average rate in bytes. indicatif's own estimate begins when the line appears.
fn write_rate(state: &DrawnState, out: &mut dyn fmt::Write) {
    let millis = u64::try_from(state.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
    let _memory = write!(out, "{}/s", BinaryBytes(state.pos().saturating_mul(1000) / millis));
}

#[expect(clippy::cast_precision_loss, reason = "an estimate in seconds")]
/// Writes the time left at the average rate, once there is one.
fn write_left(state: &DrawnState, out: &mut dyn fmt::Write) {
    let (done, total) = (state.pos(), state.len().unwrap_or(0));
    if done == 0 || total == 0 {
        return;
    }
    let left = state.elapsed().as_secs_f64() * total.saturating_sub(done) as f64 / done as f64;
    let _memory = write!(out, ", {} left", duration::spell(Duration::from_secs_f64(left.min(MAX_LEFT).ceil())));
}

/// The longest time left that is shown, in seconds: a year.
const MAX_LEFT: f64 = 365.0 * 86400.0;

/// Draws a progress until it is dropped.
#[derive(Debug)]
pub struct ProgressLine {
    /// Dropped to end the thread.
    running: Option<Sender<()>>,
    /// Disconnected when the line is removed.
    removed: Receiver<()>,
}

impl ProgressLine {
    /// Starts a thread that draws `progress`, where there is a terminal.
    #[must_use]
    pub fn start(progress: &Arc<WorkProgress>, unit: CountedUnit) -> Self {
        let (running, stopped) = channel();
        let (removing, removed) = channel();
        if !ProgressDrawTarget::stderr().is_hidden() {
            let progress = Arc::clone(progress);
            let draw = move || {
                draw(&progress, unit, &stopped);
                drop(removing);
            };
            // Without the thread nothing is shown.
            let _refused = thread::Builder::new().name("progress".into()).spawn(draw);
        }
        Self { running: Some(running), removed }
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        drop(self.running.take());
        let _too_late = self.removed.recv_timeout(REMOVAL_TIMEOUT);
    }
}

fn draw(progress: &WorkProgress, unit: CountedUnit, stopped: &Receiver<()>) {
    let begun = Instant::now();
    let (mut wait, mut drawn_total) = (DELAY, None);
    while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
        wait = TICK;
        let ProgressState { step, done, total } = progress.state();
        let mut drawn = DRAWN.lock();
        let bar = drawn.get_or_insert_with(|| {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_elapsed(begun.elapsed())
        });
        if drawn_total != Some(total) {
            drawn_total = Some(total);
            bar.set_style(unit.style(total));
        }
        if total > 0 {
            bar.set_length(total);
        }
        bar.set_position(done);
        bar.set_message(step);
        bar.tick();
    }
    let mut drawn = DRAWN.lock();
    if let Some(bar) = drawn.take() {
        bar.finish_and_clear();
    }
}

/// Calls `write` while no line is drawn, so that what it writes to the terminal stays readable. The line is drawn again
/// afterwards, and not meanwhile.
pub(super) fn beside<T>(write: impl FnOnce() -> T) -> T {
    match &*DRAWN.lock() {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// stderr, written beside a line that is drawn.
#[derive(Debug)]
pub struct StderrBeside(io::Stderr);

/// stderr for a log that may be written while progress is drawn.
#[must_use]
pub fn stderr() -> StderrBeside {
    StderrBeside(io::stderr())
}

impl Write for StderrBeside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        beside(|| self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
