//! The formats of a run through the hub: when they are sent, and how they end.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    direct::integers,
    hub::Relay,
    mock::{Gate, Mock},
    recordings::Recording,
    running::{ALL, Frame, recorded, rest, run_of, sse, texts},
    sdks::{Runner, sdk},
    support::wire,
};

const CHAT: &str = "/v1/chat/completions";

fn delta(text: &str) -> String {
    let chunk = json!({ "id": "c", "choices": [{ "index": 0, "delta": { "content": text }, "finish_reason": null }] });
    format!("data: {chunk}\n\n")
}

fn next_delta(incoming: &mut wire::Incoming) -> String {
    loop {
        let block = incoming.until("\n\n");
        if let Some(frame) = sse(&block).into_iter().find(|frame| frame.name == "delta") {
            return texts(&[frame], "delta");
        }
    }
}

#[test]
fn batches_are_sent_by_a_timer_of_their_own_and_the_first_delta_waits_for_nothing() {
    let mock = Mock::start();
    let relay = Relay::start_with(&mock, "", "", &["--stream-keepalive", "10m"]);
    let (second, end) = (Gate::closed(), Gate::closed());
    let script = Recording::OpenAiChat.opened().send(delta("a")).wait_for(&second);
    let script = ["b", "c", "d", "e"]
        .iter()
        .fold(script, |script, text| script.send(delta(text)).pause(Duration::from_millis(5)));
    mock.usually(CHAT, script.wait_for(&end).send("data: [DONE]\n\n"));
    let run = relay.begun(Recording::OpenAiChat, &json!({}));
    let mut batched = relay.read(&run, "format=events&batch_ms=700");
    assert_eq!(next_delta(&mut batched), "a", "while the provider is silent");
    second.open();
    assert_eq!(next_delta(&mut batched), "bcde", "the provider is silent again, and nothing else wakes the reader");
    end.open();
    let last = sse(&rest(&mut batched).text);
    assert_eq!(last.iter().map(|event| &*event.name).collect::<Vec<_>>(), ["run.ended"], "{last:?}");
    // What is there already need not be merged over time: a reader that comes later gets the same text.
    assert_eq!(texts(&sse(&rest(&mut relay.read(&run, "batch_ms=700")).text), "delta"), "abcde");
    for query in ["format=text&batch_ms=700", "format=ndjson&batch_ms=700", "format=ai-sdk&batch_ms=700"] {
        assert!(!rest(&mut relay.read(&run, query)).is_broken, "{query}");
    }
}

#[test]
fn there_is_nothing_left_after_the_last_id_of_an_ended_run() {
    let mock = Mock::start();
    let relay = Relay::start(&mock, "");
    let (recording, gate) = (Recording::Anthropic, Gate::closed());
    mock.usually("/v1/messages", recording.opened().wait_for(&gate).send_each(recording.frames()));
    let run = relay.begun(recording, &json!({}));
    let mut reader = relay.read(&run, "");
    gate.open();
    let events = sse(&rest(&mut reader).text);
    let last = events.last().and_then(|event| event.id.clone()).expect("the ending has an id");
    for format in ["raw", "events", "ndjson", "text", "ai-sdk"] {
        let mut left = relay.read_after(&run, &format!("format={format}"), Some(&last));
        assert_eq!((left.status, rest(&mut left).text.as_str()), (204, ""), "{format}");
    }
    // After any other id there is exactly what follows it.
    for (at, id) in events.iter().enumerate().filter_map(|(at, event)| Some((at, event.id.as_deref()?))) {
        if id != last {
            let mut left = relay.read_after(&run, "format=events", Some(id));
            assert_eq!(sse(&rest(&mut left).text), events[at + 1..], "after {at}");
        }
    }
}

