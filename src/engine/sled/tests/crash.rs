//! Recovery after a crash: every acknowledged commit is complete, no commit is partial, no id is used twice.
//!
//! A child process (this binary, running only [`child`]) commits, prints each attempt and each acknowledgement on its
//! standard output, and is killed at a random moment.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::*;
use crate::engine::log::store::Liveness;

/// Environment variable: the child's store.
const DIR: &str = "GAPLESS_TEST_STORE";

/// Environment variable: how many commits the child makes; without it, it commits until it is killed.
const COMMITS: &str = "GAPLESS_TEST_COMMITS";

/// Starts a child on the store in `dir`, under the command `wrapper` unless that is empty.
pub(super) fn spawn(wrapper: &[&str], dir: &Path, commits: Option<usize>) -> Child {
    let exe = std::env::current_exe().expect("the test binary");
    let mut command = match wrapper {
        [] => Command::new(exe),
        [program, args @ ..] => {
            let mut command = Command::new(program);
            command.args(args).arg(exe);
            command
        }
    };
    command.args(["--exact", "engine::sled::tests::crash::child", "--ignored", "--nocapture"]);
    command.env(DIR, dir).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    if let Some(commits) = commits {
        command.env(COMMITS, commits.to_string());
    }
    command.spawn().expect("a child")
}

fn say(line: &str) {
    let mut out = std::io::stdout();
    out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()).expect("the parent listens");
}

/// Keeps everything but old events of `churn`.
struct Churn(TopicKey, Seq);

impl Liveness for Churn {
    fn first_kept(&self, key: TopicKey) -> Option<Seq> {
        Some(if key == self.0 { self.1 } else { Seq(1) })
    }
}

/// Data of the event at `seq`, in a commit of `count` kept events that begins at `first`.
fn data(seq: u64, first: u64, count: u64) -> String {
    format!("{seq} {first} {count} {}", "x".repeat(usize::try_from(seq * 37 % 900).expect("small")))
}

#[test]
#[ignore = "the child of the crash tests"]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let limit = std::env::var(COMMITS).map_or(usize::MAX, |text| text.parse().expect("a number"));
    let config = SledConfig { rotate_bytes: 96 << 10, max_open_segments: 3, ..config(Path::new(&dir)) };
    let (mut bench, recovered) = Bench::with(config);
    say(&format!("next {}", recovered.next.0));
    let mut random = fastrand::Rng::with_seed(recovered.next.0);
    for round in 0..limit {
        let (first, count) = (bench.next, random.u64(1..6));
        let mut events: Vec<_> = (0..count)
            .map(|n| NewEvent::new(name(&format!("t/{}", random.u8(0..5))), data(first + n, first, count).as_str()))
            .collect();
        // Sometimes large enough for several parts.
        let large = if random.u8(0..20) == 0 { 120_000 } else { 1500 };
        events.push(NewEvent::new(name("churn"), "c".repeat(large).as_str()));
        let commit = bench.build(events);
        say(&format!("try {first} {}", bench.next - 1));
        bench.store.commit(&commit).expect("accepted");
        say(&format!("ack {first} {count}"));
        if round % 16 == 15 {
            let live = Churn(bench.keys["churn"], Seq(first.saturating_sub(20)));
            bench.store.reclaim(&live).expect("reclaimed");
        }
    }
}

/// The output of a child until its end.
#[derive(Default)]
struct ChildOutput {
    next: u64,
    tried: u64,
    acked: Vec<(u64, u64)>,
}

fn listen(child: &mut Child, heard: &AtomicU64) -> ChildOutput {
    let mut said = ChildOutput::default();
    for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
        let Ok(line) = line else { break };
        heard.fetch_add(1, Ordering::Relaxed);
        let mut words = line.split(' ');
        let (word, mut number) = (words.next(), || words.next().and_then(|word| word.parse().ok()));
        match (word, number(), number()) {
            (Some("next"), Some(next), _) => said.next = next,
            (Some("try"), Some(_), Some(last)) => said.tried = last,
            (Some("ack"), Some(first), Some(count)) => said.acked.push((first, count)),
            _ => {}
        }
    }
    said
}

#[test]
fn a_killed_writer_keeps_every_acknowledged_commit_whole_and_no_id_is_used_twice() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut random = fastrand::Rng::with_seed(7);
    let begun = std::time::Instant::now();
    let (mut acked, mut given, mut rounds): (Vec<(u64, u64)>, u64, u32) = (Vec::new(), 0, 0);
    while rounds < 30 && (rounds < 5 || begun.elapsed() < Duration::from_secs(15)) {
        rounds += 1;
        let mut child = spawn(&[], dir.path(), None);
        let id = child.id();
        // Sometimes killed while it opens the store, mostly while it commits.
        let lines = random.u64(0..80);
        let (heard, begun) = (AtomicU64::new(0), std::time::Instant::now());
        let said = std::thread::scope(|scope| {
            let listener = scope.spawn(|| listen(&mut child, &heard));
            while heard.load(Ordering::Relaxed) < lines && begun.elapsed() < Duration::from_secs(10) {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_micros(random.u64(0..20_000)));
            let pid = rustix::process::Pid::from_raw(i32::try_from(id).expect("a pid")).expect("not 0");
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
            listener.join().expect("listened")
        });
        child.wait().expect("gone");
        if said.next != 0 {
            assert!(said.next > given, "ids from {} were given before: up to {given}", said.next);
            given = given.max(said.tried);
        }
        acked.extend(said.acked);
        let (bench, recovered) = Bench::open(dir.path());
        assert!(recovered.next.0 > given, "{} was given before: up to {given}", recovered.next);
        assert_eq!((&recovered.lost, bench.store.losses()), (&vec![], 0));
        check(&bench, &acked);
        given = given.max(recovered.next.0 - 1);
    }
    assert!(acked.len() > 20, "only {} commits in {rounds} rounds", acked.len());
}

