//! The commands against a real hub that is killed, stopped and restarted.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use crate::support::{eventually, hub::Hub};

/// A running command; killed when dropped.
struct RunningCommand(Child);

impl Drop for RunningCommand {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl RunningCommand {
    fn new(hub: &Hub, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
        command.args(args).arg("--url").arg(hub.url()).env_remove("GAPLESS_TOKEN");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().expect("the binary starts"))
    }

    /// Waits for its end; its exit code and the rest of its stderr.
    fn ended(mut self) -> (Option<i32>, String) {
        let mut code = None;
        eventually("the command ends", || {
            code = self.0.try_wait().expect("ours");
            code.is_some()
        });
        let mut told = String::new();
        self.0.stderr.take().expect("piped").read_to_string(&mut told).expect("UTF-8");
        (code.expect("ended").code(), told)
    }
}

/// Writes numbered lines, some at a time, until `stop`; returns how many.
fn lines_to(command: &mut RunningCommand, stop: &Arc<AtomicBool>) -> thread::JoinHandle<usize> {
    let mut stdin = command.0.stdin.take().expect("piped");
    let stop = Arc::clone(stop);
    thread::spawn(move || {
        let mut count = 0;
        while !stop.load(Ordering::SeqCst) {
            let lines: Vec<_> = (count..count + 50).map(|number| format!("line {number}\n")).collect();
            stdin.write_all(lines.concat().as_bytes()).expect("it reads");
            count += 50;
            thread::sleep(Duration::from_millis(5));
        }
        count
    })
}

/// Reads stdout, so that the command never blocks on it; returns the number of lines.
fn counted(command: &mut RunningCommand) -> thread::JoinHandle<usize> {
    let stdout = BufReader::new(command.0.stdout.take().expect("piped"));
    thread::spawn(move || stdout.lines().map_while(Result::ok).count())
}

#[test]
fn lines_are_published_once_and_in_order_while_the_hub_is_killed_and_stopped() {
    let mut hub = Hub::start();
    let mut publish = RunningCommand::new(&hub, &["publish", "poured", "--lines", "--close"]);
    let stop = Arc::new(AtomicBool::new(false));
    let (typist, printed) = (lines_to(&mut publish, &stop), counted(&mut publish));
    for round in 0..4 {
        let count = || hub.topic("poured")["events"].as_u64().unwrap_or(0);
        let before = count();
        eventually("some lines are there", || count() > before + 500);
        if round % 2 == 0 {
            hub.kill();
        } else {
            hub.terminate();
            hub.wait();
        }
        thread::sleep(Duration::from_millis(200));
        hub = hub.again();
    }
    stop.store(true, Ordering::SeqCst);
    let lines = typist.join().expect("all lines");
    let (code, told) = publish.ended();
    assert_eq!((code, printed.join().expect("receipts")), (Some(0), lines), "{told}");
    assert!(told.contains("trying again in"), "it was interrupted: {told}");
    let mut kept = hub.watch("topic=poured&from=earliest").all();
    // The last one is the end of the topic.
    kept.retain(|data| data.starts_with("line "));
    let wanted: Vec<String> = (0..lines).map(|number| format!("line {number}")).collect();
    assert_eq!(kept.len(), lines);
    assert!(kept == wanted, "in order, once");
}

#[test]
fn a_line_that_is_not_utf8_or_too_long_is_refused_in_its_place_and_the_rest_is_published() {
    let hub = Hub::start_with(&["--publish-event-bytes", "1KiB"]);
    let mut publish = RunningCommand::new(&hub, &["publish", "t", "--lines"]);
    let printed = counted(&mut publish);
    let long = "x".repeat(2000);
    let mut stdin = publish.0.stdin.take().expect("piped");
    stdin.write_all([b"a\nb\xffc\nd\n", long.as_bytes(), b"\ne\n"].concat().as_slice()).expect("it reads");
    drop(stdin);
    let (code, told) = publish.ended();
    assert_eq!((code, printed.join().expect("receipts")), (Some(1), 3), "{told}");
    assert!(told.contains("line 2: byte 2 is not UTF-8") && told.contains("line 4: the hub refused"), "{told}");
    assert!(told.contains("2 of 5 lines were refused, line 2, line 4; all others are published"), "{told}");
    assert_eq!(hub.kept("t").len(), 3);
}

