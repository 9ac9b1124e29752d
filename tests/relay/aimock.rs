//! The same SDKs with a provider that others wrote: their reading of the dialects beside ours.

use std::process::Command;

use serde_json::json;

use crate::{
    child::{Child, here, tool},
    hub::Relay,
    recordings::Tool,
    sdks::{Endpoint, Runner, SDKS},
    support::eventually,
};

/// Without characters beyond U+FFFF: aimock cuts text between UTF-16 units, and would send halves of one.
const TEXT: &str = "春の朝、7 °C で晴れ ☀️。Zürich を歩く。";

/// A running aimock.
struct Aimock {
    url: String,
    _process: Child,
}

impl Aimock {
    /// Gives this answer to everything.
    fn start(answer: &serde_json::Value) -> Self {
        let mut command = Command::new(tool("node"));
        command.arg(here("tests/relay/sdk/aimock.mjs")).arg(answer.to_string());
        let process = Child::spawn(&mut command);
        eventually("aimock listens", || !process.lines().is_empty());
        Self { url: process.lines()[0].clone(), _process: process }
    }
}

#[test]
fn every_sdk_sees_the_answer_of_a_provider_that_others_wrote() {
    let arguments = r#"{"city":"東京","unit":"°C"}"#;
    let answer = json!({ "content": TEXT, "toolCalls": [{ "name": "weather", "arguments": arguments }] });
    let aimock = Aimock::start(&answer);
    let relay = Relay::before(&aimock.url, "", "", &[]);
    for sdk in SDKS {
        let mut runner = Runner::start(sdk);
        for call in sdk.calls {
            let direct = Endpoint { root: aimock.url.clone(), token: "sk-any".into() };
            for (way, endpoint) in [("directly", direct), ("through the hub", relay.endpoint(call.recording))] {
                let mut job = endpoint.job(call);
                job["version"] = "v1beta".into(); // of Gemini's paths; it has no other
                let seen = runner.run(&job);
                let what = format!("{}, {}, {way}", sdk.name, call.name);
                assert_eq!((seen.error, seen.text.as_str()), (None, TEXT), "{what}");
                let tools: Vec<Tool> = seen.tools.iter().map(|tool| Tool { id: None, ..tool.canonical() }).collect();
                let called = Tool { id: None, name: Some("weather".into()), arguments: arguments.into() };
                assert_eq!(tools, [called], "{what}");
            }
        }
    }
}
