//! Chooses which thread continues, from a seed.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use fastrand::Rng;
use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};

/// [`Policy::Pauses`]: the probability that a step makes its thread pause, for how many steps, and that the current thread stays.
const PAUSE: f64 = 0.005;
const PAUSED_STEPS: Range<u64> = 20..1000;
const AWAKE_STAYS: f64 = 0.8;

/// Runs one execution, as its seed says.
pub(crate) struct SeededScheduler {
    seed: u64,
    rng: Rng,
    /// For the choices of the program: timeouts.
    data: Rng,
    begun: bool,
    policy: Policy,
    trace: Trace,
}

/// A fingerprint of the choices made, shared with who started the execution.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trace {
    hash: Arc<AtomicU64>,
    steps: Arc<AtomicU64>,
}

/// How the next thread is chosen. Faults differ in what finds them: some need a switch at each step, others a thread that
/// is left behind for long.
enum Policy {
    /// Any thread; after each step the current one stays with this probability.
    Uniform { stay: f64 },
    /// The runnable thread of the highest priority. Priorities are random; with this probability a step gives the
    /// current thread the lowest one ("A randomized scheduler with probabilistic guarantees of finding bugs",
    /// Burckhardt et al., 2010).
    Priorities { of: HashMap<usize, i64>, lowest: i64, change: f64 },
    /// As `Uniform`, but a thread may pause for some hundred steps at any step, so that another one does several things meanwhile.
    Pauses { until: HashMap<usize, u64>, step: u64 },
}

impl SeededScheduler {
    pub(crate) fn new(seed: u64, trace: Trace) -> Self {
        let mut rng = Rng::with_seed(seed);
        let policy = match rng.u8(0..7) {
            0 => Policy::Uniform { stay: 0.0 },
            1 => Policy::Uniform { stay: 0.8 },
            2 => Policy::Uniform { stay: 0.97 },
            3 => Policy::Priorities { of: HashMap::new(), lowest: 0, change: 0.002 },
            4 => Policy::Priorities { of: HashMap::new(), lowest: 0, change: 0.01 },
            5 => Policy::Priorities { of: HashMap::new(), lowest: 0, change: 0.1 },
            _ => Policy::Pauses { until: HashMap::new(), step: 0 },
        };
        Self { seed, data: rng.fork(), rng, begun: false, policy, trace }
    }
}

impl Scheduler for SeededScheduler {
    fn new_execution(&mut self) -> Option<Schedule> {
        (!std::mem::replace(&mut self.begun, true)).then(|| Schedule::new(self.seed))
    }

    fn next_task(&mut self, runnable: &[&Task], current: Option<TaskId>, is_yielding: bool) -> Option<TaskId> {
        let current = current.filter(|current| runnable.iter().any(|task| task.id() == *current));
        let next = match &mut self.policy {
            Policy::Uniform { stay } => match current {
                Some(current) if !is_yielding && self.rng.f64() < *stay => current,
                _ => self.rng.choice(runnable)?.id(),
            },
            Policy::Pauses { until, step } => {
                *step += 1;
                if let Some(current) = current
                    && self.rng.f64() < PAUSE
                {
                    until.insert(current.into(), *step + self.rng.u64(PAUSED_STEPS));
                }
                let is_awake = |task: TaskId| until.get(&task.into()).is_none_or(|until| *until <= *step);
                let awake: Vec<TaskId> = runnable.iter().map(|task| task.id()).filter(|task| is_awake(*task)).collect();
                match current {
                    Some(current) if !is_yielding && is_awake(current) && self.rng.f64() < AWAKE_STAYS => current,
                    _ if awake.is_empty() => self.rng.choice(runnable)?.id(),
                    _ => *self.rng.choice(&awake)?,
                }
            }
            Policy::Priorities { of, lowest, change } => {
                if let Some(current) = current
                    && (is_yielding || self.rng.f64() < *change)
                {
                    *lowest -= 1;
                    of.insert(current.into(), *lowest);
                }
                let rng = &mut self.rng;
                let mut priority = |task: TaskId| *of.entry(task.into()).or_insert_with(|| rng.i64(0..1 << 40));
                let ranked = runnable.iter().map(|task| (priority(task.id()), task.id()));
                ranked.max_by_key(|(priority, _)| *priority)?.1
            }
        };
        self.trace.record(next.into());
        Some(next)
    }

    fn next_u64(&mut self) -> u64 {
        self.data.u64(..)
    }
}

impl Trace {
    fn record(&self, task: usize) {
        let hash = self.hash.load(Ordering::Relaxed);
        self.hash.store((hash.rotate_left(5) ^ task as u64).wrapping_mul(0x517c_c1b7_2722_0a95), Ordering::Relaxed);
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// The fingerprint, and the number of choices.
    pub(crate) fn fingerprint(&self) -> (u64, u64) {
        (self.hash.load(Ordering::Relaxed), self.steps.load(Ordering::Relaxed))
    }
}