#[test]
fn lines_name_their_topics_and_what_one_hub_tails_another_takes() {
    let (from, to) = (Hub::start(), Hub::start());
    for (topic, data) in [("a", "1\u{2028}2"), ("b/c", "{\"n\": 1}"), ("a", "")] {
        from.publish(topic, data);
    }
    let mut tail = RunningCommand::new(&from, &["tail", "**", "--from", "earliest", "--json", "--count", "3"]);
    let mut lines = Vec::new();
    tail.0.stdout.take().expect("piped").read_to_end(&mut lines).expect("it prints");
    let mut publish = RunningCommand::new(&to, &["publish", "--ndjson"]);
    let printed = counted(&mut publish);
    publish.0.stdin.take().expect("piped").write_all(&lines).expect("it reads");
    let (code, told) = publish.ended();
    assert_eq!((code, printed.join().expect("receipts")), (Some(0), 3), "{told}");
    let data = |hub: &Hub| {
        hub.page("topic=**&from=earliest")["events"]
            .as_array()
            .expect("events")
            .iter()
            .map(|event| (event["topic"].clone(), event["data"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(data(&to), data(&from));
}

#[test]
fn a_removal_from_another_hub_is_skipped_with_a_message() {
    let (from, to) = (Hub::start(), Hub::start());
    let id = from.publish("a", "secret");
    from.publish("a", "kept");
    assert_eq!(RunningCommand::new(&from, &["remove", "a", &id]).ended().0, Some(0));
    let mut tail = RunningCommand::new(&from, &["tail", "a", "--from", "earliest", "--json", "--count", "3"]);
    let mut lines = Vec::new();
    tail.0.stdout.take().expect("piped").read_to_end(&mut lines).expect("it prints");
    let mut publish = RunningCommand::new(&to, &["publish", "--ndjson"]);
    let printed = counted(&mut publish);
    publish.0.stdin.take().expect("piped").write_all(&lines).expect("it reads");
    let (code, told) = publish.ended();
    assert_eq!((code, printed.join().expect("receipts")), (Some(0), 1), "{told}");
    assert!(told.contains("line 1: skipped: hub.removed") && told.contains("line 3: skipped"), "{told}");
    assert_eq!(to.kept("a").len(), 1);
}

#[test]
fn a_tail_that_has_seen_nothing_yet_misses_nothing_over_a_kill() {
    let mut hub = Hub::start();
    let mut tail = RunningCommand::new(&hub, &["tail", "quiet", "--count", "1"]);
    eventually("it listens", || hub.stats()["subscribers"] == 1);
    // Its cursor came with the first bytes; they have arrived when those of this later client have.
    hub.watch("topic=quiet");
    hub.kill();
    let hub = hub.again();
    hub.publish("quiet", "while it was away");
    let mut printed = String::new();
    tail.0.stdout.take().expect("piped").read_to_string(&mut printed).expect("UTF-8");
    assert_eq!(printed, "while it was away\n");
    assert_eq!(tail.ended().0, Some(0));
}

#[test]
fn a_stream_says_how_often_it_is_kept_alive() {
    for (keepalive, seconds) in [("15s", "15"), ("60s", "60"), ("1500ms", "2")] {
        let hub = Hub::start_with(&["--stream-keepalive", keepalive]);
        let stream = crate::support::wire::open(hub.address, "GET", "/events?topic=t", &[], b"");
        assert_eq!(stream.headers.get("stream-keepalive"), Some(seconds));
    }
}

#[test]
fn a_publish_stream_refuses_invalid_utf8_in_its_place_and_continues() {
    let hub = Hub::start();
    for (kind, body) in [
        ("application/x-ndjson", &b"1\n\"a\xff\"\n2\n"[..]),
        ("text/event-stream", b"data: 1\n\ndata: a\xff\n\ndata: 2\n\n"),
    ] {
        let answer = hub.post("/publish?topic=poured", &[("content-type", kind)], body).text();
        let lines: Vec<&str> = answer.lines().collect();
        assert!(lines.len() == 3 && lines[1].contains("data-not-utf8"), "{kind}: {answer}");
        assert!(lines[0].contains("\"id\"") && lines[2].contains("\"id\""), "{kind}: {answer}");
    }
    assert_eq!(hub.kept("poured"), ["1", "2", "1", "2"]);
}
