//! `gapless tail --state`: the process is ended in every way while events arrive, and started again.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::process::Signal;

use super::{
    process::{ended, gapless, output, signal, text, wait},
    support::{comes_true, eventually, hub::Hub},
};

/// A directory with a state file, and the parts of the output.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn state(&self) -> PathBuf {
        self.0.path().join("tail.state")
    }

    /// Starts a tail that writes to a file of its own.
    fn tail(&self, hub: &Hub, number: usize) -> (Child, PathBuf) {
        let part = self.0.path().join(format!("part-{number}"));
        let output = File::create(&part).expect("created");
        let (url, state) = (hub.url(), self.state().display().to_string());
        let mut command = gapless(&["tail", "t", "--from", "earliest", "--url", &url, "--state", &state]);
        (command.stdout(output).spawn().expect("it starts"), part)
    }
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).expect("UTF-8").lines().count()
}

/// The numbers in a part of the output. A line that was cut by `kill -9` is left out.
fn numbers(path: &Path) -> Vec<u64> {
    let text = fs::read_to_string(path).expect("UTF-8");
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| line.parse().unwrap_or_else(|_| panic!("{line:?}"))).collect()
}

/// A process that publishes the numbers from 0 to the topic t, a few at a time, until it is ended.
struct Numbers {
    publisher: Child,
    enough: Arc<AtomicBool>,
    writer: thread::JoinHandle<u64>,
}

impl Numbers {
    fn publish(hub: &Hub) -> Self {
        let mut publisher = gapless(&["publish", "t", "--lines", "--url", &hub.url()]);
        let mut publisher = publisher.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it starts");
        let mut stdin = publisher.stdin.take().expect("piped");
        let enough = Arc::new(AtomicBool::new(false));
        let is_enough = Arc::clone(&enough);
        let writer = thread::spawn(move || {
            let mut count = 0;
            while !is_enough.load(Ordering::Relaxed) && writeln!(stdin, "{count}").is_ok() {
                if count % 20 == 0 {
                    thread::sleep(Duration::from_millis(2));
                }
                count += 1;
            }
            count
        });
        Self { publisher, enough, writer }
    }

    /// Publishes no more; how many there are, all of which the hub has.
    fn end(self) -> u64 {
        self.enough.store(true, Ordering::Relaxed);
        let count = self.writer.join().expect("it writes");
        let publisher = ended(self.publisher);
        assert!(publisher.status.success(), "{}", text(&publisher.stderr));
        count
    }
}

/// Ends tails by `signal` in a loop while events arrive; the parts of the output, of which the last one ends with the
/// topic.
fn interrupted_by(signals: &[Signal], rounds: usize) -> (Place, Vec<PathBuf>) {
    let (hub, place) = (Hub::start(), Place::new());
    let published = Numbers::publish(&hub);
    let mut random = fastrand::Rng::with_seed(7);
    let mut parts = Vec::new();
    for round in 0..rounds {
        let (tail, part) = place.tail(&hub, round);
        let sent = signals[round % signals.len()];
        // Sometimes before the first event, mostly between two.
        if round % 4 > 0 && !comes_true(|| lines(&part) > 0) {
            signal(&tail, Signal::KILL);
            panic!("round {round} prints nothing: {}", text(&ended(tail).stderr));
        }
        thread::sleep(Duration::from_millis(random.u64(..150)));
        signal(&tail, sent);
        let status = ended(tail).status;
        let want = match sent {
            Signal::TERM => Some(0),
            Signal::INT => Some(130),
            Signal::HUP => Some(129),
            _ => None,
        };
        // Before its handlers are installed a signal ends it at once, and nothing is printed yet.
        assert!(status.code() == want || lines(&part) == 0, "{sent:?}: {status:?}");
        parts.push(part);
    }
    let count = published.end();
    hub.put("t", r#"{"closed":true}"#);
    let (tail, part) = place.tail(&hub, rounds);
    assert!(ended(tail).status.success());
    parts.push(part);
    let (tail, part) = place.tail(&hub, rounds + 1);
    assert!(ended(tail).status.success());
    assert_eq!(lines(&part), 0, "a tail after the end has nothing to print");
    let last = parts.iter().rev().find_map(|part| numbers(part).last().copied());
    assert_eq!(last, Some(count - 1));
    let printing = parts.iter().filter(|part| lines(part) > 0).count();
    assert!(printing > rounds / 2, "only {printing} printed something");
    (place, parts)
}

#[test]
fn a_tail_that_is_killed_again_and_again_loses_no_event() {
    let (_place, parts) = interrupted_by(&[Signal::KILL], 16);
    let mut next = 0;
    let mut repeated = 0;
    for part in &parts {
        let numbers = numbers(part);
        let Some(first) = numbers.first().copied() else { continue };
        assert!(first <= next, "{next} to {first} are lost");
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "within one run each comes once");
        repeated += next - first;
        next = next.max(numbers.last().expect("some") + 1);
    }
    println!("{repeated} events were printed twice");
}

