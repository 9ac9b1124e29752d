//! Three hubs over three NATS nodes, and every fault.
//!
//! `GAPLESS_SOAK_MINUTES=120 cargo test --test jetstream soak -- --nocapture` breaks them at random for so long, in rounds of
//! five minutes with a verdict each. `GAPLESS_SEED` repeats the choices of a round, not its timing.

use std::{
    net::{SocketAddr, TcpStream},
    process::Command,
    time::{Duration, Instant},
};

use fastrand::Rng;

use crate::{
    round::{self, Plan},
    script::{Node, Script, Step},
    site::{NODES, Site},
};

/// Longest pause of a publisher: some 150 publishes a second of all.
const PAUSE: Duration = Duration::from_millis(400);

/// After all has healed: an election, and a reader's silence of three keepalives, on a busy machine.
const LATE: Duration = Duration::from_mins(1);

/// Of a round of the soak.
const ROUND_SECONDS: f64 = 300.0;

/// The disk of a NATS node, and what it has more for each minute of the soak, which fills 6 MiB in one: no event of its
/// topics is ever deleted.
const DISK_MIB: usize = 512;
const DISK_MIB_A_MINUTE: f64 = 10.0;

/// Makes the stream; returns the arguments of each hub.
pub(crate) fn over_jetstream(servers: &[String]) -> Vec<Vec<String>> {
    let servers = servers.join(",");
    let made = Command::new(env!("CARGO_BIN_EXE_gapless")).args(["jetstream", "init", "--nats", &servers]).status();
    assert!(made.expect("the binary starts").success(), "the stream cannot be made");
    vec![["--engine", "jetstream", "--nats", &servers].map(Into::into).into(); NODES]
}

/// Runs a round; fails with what it found.
fn run(site: &mut Site, prefix: &str, seed: u64, script: Script) {
    let plan = Plan { seed, prefix: prefix.into(), script, pause: PAUSE, late: LATE };
    let addresses = site.hubs.addresses();
    let verdict = round::run(site, &addresses, &plan);
    let logs = || format!("{}\n{}", site.hubs.logs(), site.node_logs());
    assert!(verdict.violations.is_empty(), "GAPLESS_SEED={seed}\n{}\n{}", verdict.report(), logs());
}

/// Each fault of hubs and nodes that ends a process.
fn kills() -> Script {
    Script::lasting(40.0)
        .at(2.0, Step::KillHub(0))
        .at(4.0, Step::KillHub(1))
        .at(6.0, Step::StartHub(0))
        .at(7.0, Step::StartHub(1))
        .at(9.0, Step::KillNode(Node::Leader))
        .at(15.0, Step::RestoreNodes)
        .at(18.0, Step::KillNode(Node::Follower))
        .at(19.0, Step::KillHub(2))
        .at(20.0, Step::StartHub(2))
        .at(21.0, Step::RestoreNodes)
        .at(25.0, Step::KillNodes)
        .at(26.0, Step::RestoreNodes)
}

/// Each fault that leaves a process silent, and a rolling restart of everything.
fn pauses() -> Script {
    let mut script = Script::lasting(45.0)
        .at(1.0, Step::PauseNode(Node::Leader))
        .at(16.0, Step::RestoreNodes)
        .at(18.0, Step::PauseHub(0))
        .at(24.0, Step::ResumeHub(0));
    for (n, begin) in [(0, 26.0), (1, 31.0), (2, 36.0)] {
        script = script
            .at(begin, Step::TerminateNode(Node::Number(n)))
            .at(begin + 0.5, Step::TerminateHub(n))
            .at(begin + 1.0, Step::StartHub(n))
            .at(begin + 1.5, Step::RestoreNodes);
    }
    script
}

/// Each side of a network that is cut.
fn cuts() -> Script {
    Script::lasting(42.0)
        .at(1.0, Step::Cut { node: Node::Leader, with_hub: true })
        .at(12.0, Step::Heal)
        .at(14.0, Step::Cut { node: Node::Follower, with_hub: false })
        .at(18.0, Step::CutHub(0))
        .at(24.0, Step::Heal)
        .at(26.0, Step::CutLink(Node::Leader))
        .at(38.0, Step::Heal)
}

