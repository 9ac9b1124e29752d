//! The protocol's own clients, unchanged, over hubs that are killed and hubs that are stopped.

use std::{path::Path, process::Command, thread, time::Duration};

use serde_json::Value;

use crate::{
    child::{Child, here, tool},
    stream::{CLOSES, PROTOCOL, Stream},
    support::{comes_true, eventually, hub::Hub},
};

/// A script of this place, run by what runs its kind.
fn script(name: &str, arguments: &[&str]) -> Child {
    let program = if Path::new(name).extension().is_some_and(|kind| kind == "py") {
        here("target/durable-streams-venv/bin/python")
    } else {
        tool("node")
    };
    Child::spawn(Command::new(program).arg(here(&format!("tests/durable_streams/{name}"))).args(arguments))
}

/// A stream that a script writes, and the scripts that read it, each with its mode.
struct Story {
    stream: Stream,
    writer: Child,
    readers: Vec<(String, Child)>,
}

impl Story {
    fn begin(hub: &Hub, name: &str, writer: &str, readers: &[(&str, &str)]) -> Self {
        let stream = Stream::at(hub, name);
        let url = format!("{}{}", hub.url(), stream.path);
        let writer = script(writer, &[&url]);
        eventually("the stream is there", || !writer.lines().is_empty());
        let readers = readers.iter().map(|(name, mode)| (format!("{name}, {mode}"), script(name, &[&url, mode])));
        Self { stream, readers: readers.collect(), writer }
    }

    /// Waits until each reader has read on.
    fn goes_on(&mut self, what: &str) {
        for (name, reader) in &mut self.readers {
            let before = reader.lines().len();
            assert!(comes_true(|| reader.lines().len() > before + 20), "{what}: {name} has stopped at {before}");
            assert_eq!(reader.exit_code(), None, "{what}: an absence is no end for {name}");
        }
    }

    /// Ends the writer, and checks what each has read.
    fn ends(mut self) {
        self.writer.say("enough");
        let writer = &mut self.writer;
        eventually("the writer ends", || writer.exit_code().is_some());
        assert_eq!(writer.exit_code(), Some(0));
        // Python's client cannot close one, and closing again changes nothing.
        assert_eq!(self.stream.post(&[CLOSES], b"").status, 204);
        let count: u64 = writer.lines().last().unwrap().parse().unwrap();
        let want: Vec<Value> = (0..count).map(Value::from).chain([Value::from("end")]).collect();
        let kept: Vec<Value> = serde_json::from_slice(&self.stream.read()).unwrap();
        assert!(kept == want, "{count} were written, {} are kept: {}", kept.len(), first_other(&kept, &want));
        for (name, mut reader) in self.readers {
            let ended = comes_true(|| reader.exit_code().is_some());
            assert!(ended, "{name} does not see the end: {} of {count}", reader.lines().len());
            eventually("its lines are read", || reader.lines().len() >= want.len());
            let read: Vec<Value> = reader.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert!(read == want, "{name} has read {} of {count}: {}", read.len(), first_other(&read, &want));
        }
    }
}

/// Where two lists differ first.
fn first_other(one: &[Value], other: &[Value]) -> String {
    let at = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    format!("at {at}: {:?}, not {:?}", one.get(at), other.get(at))
}

#[test]
fn readers_and_producers_lose_nothing_and_get_nothing_twice() {
    let mut hub = Hub::start_with(&[&PROTOCOL[..], &["--stream-retry", "200ms"]].concat());
    let readers = [
        ("reader.mjs", "sse"),
        ("reader.mjs", "long-poll"),
        ("reader.mjs", "catch-up"),
        ("reader.py", "sse"),
        ("reader.py", "long-poll"),
        ("reader.py", "catch-up"),
    ];
    let mut by_producer = Story::begin(&hub, "producer", "producer.mjs", &readers);
    let mut by_seq = Story::begin(&hub, "seq", "writer.py", &readers[..4]);
    for (round, killed) in [true, false, true].into_iter().enumerate() {
        let what = format!("round {round}");
        by_producer.goes_on(&what);
        by_seq.goes_on(&what);
        hub = if killed {
            hub.kill();
            hub.again()
        } else {
            hub.again_after_end()
        };
    }
    by_producer.goes_on("at last");
    by_seq.goes_on("at last");
    by_producer.ends();
    by_seq.ends();
}

/// What a chat was given so far, and whether it is over.
fn chat(child: &Child, name: &str) -> (String, Vec<String>, bool) {
    let (mut text, mut kinds, mut over) = (String::new(), Vec::new(), false);
    for line in child.lines() {
        let line: Vec<Value> = serde_json::from_str(&line).unwrap();
        if line[0] != name {
            continue;
        }
        let Some(kind) = line[1]["type"].as_str() else {
            over = true;
            continue;
        };
        text.push_str(line[1]["delta"].as_str().unwrap_or_default());
        if kinds.last().is_none_or(|last| last != kind) {
            kinds.push(kind.to_owned());
        }
    }
    (text, kinds, over)
}

#[test]
fn a_chat_of_the_ai_sdk_is_whole_after_kills_and_stops() {
    let mut hub = Hub::start_with(&[&PROTOCOL[..], &["--stream-retry", "200ms"]].concat());
    let stream = Stream::at(&hub, "chat");
    let mut app = script("aisdk.mjs", &[&format!("{}{}", hub.url(), stream.path)]);
    let mut said = String::new();
    let mut say = |app: &mut Child, word: &str| {
        app.say(word);
        said.push_str(word);
        said.clone()
    };
    let hears = |app: &Child, name: &str, want: &str| {
        assert!(comes_true(|| chat(app, name).0 == want), "{name}: {:?}, not {want:?}", app.lines());
    };
    let so_far = say(&mut app, "one ");
    hears(&app, "first", &so_far);
    // A stop ends the response in order, and the client goes on by itself.
    hub = hub.again_after_end();
    let so_far = say(&mut app, "two ");
    hears(&app, "first", &so_far);
    let mut name = "first".to_owned();
    for round in 1..=3 {
        hub.kill();
        // What is said while the hub is away is appended when it is back.
        say(&mut app, &format!("away {round} "));
        thread::sleep(Duration::from_millis(100));
        hub = hub.again();
        app.say("rejoin");
        name = format!("again {round}");
        let so_far = say(&mut app, &format!("back {round} "));
        hears(&app, &name, &so_far);
    }
    app.say("");
    eventually("it is over", || chat(&app, &name).2);
    app.say("rejoin");
    eventually("a late one sees all of it", || chat(&app, "again 4").2);
    for name in [&*name, "again 4"] {
        let (text, kinds, _) = chat(&app, name);
        assert_eq!(text, said, "{name}");
        assert_eq!(kinds, ["start", "text-start", "text-delta", "text-end", "finish"], "{name}");
    }
    assert_eq!(stream.head().headers.get("stream-closed"), Some("true"));
}
