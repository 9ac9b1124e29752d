//! A request that is sent again joins the run of the first one: the provider is asked once.

use serde_json::{Value, json};

use crate::{
    hub::{Relay, provider},
    mock::{Gate, Mock, Script},
    recordings::Recording,
    running::{ALL, at_once, is_error, raw, recorded, request, rest, run_of, sse, without_ids},
    support::{
        eventually,
        wire::{self, Answer},
    },
};

/// Identical requests at once.
const TIMES: u64 = 50;

/// Sends a request [`TIMES`] times at once. Opens the gate, at which the provider waits, when all have joined its run.
fn fifty(relay: &Relay, gate: &Gate, post: impl Fn() -> Answer + Sync) -> Vec<Answer> {
    let joined = || relay.hub.stats()["relay"]["joined_total"].as_u64().unwrap();
    let before = joined();
    std::thread::scope(|scope| {
        let answers = scope.spawn(|| at_once(50, (0..TIMES).collect(), |_| post()));
        eventually("the others join", || joined() == before + TIMES - 1);
        gate.open();
        answers.join().unwrap()
    })
}

fn post(relay: &Relay, recording: Recording, headers: &[(&str, &str)], body: &Value) -> Answer {
    let mut incoming = relay.ask_for(recording, headers, body);
    let body = rest(&mut incoming);
    assert!(!body.is_broken, "{body:?}");
    Answer { status: incoming.status, headers: incoming.headers.clone(), body: body.text.into_bytes() }
}

/// A key of its own for each recording: it is the holder's, whatever it asks.
fn key(recording: Recording) -> String {
    format!("key of {recording:?}")
}

#[test]
fn fifty_identical_posts_with_one_key_are_one_request_to_the_provider_and_get_the_same_bytes() {
    let mock = Mock::start();
    let relay = Relay::start(&mock, "");
    for (number, recording) in ALL.into_iter().enumerate() {
        let (gate, frames) = (Gate::closed(), recording.frames());
        let (before, after) = frames.split_at(frames.len() / 2);
        let script = recording.opened().send_each(before).wait_for(&gate).send_each(after);
        mock.usually(&recording.paths(true).pop().unwrap(), script);
        let key = key(recording);
        let answers =
            fifty(&relay, &gate, || post(&relay, recording, &[("idempotency-key", &key)], &request(recording)));
        assert_eq!(mock.count(), number + 1, "{recording:?}");
        assert_eq!(without_ids(&raw(recording, &answers[0].text())), recorded(recording));
        for answer in &answers {
            assert_eq!((answer.status, &answer.body), (200, &answers[0].body), "{recording:?}");
            assert_eq!(answer.headers.get("gapless-run"), answers[0].headers.get("gapless-run"));
        }
    }
}

#[test]
fn a_refusal_goes_to_all_who_wait_for_it_and_uses_no_key_up() {
    let mock = Mock::start();
    let relay = Relay::start(&mock, "");
    for (number, recording) in ALL.into_iter().enumerate() {
        let (gate, path, key) = (Gate::closed(), recording.paths(true).pop().unwrap(), key(recording));
        let headers = [("idempotency-key", &*key)];
        let refusal = crate::direct::refusal(recording, 429);
        let kind = [("content-type", "application/json"), ("retry-after", "7"), ("x-request-id", "req_9")];
        mock.next(&path, Script::new().wait_for(&gate).then(Script::whole(429, &kind, refusal.as_bytes())));
        let answers = fifty(&relay, &gate, || post(&relay, recording, &headers, &request(recording)));
        assert_eq!(mock.count(), 2 * number + 1, "{recording:?}");
        for answer in answers {
            assert_eq!((answer.status, answer.text()), (429, refusal.clone()), "{recording:?}");
            assert_eq!(answer.headers.get("retry-after"), Some("7"));
            assert_eq!(answer.headers.get("x-request-id"), Some("req_9"));
            assert_eq!(answer.headers.get("gapless-run"), None);
        }
        // Also for another body.
        mock.usually(&path, recording.streamed());
        let mut other = request(recording);
        other["user"] = "u".into();
        let again = post(&relay, recording, &headers, &other);
        assert_eq!(without_ids(&raw(recording, &again.text())), recorded(recording));
        assert_eq!(mock.count(), 2 * number + 2, "{recording:?}");
    }
    let runs = relay.hub.get("/runs").json();
    assert_eq!(runs["runs"].as_array().unwrap().len(), ALL.len(), "a refused request is no run: {runs}");
}