#[test]
fn the_active_run_of_a_topic_is_read_from_its_start_and_there_is_none_before_and_after() {
    let mock = Mock::start();
    let relay = Relay::start(&mock, "");
    let (recording, gate) = (Recording::Anthropic, Gate::closed());
    let frames = recording.frames();
    let (before, after) = frames.split_at(frames.len() / 2);
    let active = |format: &str| {
        let target = format!("/runs/active?topic=chats/7&format={format}");
        wire::open(relay.hub.address, "GET", &target, &[], b"")
    };
    assert_eq!(active("ai-sdk").status, 204);
    for number in 0..2 {
        let gate = if number == 0 { gate.clone() } else { Gate::closed() };
        mock.next("/v1/messages", recording.opened().send_each(before).wait_for(&gate).send_each(after));
        let run = relay.begun(recording, &json!({ "topic": "chats/7" }));
        let mut readers = ["events", "ai-sdk", "text"].map(active);
        for reader in &readers {
            assert_eq!(run_of(reader), run);
        }
        gate.open();
        let [events, ai_sdk, text] = readers.each_mut().map(rest);
        let told = recording.told();
        assert_eq!(text.text, told.text);
        assert_eq!(texts(&sse(&events.text), "delta"), told.text);
        check_ui_message(&ai_sdk.text, recording);
        relay.ended(&run);
        assert_eq!(active("events").status, 204);
    }
}

/// Fails unless `text` is one whole UI message with all that the recording tells, and nothing twice.
fn check_ui_message(text: &str, recording: Recording) {
    let frames: Vec<Frame> = sse(text);
    assert_eq!(frames.last().map(|frame| &*frame.data), Some("[DONE]"), "{recording:?}: {text}");
    let parts: Vec<Value> =
        frames[..frames.len() - 1].iter().map(|frame| serde_json::from_str(&frame.data).unwrap()).collect();
    let of = |kind: &str| parts.iter().filter(|part| part["type"] == kind).collect::<Vec<_>>();
    for once in ["start", "finish"] {
        assert_eq!(of(once).len(), 1, "{recording:?}, {once}: {text}");
    }
    assert_eq!((&parts[0]["type"], &parts[parts.len() - 1]["type"]), (&json!("start"), &json!("finish")));
    assert_eq!(of("error").len(), 0, "{recording:?}: {text}");
    let joined = |kind: &str| of(kind).iter().map(|part| part["delta"].as_str().unwrap()).collect::<String>();
    let told = recording.told();
    assert_eq!((joined("text-delta"), joined("reasoning-delta")), (told.text, told.reasoning), "{recording:?}");
    for kind in ["text", "reasoning"] {
        let ids = |end: &str| of(&format!("{kind}-{end}")).iter().map(|part| part["id"].clone()).collect::<Vec<_>>();
        let started = ids("start");
        assert!(!started.is_empty() && started == ids("end"), "{recording:?}, {kind}: {text}");
        assert!(started.iter().enumerate().all(|(at, id)| !started[..at].contains(id)), "{recording:?}: {text}");
    }
    let calls = of("tool-input-available");
    assert_eq!(calls.len(), told.tools.len(), "{recording:?}: {text}");
    for (call, tool) in calls.iter().zip(told.tools) {
        let arguments: Value = serde_json::from_str(&tool.arguments).unwrap();
        assert_eq!((call["toolName"].as_str(), &call["input"]), (tool.name.as_deref(), &arguments), "{recording:?}");
    }
}

#[test]
fn a_ui_message_has_one_start_one_end_and_no_part_twice_in_every_dialect() {
    let mock = Mock::start();
    let relay = Relay::start(&mock, "");
    for recording in ALL {
        recording.paths(true).iter().for_each(|path| mock.usually(path, recording.streamed()));
        let accept = [("accept", "text/event-stream"), ("content-type", "application/json")];
        let path = recording.paths(true).pop().unwrap();
        let body = json!({
            "provider": crate::hub::provider(recording), "path": path, "request": crate::running::request(recording),
        });
        let target = "/runs?format=ai-sdk";
        let mut answer = wire::open(relay.hub.address, "POST", target, &accept, body.to_string().as_bytes());
        assert_eq!(answer.headers.get("x-vercel-ai-ui-message-stream"), Some("v1"));
        let run = run_of(&answer);
        check_ui_message(&rest(&mut answer).text, recording);
        check_ui_message(&rest(&mut relay.read(&run, "format=ai-sdk")).text, recording);
    }
}

