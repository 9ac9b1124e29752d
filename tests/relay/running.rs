//! Runs by hand: requests for them, and what their answers, their topics and their states say.

use std::{io::Read, time::Duration};

use serde_json::{Value, json};

use crate::{
    hub::{Relay, provider},
    recordings::Recording,
    support::{
        eventually,
        wire::{self, Answer, Incoming},
    },
};

/// Every recording.
pub(crate) const ALL: [Recording; 5] =
    [Recording::OpenAiChat, Recording::OpenAiResponses, Recording::Anthropic, Recording::Gemini, Recording::Ollama];

/// A frame of a stream: an event of SSE, or a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) name: String,
    pub(crate) data: String,
    pub(crate) id: Option<String>,
}

/// A body that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) text: String,
    /// Whether the connection broke before the body's own end.
    pub(crate) is_broken: bool,
}

/// The body of a streaming request.
pub(crate) fn request(recording: Recording) -> Value {
    let messages = json!([{ "role": "user", "content": "Should I take a coat? 🧥" }]);
    match recording {
        Recording::OpenAiChat => json!({ "model": "gpt-5-mini", "messages": messages, "stream": true }),
        Recording::OpenAiResponses => json!({ "model": "gpt-5-mini", "input": "coat?", "stream": true }),
        Recording::Anthropic => {
            json!({ "model": "claude-sonnet-4-5", "max_tokens": 99, "messages": messages, "stream": true })
        }
        Recording::Gemini => json!({ "contents": [{ "role": "user", "parts": [{ "text": "coat?" }] }] }),
        Recording::Ollama => json!({ "model": "qwen3", "messages": messages }),
    }
}

/// The path of a streaming request below the provider's name.
pub(crate) fn target(recording: Recording) -> String {
    let path = recording.paths(true).pop().unwrap();
    if recording == Recording::Gemini { format!("{path}?alt=sse") } else { path }
}

impl Relay {
    /// Asks for a run as an SDK does. Returns when the head of the answer is here.
    pub(crate) fn ask(&self, recording: Recording, headers: &[(&str, &str)]) -> Incoming {
        self.ask_for(recording, headers, &request(recording))
    }

    /// The same with another body.
    pub(crate) fn ask_for(&self, recording: Recording, headers: &[(&str, &str)], body: &Value) -> Incoming {
        let target = format!("/relay/{}{}", provider(recording), target(recording));
        let headers = [&[("content-type", "application/json")], headers].concat();
        wire::open(self.hub.address, "POST", &target, &headers, body.to_string().as_bytes())
    }

    /// `POST /runs` for a recording, with more members of its body.
    pub(crate) fn begin(&self, recording: Recording, more: &Value, headers: &[(&str, &str)]) -> Answer {
        let path = recording.paths(true).pop().unwrap();
        let mut body = json!({ "provider": provider(recording), "path": path, "request": request(recording) });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let headers = [&[("content-type", "application/json")], headers].concat();
        self.hub.post("/runs", &headers, body.to_string().as_bytes())
    }

    /// The same, which must be accepted; returns the run's id.
    pub(crate) fn begun(&self, recording: Recording, more: &Value) -> String {
        let answer = self.begin(recording, more, &[]);
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["run"].as_str().unwrap().into()
    }

    /// Reads a run in a format, from its start.
    pub(crate) fn read(&self, run: &str, query: &str) -> Incoming {
        self.read_after(run, query, None)
    }

    /// Reads a run in a format, after an id.
    pub(crate) fn read_after(&self, run: &str, query: &str, last: Option<&str>) -> Incoming {
        let headers: Vec<_> = last.map(|id| ("last-event-id", id)).into_iter().collect();
        wire::open(self.hub.address, "GET", &format!("/runs/{run}/events?{query}"), &headers, b"")
    }

