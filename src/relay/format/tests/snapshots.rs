//! The snapshot of a run.

use super::{scripted::IDS, *};
use crate::relay::dialect::GenerationApi as _;

fn snapshot(events: &[Logged]) -> serde_json::Value {
    let mut snapshot = RunSnapshot::new(IDS.reader());
    for event in events {
        give(event, |event| snapshot.push(event));
    }
    serde_json::to_value(&snapshot).expect("JSON")
}

#[test]
fn it_is_the_answer_up_to_now() {
    let frames =
        ["think 0 hm", "text 0 Hel", "text 1 other", "text 0 lo", "tool 1 - g", "tool 0 a f", "args 0 {\"x\":"];
    let mut events = run(&frames, RunStatus::Failed);
    let ending = events.pop().expect("an ending");
    events.extend([Logged::Frame("args 0 1}\nusage 9 -".into())]);
    let expected = serde_json::json!({
        "text": "Hello",
        "reasoning": "hm",
        "tool_calls": [
            { "index": 0, "id": "a", "name": "f", "arguments": "{\"x\":1}" },
            { "index": 1, "id": null, "name": "g", "arguments": "" },
        ],
        "usage": { "input": 9, "output": null, "source": "partial" },
        "error": null,
    });
    assert_eq!(snapshot(&events), expected);
    events.push(ending);
    let ended = snapshot(&events);
    assert_eq!(ended["usage"], serde_json::json!({ "input": 9, "output": 12, "source": "upstream" }));
    assert_eq!(ended["error"]["code"], "upstream_error");
}

#[test]
fn what_comes_after_a_stop_is_no_part_of_the_answer() {
    let events = [Logged::Frame("text 0 a".into()), Logged::Stopping, Logged::Frame("text 0 b\nusage 9 20".into())];
    let snapshot = snapshot(&events);
    assert_eq!((&snapshot["text"], &snapshot["usage"]["output"]), (&"a".into(), &20.into()));
}