#[test]
fn a_key_with_another_body_is_409_and_no_sdk_is_told_to_try_again() {
    let mock = Mock::start();
    let relay = Relay::start(&mock, "");
    for recording in ALL {
        mock.usually(&recording.paths(true).pop().unwrap(), recording.streamed());
        let key = key(recording);
        let headers = [("idempotency-key", &*key)];
        assert_eq!(post(&relay, recording, &headers, &request(recording)).status, 200);
        let mut other = request(recording);
        other["user"] = "u".into();
        let refused = post(&relay, recording, &headers, &other);
        assert_eq!(refused.status, 409, "{}", refused.text());
        assert_eq!(refused.headers.get("x-should-retry"), Some("false"));
        let error = crate::running::Frame { name: "error".into(), data: refused.text(), id: None };
        // Responses has the shape of chat, too.
        let shape = if recording == Recording::OpenAiResponses { Recording::OpenAiChat } else { recording };
        assert!(is_error(shape, &error), "{error:?}");
    }
    assert_eq!(mock.count(), ALL.len());
}

#[test]
fn a_retry_of_an_sdk_joins_a_running_and_a_completed_run_and_a_first_request_none() {
    let mock = Mock::start();
    let relay = Relay::start(&mock, "");
    let (recording, gate) = (Recording::OpenAiChat, Gate::closed());
    let frames = recording.frames();
    mock.usually(
        "/v1/chat/completions",
        recording.opened().send_each(&frames[..3]).wait_for(&gate).send_each(&frames[3..]),
    );
    let first = relay.ask(recording, &[("x-stainless-retry-count", "0")]);
    let run = run_of(&first);
    drop(first);
    let mut retried = relay.ask(recording, &[("x-stainless-retry-count", "1")]);
    assert_eq!(run_of(&retried), run);
    gate.open();
    let running = rest(&mut retried).text;
    assert_eq!(without_ids(&raw(recording, &running)), recorded(recording));
    let mut completed = relay.ask(recording, &[("x-stainless-retry-count", "2")]);
    assert_eq!((run_of(&completed), rest(&mut completed).text), (run.clone(), running));
    assert_eq!(mock.count(), 1);
    for count in [None, Some(("x-stainless-retry-count", "0"))] {
        let mut another = relay.ask(recording, &count.into_iter().collect::<Vec<_>>());
        assert_ne!(run_of(&another), run);
        rest(&mut another);
    }
    assert_eq!(mock.count(), 3);
}

#[test]
fn a_post_with_a_last_event_id_gets_what_it_missed() {
    let mock = Mock::start();
    let relay = Relay::start(&mock, "");
    for (recording, calls) in [(Recording::OpenAiChat, 1), (Recording::OpenAiResponses, 2), (Recording::Anthropic, 3)] {
        mock.usually(&recording.paths(true).pop().unwrap(), recording.streamed());
        let all = raw(recording, &post(&relay, recording, &[], &request(recording)).text());
        for (at, frame) in all.iter().enumerate() {
            let id = frame.id.as_deref().unwrap();
            let missed = post(&relay, recording, &[("last-event-id", id)], &request(recording));
            assert_eq!(missed.status, 200);
            assert_eq!(raw(recording, &missed.text()), all[at + 1..], "after {at}");
        }
        // Of another run: the second answer would be mixed with the first one.
        let mut other = request(recording);
        other["user"] = "u".into();
        let id = all[0].id.clone().unwrap();
        for (id, body) in [(&*id, &other), ("nonsense", &request(recording)), ("abcd-1", &request(recording))] {
            let refused = post(&relay, recording, &[("last-event-id", id)], body);
            assert_eq!(refused.status, 410, "{id}: {}", refused.text());
            assert_eq!(refused.headers.get("x-should-retry"), Some("false"));
        }
        assert_eq!(mock.count(), calls, "{recording:?}");
    }
}

