//! The formats, against an API whose frames are a script.

mod batching;
mod endings;
mod golden;
mod properties;
mod scripted;
mod snapshots;
mod tools;
mod ui_message;

use std::time::{Duration, Instant};

use scripted::{IDS, ScriptedApi};

use super::*;
use crate::{
    event::{EventId, sse_parser},
    relay::ending::{RunEnded, RunError, RunStarted, RunStatus, TokenUsage, UsageSource},
};

/// An event of a run, owned.
#[derive(Debug, Clone)]
enum Logged {
    Started,
    Frame(String),
    Stopping,
    Ended(RunStatus),
}

fn id(seq: u64) -> EventId {
    EventId::parse(&format!("abcd-{seq}")).expect("valid")
}

fn options(api: &'static ScriptedApi, format: Format) -> AnswerOptions {
    AnswerOptions { api, format, batch: None, run: "r1".into(), after: None, raw: RawShape::Stream }
}

fn ended(status: RunStatus) -> RunEnded {
    let error = RunError { code: "upstream_error".into(), message: "it is\noverloaded".into(), status: None };
    RunEnded {
        finish_reason: None,
        run: "r1".into(),
        status,
        by: (status == RunStatus::Stopped).then(|| "alice".into()),
        usage: TokenUsage { input: Some(9), output: Some(12), source: UsageSource::Upstream },
        error: (status == RunStatus::Failed).then_some(error),
    }
}

/// Passes an event to an encoder or a snapshot.
fn give(event: &Logged, to: impl FnOnce(RunEvent<'_>)) {
    match event {
        Logged::Started => {
            let started = RunStarted { run: "r1".into(), provider: "openai".into(), model: "m".into() };
            to(RunEvent::Started(&started));
        }
        Logged::Frame(data) => to(RunEvent::Frame { name: "", data }),
        Logged::Stopping => to(RunEvent::Stopping { by: Some("alice") }),
        Logged::Ended(status) => to(RunEvent::Ended(&ended(*status))),
    }
}

/// A run whose frames have these data, and an ending.
fn run(frames: &[&str], status: RunStatus) -> Vec<Logged> {
    let frames = frames.iter().map(|data| Logged::Frame((*data).into()));
    std::iter::once(Logged::Started).chain(frames).chain([Logged::Ended(status)]).collect()
}

/// Writes events with the ids 1, 2, …; `wait` is the time before each, in milliseconds, used in turn. A timer is run as a
/// caller would.
fn write(options: AnswerOptions, events: &[Logged], wait: &[u64]) -> (String, Option<Finished>) {
    let mut encoder = AnswerEncoder::new(options);
    let (mut out, mut now) = (Vec::new(), Instant::now());
    for (at, event) in events.iter().enumerate() {
        now += Duration::from_millis(*wait.get(at % wait.len().max(1)).unwrap_or(&0));
        while let Some(due) = encoder.due().filter(|due| *due <= now) {
            encoder.flush(due, &mut out);
        }
        give(event, |event| encoder.push(id(at as u64 + 1), event, now, &mut out));
    }
    assert_eq!(encoder.due(), None, "an ending flushes");
    (String::from_utf8(out).expect("UTF-8"), encoder.finished())
}

/// What a client of SSE or of lines sees.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    name: String,
    data: String,
    id: Option<EventId>,
}

fn seen(format: Format, body: &str) -> Vec<Seen> {
    if format == Format::Ndjson {
        return body.lines().map(seen_line).collect();
    }
    let mut seen = Vec::new();
    sse_parser::Parser::new(1 << 20).push(body.as_bytes(), |block| {
        let block = block.expect("an event");
        let id = block.id.map(|id| EventId::parse(&id).expect("an id"));
        seen.push(Seen { name: block.event, data: block.data.expect("data"), id });
    });
    seen
}

fn seen_line(line: &str) -> Seen {
    let value: serde_json::Value = serde_json::from_str(line).expect("a line is JSON");
    let id = value.get("id").map(|id| EventId::parse(id.as_str().expect("text")).expect("an id"));
    Seen { name: value["event"].as_str().expect("a name").into(), data: value["data"].to_string(), id }
}
