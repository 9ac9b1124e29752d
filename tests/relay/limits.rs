//! Every bound of a run, and what a client is told beyond it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    facts::begun,
    hub::Relay,
    mock::{Mock, Script},
    recordings::Recording,
    running::{ALL, Frame, is_error, raw, recorded, request, rest, run_of, without_ids},
    support::{tokens, wire::Incoming},
};

const ANN: (&str, &str) = ("authorization", "Bearer ann-token");
const BOB: (&str, &str) = ("authorization", "Bearer bob-token");
const EVERYTHING: &str = r#"publish = ["**"], subscribe = ["**"], relay = ["openai", "anthropic", "gemini", "ollama"]"#;

/// A hub with two holders that may do everything, and these limits.
fn limited(mock: &Mock, limits: &str) -> Relay {
    let tokens = tokens(&[("ann", EVERYTHING), ("bob", EVERYTHING)]);
    Relay::start_with(mock, "", &format!("[access]\ntokens = {tokens}\n{limits}\n"), &[])
}

fn answer_all(mock: &Mock, script: impl Fn(Recording) -> Script) {
    for recording in ALL {
        for path in recording.paths(true) {
            mock.usually(&path, script(recording));
        }
    }
}

/// Fails unless the answer is a refusal in the dialect's shape.
fn assert_refused(recording: Recording, answer: &mut Incoming, status: u16) {
    let text = rest(answer).text;
    assert_eq!(answer.status, status, "{recording:?}: {text}");
    let shape = if recording == Recording::OpenAiResponses { Recording::OpenAiChat } else { recording };
    let frame = Frame { name: "error".into(), data: text, id: None };
    assert!(is_error(shape, &frame), "{recording:?}: {frame:?}");
    if status == 429 {
        let after: u64 = answer.headers.get("retry-after").expect("retry-after").parse().unwrap();
        assert!(after > 0);
    } else {
        assert_eq!(answer.headers.get("x-should-retry"), Some("false"), "{recording:?}: {status}");
    }
}

#[test]
fn a_holder_has_so_many_runs_at_once_and_others_are_not_concerned() {
    let mock = Mock::start();
    let relay = limited(&mock, "[limits]\nholder_runs = 2");
    answer_all(&mock, |recording| begun(recording).silence());
    let (first, _second) = (relay.ask(Recording::Ollama, &[ANN]), relay.ask(Recording::Anthropic, &[ANN]));
    for recording in ALL {
        assert_refused(recording, &mut relay.ask(recording, &[ANN]), 429);
    }
    assert_eq!(relay.begin(Recording::Ollama, &json!({}), &[ANN]).status, 429);
    assert_eq!(relay.ask(Recording::Ollama, &[BOB]).status, 200);
    assert_eq!(relay.stop(&run_of(&first), "", &[ANN]).status, 200);
    assert_eq!(relay.ask(Recording::Ollama, &[ANN]).status, 200, "one has ended");
    assert_eq!(mock.count(), 4, "a refused request costs nothing");
}

#[test]
fn a_holder_begins_so_many_runs_a_minute_and_joining_one_is_free() {
    let mock = Mock::start();
    let relay = limited(&mock, "[limits]\nholder_runs_per_minute = 3");
    answer_all(&mock, Recording::streamed);
    let key = ("idempotency-key", "k");
    for _ in 0..10 {
        assert_eq!(relay.ask(Recording::OpenAiChat, &[ANN, key]).status, 200);
    }
    for _ in 0..2 {
        assert_eq!(relay.ask(Recording::Ollama, &[ANN]).status, 200);
    }
    for recording in ALL {
        assert_refused(recording, &mut relay.ask(recording, &[ANN]), 429);
    }
    assert_eq!(relay.ask(Recording::OpenAiChat, &[ANN, key]).status, 200);
    assert_eq!(relay.ask(Recording::Ollama, &[BOB]).status, 200);
    assert_eq!(mock.count(), 4);
}