#[test]
fn a_tail_that_is_stopped_again_and_again_prints_each_event_once() {
    let (_place, parts) = interrupted_by(&[Signal::TERM, Signal::INT, Signal::HUP], 16);
    let all: Vec<u64> = parts.iter().flat_map(|part| numbers(part)).collect();
    let once: Vec<u64> = (0..all.len() as u64).collect();
    assert_eq!(all, once);
    let whole = parts.iter().all(|part| fs::read(part).expect("readable").last().is_none_or(|last| *last == b'\n'));
    assert!(whole, "a line was cut");
}

#[test]
fn a_state_that_cannot_be_used_is_refused_before_anything_is_printed() {
    let (hub, place) = (Hub::start(), Place::new());
    hub.publish("t", "first");
    let (url, state) = (hub.url(), place.state().display().to_string());
    let with = |topic: &str| {
        let line = ["tail", topic, "--from", "earliest", "--count", "1", "--url", &url, "--state", &state];
        output(&mut gapless(&line))
    };
    let refused = |topic: &str, want: &str| {
        let refused = with(topic);
        let told = text(&refused.stderr);
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0), "{told}");
        assert!(told.contains(want) && told.contains("tail.state"), "{told}");
    };
    fs::write(&state, "{}").expect("written");
    refused("t", "is not a state of `gapless tail`");
    assert_eq!(fs::read_to_string(&state).expect("kept"), "{}");
    fs::remove_file(&state).expect("removed");
    assert_eq!(with("t").stdout, b"first\n");
    refused("u", "it is of t, not of u");
    hub.publish("t", "second");
    let (mut other, part) = place.tail(&hub, 0);
    eventually("it prints", || lines(&part) == 1);
    refused("t", "another `gapless tail` uses it");
    signal(&other, Signal::TERM);
    wait(&mut other);
    hub.publish("t", "third");
    assert_eq!(with("t").stdout, b"third\n");
}

#[test]
fn an_output_that_is_full_stops_it_and_the_next_one_prints_what_was_lost() {
    let (hub, place) = (Hub::start(), Place::new());
    hub.publish("t", "first");
    let (url, state) = (hub.url(), place.state().display().to_string());
    let mut command = gapless(&["tail", "t", "--from", "earliest", "--count", "1", "--url", &url, "--state", &state]);
    let full = File::options().write(true).open("/dev/full").expect("Linux has it");
    let stopped = output(command.stdout(full));
    let told = text(&stopped.stderr);
    assert!(stopped.status.code() == Some(1) && told.contains("cannot write to stdout"), "{told}");
    assert_eq!(output(command.stdout(Stdio::piped())).stdout, b"first\n");
}

#[test]
fn a_second_signal_ends_a_tail_whose_reader_does_not_read() {
    let (hub, place) = (Hub::start(), Place::new());
    let line = "x".repeat(100_000);
    (0..10).for_each(|_| drop(hub.publish("t", &line)));
    let (url, state) = (hub.url(), place.state().display().to_string());
    let mut command = gapless(&["tail", "t", "--from", "earliest", "--url", &url, "--state", &state]);
    let mut tail = command.spawn().expect("it starts");
    let mut stdout = tail.stdout.take().expect("piped");
    stdout.read_exact(&mut [0]).expect("it prints");
    // So much of a line fits into the pipe: its write has begun, and does not end.
    eventually("the pipe is full", || rustix::io::ioctl_fionread(&stdout).is_ok_and(|unread| unread > 60_000));
    signal(&tail, Signal::TERM);
    thread::sleep(Duration::from_millis(200));
    assert!(tail.try_wait().expect("a child").is_none(), "it waits to end in order");
    // Another one: the same twice may count once, while the process waits for the processor.
    signal(&tail, Signal::INT);
    assert_eq!(wait(&mut tail).code(), Some(130));
}

#[test]
fn a_signal_that_the_parent_ignores_stays_ignored() {
    let (hub, place) = (Hub::start(), Place::new());
    let (url, state) = (hub.url(), place.state().display().to_string());
    let mut command = Command::new("env");
    command.args(["--ignore-signal=HUP", env!("CARGO_BIN_EXE_gapless"), "tail", "t", "--count", "1"]);
    command.args(["--url", &url, "--state", &state]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let tail = command.spawn().expect("it starts");
    eventually("it has a position", || place.state().exists());
    signal(&tail, Signal::HUP);
    thread::sleep(Duration::from_millis(200));
    hub.publish("t", "after");
    let printed = ended(tail);
    assert_eq!((printed.status.code(), &*printed.stdout), (Some(0), &b"after\n"[..]));
}