/// What fetch-event-source does with `POST /runs`.
#[test]
fn a_post_of_runs_with_a_last_event_id_gets_the_rest_in_its_format() {
    let mock = Mock::start();
    let relay = Relay::start(&mock, "");
    let recording = Recording::Anthropic;
    mock.usually("/v1/messages", recording.streamed());
    let accept = ("accept", "text/event-stream");
    let all = sse(&relay.begin(recording, &json!({}), &[accept]).text());
    assert_eq!((all[0].name.as_str(), all.last().unwrap().name.as_str()), ("run.started", "run.ended"));
    let mut checked = 0;
    for (at, id) in all.iter().enumerate().filter_map(|(at, event)| Some((at, event.id.as_deref()?))) {
        let missed = relay.begin(recording, &json!({}), &[accept, ("last-event-id", id)]);
        assert_eq!((missed.status, sse(&missed.text())), (200, all[at + 1..].to_vec()), "after {at}");
        checked += 1;
    }
    assert!(checked > 5, "{all:?}");
    assert_eq!(mock.count(), 1);
}

/// A generation without streaming, as each dialect asks for it.
fn whole_request(recording: Recording) -> (String, Value) {
    let mut body = request(recording);
    match recording {
        Recording::Gemini => {}
        Recording::Ollama => body["stream"] = false.into(),
        _ => drop(body.as_object_mut().unwrap().remove("stream")),
    }
    let path = recording.paths(false).pop().unwrap();
    (format!("/relay/{}{path}", provider(recording)), body)
}

#[test]
fn an_answer_without_a_stream_is_given_once_for_a_key_also_after_a_restart() {
    let mock = Mock::start();
    let mut relay = Relay::start(&mock, "");
    let ask = |relay: &Relay, recording: Recording, key: Option<&str>| {
        let (target, body) = whole_request(recording);
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(key.map(|key| ("idempotency-key", key)));
        let answer = wire::request(relay.hub.address, "POST", &target, &headers, body.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json(), recording.whole_answer());
        assert_eq!(answer.headers.get("content-type"), Some("application/json"), "{recording:?}");
        answer.body
    };
    let mut first = Vec::new();
    for recording in ALL {
        let (gate, key) = (Gate::closed(), key(recording));
        let path = recording.paths(false).pop().unwrap();
        mock.usually(&path, Script::new().wait_for(&gate).then(recording.whole()));
        let before = mock.count();
        let answers = fifty(&relay, &gate, || {
            let body = ask(&relay, recording, Some(&key));
            Answer { status: 200, headers: wire::Headers::default(), body }
        });
        assert_eq!(mock.count(), before + 1, "{recording:?}");
        for answer in &answers {
            assert_eq!(answer.body, answers[0].body, "{recording:?}");
        }
        first.push(answers[0].body.clone());
        ask(&relay, recording, Some(&format!("another {key}")));
        ask(&relay, recording, None);
        ask(&relay, recording, None);
        assert_eq!(mock.count(), before + 4, "{recording:?}");
        mock.next(&path, Script::json(500, "{}"));
    }
    relay.hub.kill();
    let relay = relay.again();
    for (recording, first) in ALL.into_iter().zip(first) {
        assert_eq!(ask(&relay, recording, Some(&key(recording))), first, "{recording:?}");
    }
    assert_eq!(mock.count(), 4 * ALL.len());
}