/// The disk of one node, then of all.
fn full_disks() -> Script {
    Script::lasting(25.0)
        .at(2.0, Step::FillDisk(Node::Leader))
        .at(9.0, Step::FreeDisks)
        .at(13.0, Step::FillDisks)
        .at(18.0, Step::FreeDisks)
}

/// A round over a cluster of its own.
fn round(script: Script) {
    let mut site = Site::of_cluster(DISK_MIB, over_jetstream);
    run(&mut site, "w", crate::seed(), script);
}

#[test]
fn three_hubs_are_one() {
    round(Script::lasting(10.0));
}

#[test]
fn hubs_and_nodes_that_are_killed_break_no_rule() {
    round(kills());
}

#[test]
fn hubs_and_nodes_that_are_silent_or_restarted_break_no_rule() {
    round(pauses());
}

#[test]
fn cut_networks_break_no_rule() {
    round(cuts());
}

#[test]
fn full_disks_break_no_rule() {
    round(full_disks());
}

/// Half a minute of everything at random, or the minutes of `GAPLESS_SOAK_MINUTES`.
#[test]
fn soak() {
    let minutes: f64 = crate::number("GAPLESS_SOAK_MINUTES").unwrap_or(0.5);
    let (seed, began) = (crate::seed(), Instant::now());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "minutes")]
    let more = (DISK_MIB_A_MINUTE * minutes) as usize;
    let mut site = Site::of_cluster(DISK_MIB + more, over_jetstream);
    let time = Duration::from_secs_f64(60.0 * minutes);
    let mut round = 0;
    while round == 0 || began.elapsed() < time {
        let seed = seed.wrapping_add(round);
        let seconds = ROUND_SECONDS.min(time.saturating_sub(began.elapsed()).as_secs_f64()).max(30.0);
        let script = Script::at_random(&mut Rng::with_seed(seed), seconds, &site);
        run(&mut site, &format!("round{round}"), seed, script);
        round += 1;
    }
}

/// The steps themselves: nodes that are ended, paused and cut off are, and come back. Beside them one hub on disk, to which
/// nothing of it happens.
#[test]
fn nodes_that_a_script_breaks_are_broken_and_come_back() {
    let mut site = Site::of_cluster(DISK_MIB, |_| vec![Vec::new()]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let set = tokio::task::LocalSet::new();
    let answers = |site: &Site| (0..NODES).map(|node| reaches(site.monitor(node))).collect::<Vec<_>>();
    set.block_on(&runtime, async {
        site.hubs.ready().await.unwrap();
        let broken =
            [Step::KillNode(Node::Number(1)), Step::TerminateNode(Node::Number(1)), Step::PauseNode(Node::Number(1))];
        for step in broken {
            site.take(&step).await;
            assert_eq!(answers(&site), [true, false, true], "{step:?}");
            site.take(&Step::RestoreNodes).await;
            site.wait_healthy();
        }
        site.take(&Step::KillNodes).await;
        assert_eq!(answers(&site), [false; NODES]);
        site.take(&Step::RestoreNodes).await;
        site.wait_healthy();
        if site.may_cut() {
            site.take(&Step::Cut { node: Node::Number(2), with_hub: false }).await;
            assert_eq!(answers(&site), [true, true, false]);
            site.take(&Step::Heal).await;
            site.wait_healthy();
            site.take(&Step::CutHub(0)).await;
            site.hubs.ready().await.expect("its clients reach it");
            site.take(&Step::Heal).await;
        }
    });
}

/// Whether anything answers there: a stopped process accepts, and says nothing.
fn reaches(address: SocketAddr) -> bool {
    use std::io::{Read as _, Write as _};
    let wait = Duration::from_millis(700);
    let Ok(mut stream) = TcpStream::connect_timeout(&address, wait) else { return false };
    stream.set_read_timeout(Some(wait)).unwrap();
    stream.write_all(b"GET /varz HTTP/1.0\r\n\r\n").and_then(|()| stream.read_exact(&mut [0])).is_ok()
}