#[test]
fn a_holder_that_has_used_its_tokens_waits() {
    let mock = Mock::start();
    let relay = limited(&mock, "[limits]\nholder_tokens_per_day = 60");
    answer_all(&mock, Recording::streamed);
    // The first may exceed what is left: nobody knows its tokens before it has ended.
    let mut first = relay.ask(Recording::OpenAiChat, &[ANN]);
    let run = run_of(&first);
    rest(&mut first);
    let (_, output) = Recording::OpenAiChat.told().tokens;
    assert_eq!(get(&relay, &format!("/runs/{run}"))["usage"]["output"], output);
    for recording in ALL {
        assert_refused(recording, &mut relay.ask(recording, &[ANN]), 429);
    }
    assert_eq!(relay.ask(Recording::Ollama, &[BOB]).status, 200);
}

fn get(relay: &Relay, target: &str) -> Value {
    crate::support::wire::request(relay.hub.address, "GET", target, &[ANN], b"").json()
}

#[test]
fn the_hub_has_so_many_runs_at_once() {
    let mock = Mock::start();
    let relay = limited(&mock, "[relay]\nruns = 2");
    answer_all(&mock, |recording| begun(recording).silence());
    let (first, _second) = (relay.ask(Recording::Ollama, &[ANN]), relay.ask(Recording::Ollama, &[BOB]));
    for recording in ALL {
        assert_refused(recording, &mut relay.ask(recording, &[ANN]), 429);
    }
    assert_eq!(relay.begin(Recording::Ollama, &json!({}), &[BOB]).status, 429);
    relay.stop(&run_of(&first), "", &[ANN]);
    assert_eq!(relay.ask(Recording::Ollama, &[BOB]).status, 200);
    assert_eq!(mock.count(), 3);
}

#[test]
fn a_model_that_is_not_configured_or_not_granted_is_403() {
    let mock = Mock::start();
    let some = r#"publish = ["**"], subscribe = ["**"], relay = ["openai/gpt-5*", "ollama"]"#;
    let none = r#"publish = ["**"], subscribe = ["**"]"#;
    let tokens = tokens(&[("ann", some), ("bob", none)]);
    let models = "models = [\"gpt-5-mini\", \"gpt-4*\", \"claude-*\", \"gemini-*\", \"qwen3\"]\n";
    let relay = Relay::start_with(&mock, models, &format!("[access]\ntokens = {tokens}\n"), &[]);
    answer_all(&mock, Recording::streamed);
    let asked = |recording: Recording, model: &str, who| {
        let mut body = request(recording);
        if recording != Recording::Gemini {
            body["model"] = model.into();
        }
        relay.ask_for(recording, &[who], &body)
    };
    assert_eq!(asked(Recording::OpenAiChat, "gpt-5-mini", ANN).status, 200);
    assert_eq!(asked(Recording::Ollama, "qwen3", ANN).status, 200);
    let asked_once = mock.count();
    // Granted, and not configured; configured, and not granted.
    for (recording, model) in [
        (Recording::OpenAiChat, "gpt-5-nano"),
        (Recording::OpenAiChat, "gpt-4o"),
        (Recording::OpenAiResponses, "gpt-4o"),
        (Recording::Anthropic, "claude-sonnet-4-5"),
        (Recording::Gemini, ""),
        (Recording::Ollama, "llama3"),
    ] {
        assert_refused(recording, &mut asked(recording, model, ANN), 403);
    }
    for recording in ALL {
        assert_refused(recording, &mut asked(recording, "gpt-5-mini", BOB), 403);
        assert_eq!(relay.begin(recording, &json!({}), &[BOB]).status, 403);
    }
    assert_eq!(mock.count(), asked_once);
}

#[test]
fn a_model_that_is_named_twice_is_refused() {
    let mock = Mock::start();
    let relay = Relay::start(&mock, "models = [\"gpt-5-mini\"]\n");
    answer_all(&mock, Recording::streamed);
    let body = r#"{"model":"gpt-5-mini","messages":[],"stream":true,"model":"gpt-5-pro"}"#;
    let answer = relay.hub.post("/relay/openai/v1/chat/completions", &[], body.as_bytes());
    assert_eq!((answer.status, mock.count()), (400, 0), "{}", answer.text());
    let body = r#"{"provider":"openai","request":{"model":"gpt-5-mini","messages":[],"m\u006fdel":"gpt-5-pro"}}"#;
    let answer = relay.hub.post("/runs", &[], body.as_bytes());
    assert_eq!((answer.status, mock.count()), (400, 0), "{}", answer.text());
}

