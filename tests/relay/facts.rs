//! What the SDKs make of what a stream carries beside the provider's frames, and of how it ends. The relay's dialects are
//! built on these facts; a new version of an SDK that changes one fails here.

use std::time::Duration;

use serde_json::Value;

use crate::{
    direct::direct,
    mock::{Mock, Script},
    recordings::Recording,
    sdks::{Call, Runner, SDKS, Sdk, Seen, Way},
};

/// What an SDK makes of a stream, compared with the same one as its provider sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    /// The same.
    Same,
    /// It raises.
    Raises,
    /// Something else, and raises nothing.
    Differs,
}

use Made::{Differs, Raises, Same};

/// A stream, and what the SDKs make of it.
struct Fact {
    what: &'static str,
    concerns: &'static [Recording],
    stream: fn(Recording) -> Script,
    /// The first entry that fits: an SDK's name or the start of it, and a call's name, or nothing for all calls.
    made: &'static [(&'static str, &'static str, Made)],
}

const OPENAI: &[Recording] = &[Recording::OpenAiChat, Recording::OpenAiResponses];
const ALL: &[Recording] =
    &[Recording::OpenAiChat, Recording::OpenAiResponses, Recording::Anthropic, Recording::Gemini, Recording::Ollama];

const FACTS: &[Fact] = &[
    Fact {
        what: "OpenAI's clients accept an id on every frame, and comments of one line",
        concerns: OPENAI,
        stream: |recording| changed(recording, |number, frame| format!(": ka\nid: {number}\n{frame}")),
        made: &[("", "", Same)],
    },
    Fact {
        what: "OpenAI's clients accept comments of one line without ids",
        concerns: OPENAI,
        stream: |recording| changed(recording, |_, frame| format!(": ka\n{frame}")),
        made: &[("", "", Same)],
    },
    Fact {
        what: "after an id, OpenAI's client for Python accepts no comment with a blank line",
        concerns: OPENAI,
        stream: |recording| changed(recording, |number, frame| format!(": ka\n\nid: {number}\n{frame}")),
        made: &[("openai, Python", "", Raises), ("", "", Same)],
    },
    Fact {
        what: "OpenAI's client for Python accepts no lone retry",
        concerns: OPENAI,
        stream: |recording| recording.opened().send("retry: 100\n\n").send_each(recording.frames()),
        made: &[("openai, Python", "", Raises), ("", "", Same)],
    },
    Fact {
        what: "Anthropic's clients accept an id on every frame, and a ping anywhere",
        concerns: &[Recording::Anthropic],
        stream: |recording| {
            let ping = "event: ping\ndata: {\"type\": \"ping\"}\n\n";
            changed(recording, |number, frame| format!("{ping}id: {number}\n{frame}"))
        },
        made: &[("", "", Same)],
    },
    Fact {
        what: "Gemini's clients accept no id",
        concerns: &[Recording::Gemini],
        stream: |recording| changed(recording, |number, frame| format!("id: {number}\n{frame}")),
        made: &[("google-genai, Python", "", Raises), ("google-genai, Node", "", Differs)],
    },
    Fact {
        what: "Gemini's clients accept no comment",
        concerns: &[Recording::Gemini],
        stream: |recording| changed(recording, |_, frame| format!(": ka\n{frame}")),
        made: &[("google-genai, Python", "", Raises), ("google-genai, Node", "", Differs)],
    },
    Fact {
        what: "Ollama's client for Python accepts no blank line",
        concerns: &[Recording::Ollama],
        stream: |recording| changed(recording, |_, line| format!("\n{line}")),
        made: &[("ollama, Python", "", Raises), ("ollama, Node", "", Same)],
    },
    Fact {
        what: "an error frame raises when it is the first",
        concerns: ALL,
        stream: |recording| recording.opened().send(recording.error_frame()),
        made: &[("", "", Raises)],
    },
    Fact {
        what: "an error frame raises after text",
        concerns: ALL,
        stream: |recording| begun(recording).send(recording.error_frame()),
        made: &[("", "", Raises)],
    },
    Fact {
        what: "OpenAI's clients raise nothing for an error event of Responses without a member `error`",
        concerns: &[Recording::OpenAiResponses],
        stream: |recording| {
            let error = r#"{"type":"error","code":"server_error","message":"boom","param":null,"sequence_number":9}"#;
            begun(recording).send(format!("event: error\ndata: {error}\n\n"))
        },
        made: &[("", "", Differs)],
    },
    Fact {
        what: "an end before the provider's end looks complete to most",
        concerns: ALL,
        stream: begun,
        made: &[
            ("openai, Node", "chat_helper", Raises),
            ("anthropic, Node", "messages_helper", Raises),
            ("ollama, Node", "", Raises),
            ("ai, Node", "", Raises),
            ("", "", Differs),
        ],
    },
    Fact {
        what: "a connection that breaks off raises",
        concerns: ALL,
        stream: |recording| begun(recording).cut(),
        made: &[("", "", Raises)],
    },
    Fact {
        what: "a connection that is reset raises",
        concerns: ALL,
        stream: |recording| begun(recording).pause(Duration::from_millis(20)).reset(),
        made: &[("", "", Raises)],
    },
    Fact {
        what: "where the bytes are cut changes nothing",
        concerns: ALL,
        stream: |recording| recording.opened().send_each(recording.stream().chunks(7)),
        made: &[("", "", Same)],
    },
];

/// The stream with each frame changed, by its number and its text.
fn changed(recording: Recording, change: impl Fn(usize, &str) -> String) -> Script {
    let frames = recording.events();
    recording.opened().send_each(frames.iter().enumerate().map(|(number, frame)| change(number, frame)))
}

/// The first frames, up to the middle of the answer.
pub(crate) fn begun(recording: Recording) -> Script {
    let frames = recording.events();
    recording.opened().send_each(&frames[..frames.len() / 2])
}

#[test]
fn every_sdk_makes_of_every_stream_what_the_dialects_are_built_on() {
    let mock = Mock::start();
    let mut wrong = Vec::new();
    for sdk in SDKS {
        let mut runner = Runner::start(sdk);
        for call in sdk.calls.iter().filter(|call| call.way != Way::Whole) {
            let mut see = |script: &Script| {
                call.answer_with(&mock, script);
                Seen { headers: Value::Null, ..runner.run(&direct(&mock).job(call)) }
            };
            let plain = see(&call.answer());
            for fact in FACTS.iter().filter(|fact| fact.concerns.contains(&call.recording)) {
                let seen = see(&(fact.stream)(call.recording));
                let (made, told) = (made(&seen, &plain), fact.made_by(sdk, call));
                if made != told {
                    let what = format!("{}: {}, {}: {made:?}, not {told:?}", fact.what, sdk.name, call.name);
                    wrong.push(format!("{what}; {:?}", seen.error));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn made(seen: &Seen, plain: &Seen) -> Made {
    match seen {
        Seen { error: Some(_), .. } => Raises,
        same if same == plain => Same,
        _ => Differs,
    }
}

impl Fact {
    fn made_by(&self, sdk: &Sdk, call: &Call) -> Made {
        let fits =
            |(name, of, _): &&(&str, &str, Made)| sdk.name.starts_with(name) && (of.is_empty() || *of == call.name);
        self.made.iter().find(fits).unwrap_or_else(|| panic!("{}: nothing for {}", self.what, sdk.name)).2
    }
}
