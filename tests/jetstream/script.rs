//! Faults, each at its time.

use std::{path::PathBuf, time::Duration};

use fastrand::Rng;
use tokio::time::{Instant, sleep_until};

use crate::site::Site;

/// One fault, or its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// SIGKILL.
    KillHub(usize),
    /// SIGTERM, and waits for the end of the process.
    TerminateHub(usize),
    /// Starts one that is down.
    StartHub(usize),
    /// SIGSTOP.
    PauseHub(usize),
    /// SIGCONT.
    ResumeHub(usize),
    /// SIGKILL of a NATS node.
    KillNode(Node),
    /// SIGKILL of all NATS nodes.
    KillNodes,
    /// SIGTERM of a NATS node, and waits for the end of the process.
    TerminateNode(Node),
    /// SIGSTOP of a NATS node.
    PauseNode(Node),
    /// Starts the nodes that are down, and resumes those that are paused.
    RestoreNodes,
    /// Cuts a node off from all others, with the hub of its number or alone.
    Cut {
        node: Node,
        with_hub: bool,
    },
    /// Cuts a hub off from all nodes and hubs. Its clients still reach it.
    CutHub(usize),
    /// Cuts a node off from the one after it alone: the third reaches both.
    CutLink(Node),
    Heal,
    /// Fills the disk of a node.
    FillDisk(Node),
    /// Fills the disks of all nodes.
    FillDisks,
    /// Frees them, and restarts the nodes whose disks were full, as their operator has to.
    FreeDisks,
    /// Deletes a directory: no fault that a hub has to survive.
    Delete(PathBuf),
    /// Copies a directory.
    Copy(PathBuf, PathBuf),
}

/// A NATS node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Node {
    Number(usize),
    /// The one that leads the stream when the step begins.
    Leader,
    /// The one after that.
    Follower,
}

/// Steps with their times since the start, in order of time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    steps: Vec<(Duration, Step)>,
    length: Duration,
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

    /// Runs it to its end. A step that takes longer than planned delays those after it.
    pub(crate) async fn run(&self, site: &mut Site) {
        let began = Instant::now();
        for (time, step) in &self.steps {
            sleep_until(began + *time).await;
            println!("{:>6.1} s: {step:?}", began.elapsed().as_secs_f64());
            site.take(step).await;
        }
        sleep_until(began + self.length).await;
    }

    /// Faults at random, some at the same time, for `seconds`; all are over at the end.
    pub(crate) fn at_random(random: &mut Rng, seconds: f64, site: &Site) -> Self {
        /// The last fault ends so long before the end.
        const QUIET: f64 = 3.0;
        let mut script = Self::lasting(seconds);
        let mut time = 2.0;
        while time < seconds - QUIET - 5.0 {
            let length = (1.0 + 14.0 * random.f64()).min(seconds - QUIET - time);
            let (begin, end) = fault(random, site);
            script = script.at(time, begin).at(time + length, end);
            // Often before the end of the one before.
            time += 1.0 + 12.0 * random.f64();
        }
        let end = seconds - QUIET;
        for hub in 0..site.hubs.count() {
            script = script.at(end, Step::ResumeHub(hub)).at(end, Step::StartHub(hub));
        }
        script.at(end, Step::Heal).at(end, Step::FreeDisks).at(end, Step::RestoreNodes)
    }
}

/// A fault by chance, of those that the site can have, and its end.
fn fault(random: &mut Rng, site: &Site) -> (Step, Step) {
    let hub = random.usize(..site.hubs.count());
    let node = [Node::Number(random.usize(..3)), Node::Leader, Node::Follower][random.usize(..3)];
    loop {
        return match random.u8(..15) {
            0..3 => (Step::KillHub(hub), Step::StartHub(hub)),
            3 => (Step::TerminateHub(hub), Step::StartHub(hub)),
            4 => (Step::PauseHub(hub), Step::ResumeHub(hub)),
            5 | 6 if site.has_nodes() => (Step::KillNode(node), Step::RestoreNodes),
            7 if site.has_nodes() => (Step::TerminateNode(node), Step::RestoreNodes),
            8 if site.has_nodes() => (Step::PauseNode(node), Step::RestoreNodes),
            9 if site.has_nodes() => (Step::KillNodes, Step::RestoreNodes),
            10 | 11 if site.may_cut() => (Step::Cut { node, with_hub: random.bool() }, Step::Heal),
            12 if site.may_cut() => (Step::CutHub(hub), Step::Heal),
            13 if site.may_fill() => {
                (if random.bool() { Step::FillDisks } else { Step::FillDisk(node) }, Step::FreeDisks)
            }
            14 if site.may_cut() => (Step::CutLink(node), Step::Heal),
            _ => continue,
        };
    }
}
