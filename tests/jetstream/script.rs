//! Faults, each at its time.

use std::{path::PathBuf, time::Duration};

use rustix::process::Signal;
use tokio::time::{Instant, sleep_until};

use crate::hubs::Hubs;

/// One fault, or its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// SIGKILL.
    KillHub(usize),
    /// SIGTERM, and waits for the end of the process.
    TerminateHub(usize),
    StartHub(usize),
    /// SIGSTOP.
    PauseHub(usize),
    /// SIGCONT.
    ResumeHub(usize),
    /// Deletes a directory: no fault that a hub has to survive.
    Delete(PathBuf),
    /// Copies a directory.
    Copy(PathBuf, PathBuf),
}

/// Steps with their times since the start, in order of time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    steps: Vec<(Duration, Step)>,
    length: Duration,
}

/// What the steps act on.
pub(crate) struct Site {
    pub(crate) hubs: Hubs,
}

impl Script {
    /// Lasts for `seconds`, whatever its last step.
    pub(crate) fn lasting(seconds: f64) -> Self {
        Self { steps: Vec::new(), length: Duration::from_secs_f64(seconds) }
    }

    /// Adds a step.
    pub(crate) fn at(mut self, seconds: f64, step: Step) -> Self {
        self.steps.push((Duration::from_secs_f64(seconds), step));
        self.steps.sort_by_key(|(time, _)| *time);
        self
    }

    /// Runs it to its end.
    pub(crate) async fn run(&self, site: &mut Site) {
        let began = Instant::now();
        for (time, step) in &self.steps {
            sleep_until(began + *time).await;
            println!("{:>6.1} s: {step:?}", began.elapsed().as_secs_f64());
            site.take(step).await;
        }
        sleep_until(began + self.length).await;
    }
}

impl Site {
    async fn take(&mut self, step: &Step) {
        match step {
            Step::KillHub(hub) => self.hubs.kill(*hub),
            Step::TerminateHub(hub) => self.hubs.terminate(*hub).await,
            Step::StartHub(hub) => self.hubs.spawn(*hub),
            Step::PauseHub(hub) => self.hubs.signal(*hub, Signal::STOP),
            Step::ResumeHub(hub) => self.hubs.signal(*hub, Signal::CONT),
            Step::Delete(directory) => std::fs::remove_dir_all(directory).expect("it exists"),
            Step::Copy(from, to) => crate::sled::copy(from, to),
        }
    }
}