#[test]
fn openais_sdk_retrieves_a_recorded_response_after_a_number_and_cancels_a_running_one() {
    let mock = Mock::start();
    let relay = Relay::start(&mock, "");
    let recording = Recording::OpenAiResponses;
    mock.usually("/v1/responses", recording.streamed());
    rest(&mut relay.ask(recording, &[]));
    let chunks: Vec<Value> = recording.chunks().into_iter().map(integers).collect();
    let id = chunks[0]["response"]["id"].as_str().unwrap().to_owned();
    let mut runner = Runner::start(sdk("openai, Python"));
    let endpoint = relay.endpoint(recording);
    let base = json!({ "base_url": endpoint.base_url(recording), "token": endpoint.token, "response": id });
    let job = |call: &str, after: Option<usize>| {
        let mut job = base.clone();
        job["call"] = call.into();
        job["after"] = after.into();
        job
    };
    for after in [None, Some(0), Some(5), Some(chunks.len() - 2)] {
        let seen = runner.run(&job("retrieve", after));
        assert_eq!(seen.error, None, "{after:?}");
        let left = &chunks[after.map_or(0, |after| after + 1)..];
        assert_eq!(seen.chunks.into_iter().map(integers).collect::<Vec<_>>(), left, "{after:?}");
    }
    assert_eq!(runner.run(&job("cancel", None)).finish.as_deref(), Some("completed"), "nothing is left to cancel");

    let other = String::from_utf8(recording.frames().remove(0)).unwrap().replace(&id, "resp_running");
    mock.usually("/v1/responses", recording.opened().send(other).silence());
    let mut body = crate::running::request(recording);
    body["user"] = "u".into();
    let mut reader = relay.ask_for(recording, &[], &body);
    reader.until("\n\n");
    let mut cancel = job("cancel", None);
    cancel["response"] = "resp_running".into();
    assert_eq!(runner.run(&cancel).finish.as_deref(), Some("cancelled"));
    mock.closed(1);
    assert_eq!(relay.ended(&run_of(&reader))["status"], "stopped");
    assert_eq!(mock.count(), 2, "both were served from the log");
}

#[test]
fn gemini_without_sse_is_one_json_array_that_also_tells_of_a_bad_end() {
    let mock = Mock::start();
    let relay = Relay::start(&mock, "");
    let recording = Recording::Gemini;
    let path = recording.paths(true).pop().unwrap();
    let ask = |query: &str| {
        let body = crate::running::request(recording).to_string();
        let mut answer =
            wire::open(relay.hub.address, "POST", &format!("/relay/gemini{path}{query}"), &[], body.as_bytes());
        assert_eq!(answer.headers.get("content-type"), Some("application/json; charset=utf-8"));
        let body = rest(&mut answer);
        assert!(!body.is_broken);
        serde_json::from_str::<Vec<Value>>(&body.text).unwrap_or_else(|error| panic!("{error}: {}", body.text))
    };
    mock.usually(&path, recording.streamed());
    for query in ["", "?alt=json", "?key=hub-token"] {
        assert_eq!(ask(query), recording.chunks(), "{query}");
    }
    for exchange in mock.exchanges() {
        assert_eq!(exchange.request.target.split_once('?').unwrap().1, "alt=sse", "the provider is asked for a stream");
    }
    mock.usually(&path, crate::facts::begun(recording));
    let half = recorded(recording).len() / 2;
    let cut = ask("");
    assert_eq!(cut[..half], recording.chunks()[..half]);
    assert!(cut.len() == half + 1 && cut[half]["error"]["message"].is_string(), "{cut:?}");
    mock.usually(&path, recording.opened());
    assert!(ask("")[0]["error"]["message"].is_string());
}
