//! The hub ends in the middle of runs: what a viewer has seen is there again, and each run has its one ending before
//! anyone can wait for it.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    hub::Relay,
    mock::{Gate, Mock, Request},
    recordings::Recording,
    running::{Frame, at_once, is_error, ms, number, raw, recorded, request, rest, run_of, sse, without_ids},
    support::{eventually, wire},
};

/// Runs at once for each kill.
const RUNS: u64 = 8;

/// A run and what a viewer saw of it before the hub was killed.
struct Seen {
    recording: Recording,
    key: String,
    body: Value,
    run: String,
    frames: Vec<Frame>,
}

const RECORDINGS: [Recording; 4] =
    [Recording::OpenAiChat, Recording::OpenAiResponses, Recording::Anthropic, Recording::Ollama];

/// The frames of a broken body, and not what has come of the next one.
fn whole(recording: Recording, text: &str) -> Vec<Frame> {
    let end = if recording == Recording::Ollama { "\n" } else { "\n\n" };
    raw(recording, text.rfind(end).map_or("", |at| &text[..at + end.len()]))
}

/// Asks for a run, and reads it until the hub is gone. `None`: the hub was gone before it answered.
fn until_killed(relay: &Relay, round: u64, run: u64) -> Option<Seen> {
    let recording = RECORDINGS[usize::try_from(run).unwrap() % RECORDINGS.len()];
    let key = format!("{round}-{run}");
    let mut body = request(recording);
    body["user"] = key.as_str().into();
    let target = format!("/relay/{}{}", crate::hub::provider(recording), crate::running::target(recording));
    let headers = [("idempotency-key", &*key), ("content-type", "application/json")];
    let text = body.to_string();
    let mut answer = wire::try_open(relay.hub.address, "POST", &target, &headers, text.as_bytes()).ok()?;
    let run = run_of(&answer);
    let seen = rest(&mut answer);
    let frames = whole(recording, &seen.text);
    assert!(seen.is_broken || frames.len() == recorded(recording).len(), "a clean end before the provider's");
    Some(Seen { recording, key, body, run, frames })
}

/// A mock that sends each frame on its own, so that a kill is likely to hit a run.
fn slow() -> Mock {
    let mock = Mock::start();
    for recording in RECORDINGS {
        mock.answering(&recording.paths(true)[0], move |asked: &Request| {
            let user = asked.json()["user"].as_str().unwrap().to_owned();
            // Some are faster than others.
            let apart = Duration::from_millis(4 + user.bytes().map(u64::from).sum::<u64>() % 16);
            recording.frames().iter().fold(recording.opened(), |script, frame| script.send(frame).pause(apart))
        });
    }
    mock
}

/// Checks a run after the restart; returns its ending.
fn check(relay: &Relay, mock: &Mock, restarted: Instant, seen: &Seen) -> String {
    let Seen { recording, key, body, run, frames } = seen;
    let before = mock.count();
    let mut again = relay.read(run, "format=raw");
    let body_again = rest(&mut again);
    let waited = restarted.elapsed();
    let what = format!("{recording:?}, {run}, {} frames", frames.len());
    let all = whole(*recording, &body_again.text);
    assert!(!body_again.is_broken && all.starts_with(frames), "{what}: saw {frames:?}, now {all:?}");
    let ending = relay.ending(run);
    let status = ending["status"].as_str().unwrap().to_owned();
    let complete = recorded(*recording);
    if status == "completed" {
        assert_eq!(without_ids(&all), complete, "{what}");
    } else {
        assert_eq!((status.as_str(), &ending["error"]["code"]), ("interrupted", &json!("interrupted")), "{what}");
        assert!(frames.len() < complete.len(), "{what}: it had ended");
        let (last, said) = all.split_last().unwrap();
        assert!(is_error(*recording, last), "{what}: {last:?}");
        assert_eq!(without_ids(said), complete[..said.len()], "{what}");
    }
    // Its key still joins it, whatever has become of it.
    let mut joined = relay.ask_for(*recording, &[("idempotency-key", key)], body);
    assert_eq!((run_of(&joined), rest(&mut joined).text), (run.clone(), body_again.text), "{what}");
    assert_eq!(mock.count(), before, "{what}");
    assert!(waited < Duration::from_secs(10), "{what}: waited for {waited:?}");
    status
}