    /// The state of a run.
    pub(crate) fn run(&self, run: &str) -> Value {
        let answer = self.hub.get(&format!("/runs/{run}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// The state of a run once it has ended.
    pub(crate) fn ended(&self, run: &str) -> Value {
        let mut state = Value::Null;
        eventually("the run ends", || {
            state = self.run(run);
            state["status"] != "running"
        });
        state
    }

    /// `POST /runs/ID/stop`.
    pub(crate) fn stop(&self, run: &str, query: &str, headers: &[(&str, &str)]) -> Answer {
        self.hub.post(&format!("/runs/{run}/stop{query}"), headers, b"")
    }

    /// The events of a topic, as they are stored.
    pub(crate) fn logged(&self, topic: &str) -> Vec<Frame> {
        let (mut logged, mut query) = (Vec::new(), "from=earliest".to_owned());
        loop {
            let page = self.hub.page(&format!("topic={topic}&limit=1000&{query}"));
            let events = page["events"].as_array().unwrap_or_else(|| panic!("{page}"));
            let text = |event: &Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
            logged.extend(events.iter().map(|event| Frame {
                name: text(event, "event"),
                data: text(event, "data"),
                id: Some(text(event, "id")),
            }));
            if events.len() < 1000 {
                return logged;
            }
            query = format!("last_event_id={}", events[999]["id"].as_str().unwrap());
        }
    }

    /// The one `run.ended` in a run's own topic.
    pub(crate) fn ending(&self, run: &str) -> Value {
        ending_in(&self.logged(&format!("runs/{run}")))
    }
}

/// The one `run.ended` of a run that was read to its end.
pub(crate) fn ending_in(events: &[Frame]) -> Value {
    let endings: Vec<_> = events.iter().filter(|event| event.name == "run.ended").collect();
    assert_eq!(endings.len(), 1, "{events:?}");
    assert_eq!(events.last(), Some(endings[0]), "events after the ending");
    serde_json::from_str(&endings[0].data).unwrap()
}

/// The id of the run that answers.
pub(crate) fn run_of(incoming: &Incoming) -> String {
    assert_eq!(incoming.status, 200);
    incoming.headers.get("gapless-run").expect("a run").into()
}

/// The rest of a body.
pub(crate) fn rest(incoming: &mut Incoming) -> Body {
    let (mut bytes, mut piece) = (Vec::new(), [0; 16 << 10]);
    let is_broken = loop {
        match incoming.read(&mut piece) {
            Ok(0) => break false,
            Ok(read) => bytes.extend_from_slice(&piece[..read]),
            Err(error) => {
                let waited = [std::io::ErrorKind::WouldBlock, std::io::ErrorKind::TimedOut].contains(&error.kind());
                assert!(!waited, "no end came after {:?}", String::from_utf8_lossy(&bytes));
                break true;
            }
        }
    };
    Body { text: String::from_utf8(bytes).expect("UTF-8"), is_broken }
}

/// The frames of the hub's SSE; comments are none.
pub(crate) fn sse(text: &str) -> Vec<Frame> {
    let field = |block: &str, name: &str| {
        let lines = block.split('\n').filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let lines: Vec<_> = lines.collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    };
    let frame = |block: &str| {
        Some(Frame {
            name: field(block, "event").unwrap_or_default(),
            data: field(block, "data")?,
            id: field(block, "id"),
        })
    };
    text.split("\n\n").filter_map(frame).collect()
}

/// The frames of a raw answer.
pub(crate) fn raw(recording: Recording, text: &str) -> Vec<Frame> {
    let line = |line: &str| Frame { data: line.into(), ..Frame::default() };
    if recording == Recording::Ollama { text.lines().map(line).collect() } else { sse(text) }
}

/// The frames that a recording has, without ids.
pub(crate) fn recorded(recording: Recording) -> Vec<Frame> {
    let frame = |text: String| match recording {
        Recording::Ollama => Frame { data: text.trim_end().into(), ..Frame::default() },
        _ => sse(&text.replace("\r\n", "\n")).remove(0),
    };
    recording.events().into_iter().map(frame).collect()
}

/// The frames without their ids.
pub(crate) fn without_ids(frames: &[Frame]) -> Vec<Frame> {
    frames.iter().map(|frame| Frame { id: None, ..frame.clone() }).collect()
}

/// Whether a frame is an error in the shape of the dialect.
pub(crate) fn is_error(recording: Recording, frame: &Frame) -> bool {
    let Ok(data) = serde_json::from_str::<Value>(&frame.data) else { return false };
    let message = |error: &Value| error["message"].is_string();
    match recording {
        Recording::OpenAiChat => message(&data["error"]),
        Recording::OpenAiResponses | Recording::Anthropic => {
            frame.name == "error" && data["type"] == "error" && message(&data["error"])
        }
        Recording::Gemini => data["error"]["code"].is_u64() && message(&data["error"]),
        Recording::Ollama => data["error"].is_string(),
    }
}

/// The texts of the `delta`s, or of the `reasoning`s, of an answer in `events`.
pub(crate) fn texts(frames: &[Frame], name: &str) -> String {
    let text = |frame: &Frame| {
        let data: Value = serde_json::from_str(&frame.data).unwrap();
        data["text"].as_str().unwrap().to_owned()
    };
    frames.iter().filter(|frame| frame.name == name).map(text).collect()
}

/// Does `work` on every item, several at once, in the order of the items.
pub(crate) fn at_once<T: Send, R: Send>(workers: usize, items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let left = parking_lot::Mutex::new(items.into_iter().enumerate());
    let done = parking_lot::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let Some((number, item)) = left.lock().next() else { return };
                    let result = work(item);
                    done.lock().push((number, result));
                }
            });
        }
    });
    let mut done = done.into_inner();
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

/// A number from the environment, for what is done by hand with more of it.
pub(crate) fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}

/// Milliseconds, to be printed.
pub(crate) fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
