//! A run can be stopped from anywhere, before its first token and after: the provider's socket is closed, and the ending
//! says who did it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    facts::begun,
    hub::Relay,
    mock::{Gate, Mock, Script},
    recordings::Recording,
    running::{ALL, is_error, ms, raw, recorded, rest, run_of, without_ids},
    support::{eventually, tokens},
};

const ANN: (&str, &str) = ("authorization", "Bearer ann-token");
const BOB: (&str, &str) = ("authorization", "Bearer bob-token");
const OPERATOR: (&str, &str) = ("authorization", "Bearer operator-token");

/// A hub with two holders that may do the same, and an operator.
fn with_holders(mock: &Mock) -> Relay {
    let all = r#"publish = ["**"], subscribe = ["**"], relay = ["openai", "anthropic", "gemini", "ollama"]"#;
    let tokens = tokens(&[("ann", all), ("bob", all), ("operator", r#"admin = true, subscribe = ["**"]"#)]);
    Relay::start_with(mock, "", &format!("[access]\ntokens = {tokens}\n"), &[])
}

fn get(relay: &Relay, target: &str) -> Value {
    crate::support::wire::request(relay.hub.address, "GET", target, &[ANN], b"").json()
}

/// A run of Ann's, in a topic of its own.
fn begin(relay: &Relay, recording: Recording) -> String {
    let answer = relay.begin(recording, &json!({}), &[ANN]);
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["run"].as_str().unwrap().into()
}

/// Generous: what it takes is printed, and this only tells it from a provider's own end.
const CLOSED_WITHIN: Duration = Duration::from_secs(5);

type Scripted = fn(Recording) -> Script;

#[test]
fn a_stop_closes_the_providers_socket_before_its_head_after_it_and_in_the_middle() {
    let mock = Mock::start();
    let relay = with_holders(&mock);
    let moments: [(&str, Scripted); 3] = [
        ("before the head", |_| Script::new().silence()),
        ("after the head", |recording| recording.opened().silence()),
        ("in the middle", |recording| begun(recording).silence()),
    ];
    let mut number = 0;
    for (moment, script) in moments {
        let mut times = Vec::new();
        for recording in ALL {
            mock.usually(&recording.paths(true).pop().unwrap(), script(recording));
            let run = begin(&relay, recording);
            mock.request(number);
            if moment == "in the middle" {
                let half = recorded(recording).len() / 2;
                // As many as have come when it is stopped must stay.
                eventually("half is here", || relay_log(&relay, &run).len() > half);
            }
            let asked = Instant::now();
            let stopped = relay.stop(&run, "", &[ANN]);
            assert_eq!((stopped.status, &stopped.json()["status"]), (200, &json!("stopped")), "{}", stopped.text());
            times.push(mock.closed(number) - asked);
            number += 1;
            let ended = get(&relay, &format!("/runs/{run}"));
            assert_eq!((&ended["status"], &ended["by"]), (&json!("stopped"), &json!("ann")), "{ended}");
            // Whoever stops it again is told the same, and changes nothing.
            assert_eq!(relay.stop(&run, "", &[OPERATOR]).json(), stopped.json());
            let log = relay_log(&relay, &run);
            assert_eq!(log.iter().filter(|name| *name == "run.ended").count(), 1, "{log:?}");
            assert_eq!(get(&relay, &format!("/runs/{run}"))["by"], "ann");
        }
        println!("{moment}: closed after {}", times.iter().map(|&time| ms(time)).collect::<Vec<_>>().join(", "));
        assert!(times.iter().all(|&time| time < CLOSED_WITHIN), "{times:?}");
    }
}

/// The names of the events in a run's own topic.
fn relay_log(relay: &Relay, run: &str) -> Vec<String> {
    let headers = [ANN, ("accept", "application/json")];
    let target = format!("/events?topic=runs/{run}&from=earliest&limit=1000");
    let page = crate::support::wire::request(relay.hub.address, "GET", &target, &headers, b"").json();
    let name = |event: &Value| event["event"].as_str().unwrap_or_default().to_owned();
    page["events"].as_array().map(|events| events.iter().map(name).collect()).unwrap_or_default()
}

#[test]
fn a_viewer_of_a_stopped_run_gets_an_error_also_one_that_waits_for_the_first_token() {
    let mock = Mock::start();
    let relay = Relay::start(&mock, "");
    for recording in ALL {
        for silent in [true, false] {
            let script = if silent { Script::new().silence() } else { begun(recording).silence() };
            mock.usually(&recording.paths(true).pop().unwrap(), script);
            let number = mock.count();
            std::thread::scope(|scope| {
                let viewer = scope.spawn(|| {
                    let mut answer = relay.ask(recording, &[]);
                    (answer.status, rest(&mut answer))
                });
                mock.request(number);
                let running = || relay.hub.get("/runs?status=running").json()["runs"].as_array().unwrap().clone();
                eventually("it runs", || running().len() == 1);
                let run = running()[0]["run"].as_str().unwrap().to_owned();
                let half = if silent { 0 } else { recorded(recording).len() / 2 };
                eventually("half is here", || silent || relay.logged(&format!("runs/{run}")).len() > half);
                relay.stop(&run, "", &[]);
                let (status, body) = viewer.join().unwrap();
                assert!(status == 200 && !body.is_broken, "{recording:?}: {status}, {body:?}");
                let frames = without_ids(&raw(recording, &body.text));
                assert_eq!(frames[..half], recorded(recording)[..half], "{recording:?}");
                assert!(frames.len() == half + 1 && is_error(recording, &frames[half]), "{recording:?}: {frames:?}");
            });
        }
    }
}

#[test]
fn another_holder_may_not_stop_or_delete_a_run_and_an_operator_may() {
    let mock = Mock::start();
    let relay = with_holders(&mock);
    mock.usually("/v1/messages", begun(Recording::Anthropic).silence());
    let run = begin(&relay, Recording::Anthropic);
    mock.request(0);
    for query in ["", "?mode=drain"] {
        assert_eq!(relay.stop(&run, query, &[BOB]).status, 403);
        assert_eq!(relay.stop(&run, query, &[]).status, 401);
    }
    let delete = |who: (&str, &str)| {
        crate::support::wire::request(relay.hub.address, "DELETE", &format!("/runs/{run}"), &[who], b"").status
    };
    assert_eq!(delete(BOB), 403);
    assert_eq!(get(&relay, &format!("/runs/{run}"))["status"], "running");
    assert_eq!(relay.stop(&run, "", &[OPERATOR]).status, 200);
    mock.closed(0);
    let state = get(&relay, &format!("/runs/{run}"));
    assert_eq!((&state["status"], &state["by"]), (&json!("stopped"), &json!("operator")), "{state}");
    assert_eq!(delete(OPERATOR), 204);
}

#[test]
fn a_stop_with_drain_ends_the_viewers_streams_at_once_and_reads_the_counts() {
    let mock = Mock::start();
    let relay = Relay::start(&mock, "");
    for (number, recording) in ALL.into_iter().enumerate() {
        let (gate, frames, topic) = (Gate::closed(), recording.frames(), format!("chats/{number}"));
        let (before, after) = frames.split_at(frames.len() / 2);
        let script = recording.opened().send_each(before).wait_for(&gate).send_each(after);
        mock.usually(&recording.paths(true).pop().unwrap(), script);
        let mut viewer = relay.ask(recording, &[("gapless-topic", &topic)]);
        let run = run_of(&viewer);
        assert_eq!(relay.stop(&run, "?mode=drain", &[]).json()["status"], "running");
        let seen = rest(&mut viewer);
        let frames = without_ids(&raw(recording, &seen.text));
        let (last, said) = frames.split_last().unwrap();
        assert!(!seen.is_broken && is_error(recording, last), "{recording:?}: {seen:?}");
        assert_eq!(said, &recorded(recording)[..said.len()]);
        // One that comes later is not kept waiting.
        assert_eq!(raw(recording, &rest(&mut relay.read(&run, "format=raw")).text), raw(recording, &seen.text));
        let second = relay.begin(recording, &json!({ "topic": topic }), &[]);
        assert_eq!(second.status, 409, "{}", second.text());
        gate.open();
        let ended = relay.ended(&run);
        let told = recording.told();
        assert_eq!(ended["status"], "stopped", "{ended}");
        assert!(ended["usage"]["output"].as_u64().unwrap() >= told.tokens.1, "{recording:?}: {ended}");
        assert_eq!(ended["usage"]["source"], "upstream", "{recording:?}: the counts are the final ones");
        assert!(mock.exchanges().last().unwrap().closed.is_none(), "{recording:?} was read to its end");
        assert_eq!(relay.begin(recording, &json!({ "topic": topic }), &[]).status, 201, "the topic is free");
    }
}

#[test]
fn a_deleted_run_is_gone_with_its_topic() {
    let mock = Mock::start();
    let relay = Relay::start(&mock, "");
    mock.usually("/api/chat", begun(Recording::Ollama).silence());
    let mut viewer = relay.ask(Recording::Ollama, &[]);
    let run = run_of(&viewer);
    assert_eq!(relay.hub.request("DELETE", &format!("/runs/{run}"), b"").status, 204);
    mock.closed(0);
    let seen = rest(&mut viewer);
    let frames = raw(Recording::Ollama, &seen.text);
    assert!(seen.is_broken || frames.last().is_some_and(|frame| is_error(Recording::Ollama, frame)), "{seen:?}");
    for target in ["", "/events", "/events?format=raw"] {
        assert_eq!(relay.hub.get(&format!("/runs/{run}{target}")).status, 404, "{target}");
    }
    assert_eq!(relay.stop(&run, "", &[]).status, 404);
    assert_eq!(relay.logged(&format!("runs/{run}")), []);
    assert_eq!(relay.hub.get("/runs").json()["runs"], json!([]));
    assert_eq!(relay.hub.request("DELETE", &format!("/runs/{run}"), b"").status, 404);
}

#[test]
fn a_run_that_is_deleted_from_a_shared_topic_leaves_the_others_and_a_notice() {
    let mock = Mock::start();
    let mut relay = Relay::start(&mock, "");
    let recording = Recording::Anthropic;
    mock.usually("/v1/messages", recording.streamed());
    let run = || {
        let mut answer = relay.ask(recording, &[("gapless-topic", "chats/42")]);
        let run = run_of(&answer);
        assert_eq!(without_ids(&raw(recording, &rest(&mut answer).text)), recorded(recording));
        run
    };
    let (first, published, second) = (run(), relay.hub.publish("chats/42", "a note"), run());
    let log = relay.logged("chats/42");
    let middle = log[4].id.clone().unwrap();
    assert_eq!(relay.hub.request("DELETE", &format!("/runs/{first}"), b"").status, 204);

    for restarted in [false, true] {
        if restarted {
            relay.hub.kill();
            relay = relay.again();
        }
        assert_eq!(relay.hub.get(&format!("/runs/{first}")).status, 404);
        let left = relay.logged("chats/42");
        let content: Vec<_> = left.iter().filter(|event| !event.name.starts_with("hub.")).collect();
        assert_eq!(content.len(), 1 + recorded(recording).len() + 2, "the note, and the second run: {left:?}");
        assert_eq!(content[0].id.as_ref(), Some(&published));
        // Whoever has read half of it is told that the rest is gone.
        let mut resumed = relay.hub.resume("topic=chats/42", &middle);
        let mut told = Vec::new();
        while let Some(message) = resumed.next() {
            if message.id.as_ref() == Some(&published) {
                break;
            }
            told.push(message.event);
        }
        assert!(!told.is_empty() && told.iter().all(|name| name.starts_with("hub.")), "{told:?}");
        let text = rest(&mut relay.read(&second, "format=text"));
        assert_eq!((text.text, text.is_broken), (recording.told().text, false));
    }
    assert_eq!(mock.count(), 2);
}