/// `GAPLESS_KILLS` kills, each in the middle of up to eight runs.
#[test]
fn after_a_kill_what_was_seen_is_there_and_each_unfinished_run_is_interrupted_once() {
    let (kills, random_seed) = (number("GAPLESS_KILLS", 6), number("GAPLESS_SEED", 3));
    println!("GAPLESS_KILLS={kills} GAPLESS_SEED={random_seed}");
    let mock = slow();
    let mut relay = Relay::start(&mock, "");
    let (mut endings, mut unseen, mut longest) = (BTreeMap::<String, u64>::new(), 0, Duration::ZERO);
    let mut random = random_seed;
    for round in 0..kills {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let after = Duration::from_millis((random >> 33) % 250);
        let viewers: Vec<_> = thread::scope(|scope| {
            let running = &relay;
            let viewers: Vec<_> = (0..RUNS).map(|run| scope.spawn(move || until_killed(running, round, run))).collect();
            thread::sleep(after);
            running.hub.signal("KILL");
            viewers.into_iter().map(|viewer| viewer.join().unwrap()).collect()
        });
        relay.hub.wait();
        relay = relay.again();
        let restarted = Instant::now();
        // Whoever comes first after the restart waits for nothing.
        let list = relay.hub.get("/runs?status=running").json();
        assert_eq!(list["runs"], json!([]), "seed {random_seed}, round {round}");
        longest = longest.max(restarted.elapsed());
        let seen: Vec<_> = viewers.into_iter().flatten().collect();
        unseen += RUNS - seen.len() as u64;
        // At one after the other, because the count of requests is compared.
        for seen in &seen {
            let restarted = Instant::now();
            *endings.entry(check(&relay, &mock, restarted, seen)).or_default() += 1;
            longest = longest.max(restarted.elapsed());
        }
    }
    println!("{endings:?}, {unseen} without an answer; nobody waited longer than {}", ms(longest));
    // Also those that nobody has seen an answer of.
    let mut page = relay.hub.get("/runs?limit=1000").json();
    let mut all = Vec::new();
    loop {
        all.extend(page["runs"].as_array().unwrap().iter().map(|run| run["run"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        page = relay.hub.get(&format!("/runs?limit=1000&after={next}")).json();
    }
    println!("{} runs", all.len());
    at_once(4, all, |run| {
        let status = relay.ending(&run)["status"].clone();
        assert!(["completed", "interrupted"].contains(&status.as_str().unwrap()), "{run}: {status}");
    });
    assert!(endings.contains_key("interrupted"), "no kill has hit a run: {endings:?}");
}

#[test]
fn a_drain_lets_a_short_run_finish_and_interrupts_a_long_one_before_the_exit() {
    let mock = Mock::start();
    let relay = Relay::start_with(&mock, "", "", &["--drain", "4s"]);
    let (short, gate) = (Recording::Anthropic, Gate::closed());
    let frames = short.frames();
    let (before, after) = frames.split_at(frames.len() / 2);
    mock.usually("/v1/messages", short.opened().send_each(before).wait_for(&gate).send_each(after));
    mock.usually("/api/chat", crate::facts::begun(Recording::Ollama).silence());
    let mut first = relay.ask(short, &[]);
    let mut second = relay.ask(Recording::Ollama, &[]);
    let runs = [run_of(&first), run_of(&second)];
    let unwatched = relay.begun(Recording::Ollama, &json!({}));
    first.until("content_block_delta");
    second.until("\n");
    relay.hub.terminate();
    thread::sleep(Duration::from_millis(300));
    gate.open();
    let mut hub = relay;
    let first = rest(&mut first);
    let second = rest(&mut second);
    assert_eq!(hub.hub.wait(), Some(0), "{}", hub.hub.log());
    for number in 1..3 {
        mock.closed(number);
    }
    // It was in the log before the exit: the next start has nothing to end.
    eventually("its end is logged", || hub.hub.log().contains("Interrupted"));
    let log = hub.hub.log();
    let relay = hub.again();
    let status = |run: &str| relay.ending(run)["status"].as_str().unwrap().to_owned();
    assert_eq!((status(&runs[0]), status(&runs[1])), ("completed".into(), "interrupted".into()), "{log}");
    assert_eq!(status(&unwatched), "interrupted");
    assert_eq!(without_ids(&sse(&rest(&mut relay.read(&runs[0], "format=raw")).text)), recorded(short));
    println!("the short one's viewer: {first:?}\nthe long one's: {second:?}");
}