/// Asserts that acknowledged commits are there, and that every commit that is there is complete.
fn check(bench: &Bench, acked: &[(u64, u64)]) {
    let (events, _) = bench.scan(0, ALL);
    let kept: Vec<_> = events.iter().filter(|stored| stored.event.new.topic.as_str() != "churn").collect();
    let mut found: HashMap<u64, u64> = HashMap::new();
    for StoredEvent { event, .. } in &kept {
        let text = event.new.data.text();
        let mut words = text.split(' ').map(|word| word.parse::<u64>().unwrap_or(0));
        let mut word = || words.next().expect("a number");
        let (seq, first, count) = (word(), word(), word());
        assert_eq!(event.new.data.text(), data(event.seq.0, first, count));
        assert_eq!(seq, event.seq.0);
        assert!((first..first + count).contains(&seq));
        *found.entry(first).or_insert(count) -= 1;
    }
    assert!(found.values().all(|missing| *missing == 0), "a torn commit");
    for (first, _) in acked {
        assert!(found.contains_key(first), "the commit at {first} was acknowledged and is gone");
    }
    for (text, key) in &bench.keys {
        let by_topic = bench.store.topic_events((*key, &name(text)), Seq(0), Seq(u64::MAX - 1), ALL).expect("read");
        if text != "churn" {
            let want: Vec<_> =
                kept.iter().filter(|of| of.event.new.topic.as_str() == text).map(|of| (*of).clone()).collect();
            assert_eq!(by_topic, want, "{text}");
            let chain = by_topic.windows(2).all(|pair| pair[1].prev == pair[0].event.seq);
            assert!(chain, "a hole in {text}");
        }
    }
}

#[test]
fn a_segment_that_a_crash_left_partly_created_is_no_damage() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::open(dir.path());
    bench.publish(&[("a", "1")]);
    bench.store.close();
    // sled writes its configuration in two pieces, and creates the data file after it.
    let made = dir.path().join("seg").join("00000000000000000002");
    std::fs::create_dir(&made).expect("made");
    let conf = std::fs::read(dir.path().join("seg").join("00000000000000000001").join("conf")).expect("there");
    std::fs::write(made.join("conf"), &conf[..conf.len() - 4]).expect("written");
    let (bench, recovered) = bench.reopen(config(dir.path()));
    assert_eq!((recovered.lost, bench.store.losses()), (vec![], 0));
    bench.check_all();
}

#[test]
fn an_incomplete_commit_is_rolled_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::open(dir.path());
    bench.publish(&[("a", "kept"), ("b", "kept")]);
    let torn = bench.build(vec![NewEvent::new(name("a"), "x".repeat(200_000).as_str()), NewEvent::new(name("n"), "y")]);
    {
        // Everything except the last insert, the commit record.
        let mut writer = bench.store.shared.writer.lock();
        let writer = writer.as_mut().expect("open");
        let key = IdempotencyKey { key: [1; 16], fingerprint: [2; 16], owner: 0 };
        let keys = vec![KeyRecord { key, time: torn.time, receipts: StoredReceipts::default() }];
        let torn = Commit { keys, states: vec![], origins: vec![], events: torn.events.clone(), time: torn.time };
        writer.insert(&torn).expect("inserted");
        let stem = super::super::keys::commit(torn.events[0].1.event.seq);
        super::super::parts::remove(&writer.tables.commits, &stem).expect("removed");
        writer.tables.flush().expect("flushed");
    }
    let blocks = |bench: &Bench| bench.store.shared.writer.lock().as_ref().expect("open").tables.blocks.len();
    assert!(blocks(&bench) > 3);
    let (mut bench, recovered) = bench.reopen(config(dir.path()));
    bench.check_all();
    assert_eq!((recovered.head, bench.topics.len(), recovered.keys.len()), (Seq(2), 2, 0));
    assert_eq!((blocks(&bench), recovered.lost), (2, vec![]));
    bench.publish(&[("n", "z")]);
    let (bench, _) = bench.reopen(config(dir.path()));
    bench.check_all();
}

#[test]
fn ids_are_not_used_again_after_a_crash_and_a_clean_shutdown() {
    let dir = tempfile::tempdir().expect("a directory");
    let before = dir.path().join("before");
    let (mut bench, _) = Bench::open(&before);
    bench.publish(&[("a", "x")]);
    // The disk as a crash would leave it.
    let crashed = dir.path().join("crashed");
    copy_dir(&before, &crashed);
    let (bench, after_crash) = Bench::open(&crashed);
    assert!(after_crash.next.0 > 1_000_000 && after_crash.head == Seq(1), "{:?}", after_crash.next);
    let (_, after_close) = bench.reopen(config(&crashed));
    assert_eq!(after_close.next, after_crash.next);
}