#[test]
fn a_request_that_is_too_large_is_413() {
    let mock = Mock::start();
    let relay = Relay::start_with(&mock, "", "[relay]\nrequest_bytes = \"1KiB\"\n", &[]);
    for recording in ALL {
        let mut body = request(recording);
        body["user"] = "x".repeat(1024).into();
        let mut answer = relay.ask_for(recording, &[], &body);
        assert_refused(recording, &mut answer, 413);
    }
    assert_eq!(mock.count(), 0);
}

/// What a client of a run that ended badly gets: the beginning, and one error.
fn assert_failed(relay: &Relay, recording: Recording, answer: &mut Incoming, status: &str, code: &str) -> usize {
    let run = run_of(answer);
    let seen = rest(answer);
    let frames = without_ids(&raw(recording, &seen.text));
    let (last, said) = frames.split_last().unwrap();
    assert!(!seen.is_broken && is_error(recording, last), "{recording:?}: {seen:?}");
    let ending = relay.ending(&run);
    assert_eq!((&ending["status"], &ending["error"]["code"]), (&json!(status), &json!(code)), "{recording:?}");
    said.len()
}

#[test]
fn an_event_or_an_answer_that_is_too_large_fails_the_run_and_closes_the_provider() {
    let mock = Mock::start();
    let relay = Relay::start_with(&mock, "", "[relay]\nevent_bytes = \"1KiB\"\nanswer_bytes = \"2KiB\"\n", &[]);
    for (number, recording) in ALL.into_iter().enumerate() {
        let first = recording.frames().remove(0);
        // Without an end: what is held of it must be bounded before it has one.
        let large = format!("data: {{\"x\":\"{}", "x".repeat(2000));
        answer_all(&mock, |_| recording.opened().send(&first).send(large.trim_start_matches("data: ")).silence());
        if recording != Recording::Ollama {
            answer_all(&mock, |_| recording.opened().send(&first).send(&large).silence());
        }
        let mut answer = relay.ask(recording, &[]);
        assert_failed(&relay, recording, &mut answer, "failed", "event_too_large");
        mock.closed(2 * number);

        let frame = if recording == Recording::Ollama { "{\"x\":1}\n" } else { "data: {\"x\":1}\n\n" };
        answer_all(&mock, |_| (0..400).fold(recording.opened(), |script, _| script.send(frame)).silence());
        let mut answer = relay.ask(recording, &[]);
        let frames = assert_failed(&relay, recording, &mut answer, "failed", "answer_too_large");
        assert!((100..400).contains(&frames), "{recording:?}: {frames}");
        mock.closed(2 * number + 1);
    }
}

type Scripted = fn(Recording) -> Script;
/// Whether so many frames of so many are right.
type Expected = fn(usize, usize) -> bool;

#[test]
fn a_provider_that_is_silent_or_never_ends_times_out() {
    let mock = Mock::start();
    let times = "[relay]\nfirst_byte_timeout = \"1s\"\nsilence_timeout = \"1s\"\nrun_timeout = \"3s\"\n";
    let relay = Relay::start_with(&mock, "", times, &[]);
    let endless = |recording: Recording| {
        let frame = if recording == Recording::Ollama { "{\"x\":1}\n" } else { "data: {\"x\":1}\n\n" };
        let pause = Duration::from_millis(400);
        (0..50).fold(recording.opened(), |script, _| script.send(frame).pause(pause)).silence()
    };
    let scripts: [(Scripted, Expected); 4] = [
        (|_| Script::new().silence(), |_, frames| frames == 0),
        (|recording| recording.opened().silence(), |_, frames| frames == 0),
        (|recording| begun(recording).silence(), |all, frames| frames == all / 2),
        // Ended by its whole time, long before its provider stops.
        (endless, |_, frames| (4..30).contains(&frames)),
    ];
    for (script, expected) in scripts {
        let before = mock.count();
        answer_all(&mock, script);
        std::thread::scope(|scope| {
            for recording in ALL {
                let relay = &relay;
                scope.spawn(move || {
                    let mut answer = relay.ask(recording, &[]);
                    let frames = assert_failed(relay, recording, &mut answer, "timed_out", "timed_out");
                    assert!(expected(recorded(recording).len(), frames), "{recording:?}: {frames}");
                });
            }
        });
        for number in before..mock.count() {
            mock.closed(number);
        }
    }
}
