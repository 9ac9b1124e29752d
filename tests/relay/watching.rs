//! Who watches a run: what happens to it when nobody does, and that all who do see the same.

use std::{
    io::Write,
    net::Shutdown,
    thread,
    time::{Duration, Instant},
};

use crate::{
    facts::begun,
    hub::Relay,
    mock::{Gate, Mock, Script},
    recordings::Recording,
    running::{ALL, Frame, at_once, ms, number, raw, recorded, request, rest, run_of, sse, without_ids},
    support::{
        eventually,
        wire::{self, EventStream, Incoming},
    },
};

const CHAT: &str = "/v1/chat/completions";

/// A client that goes away.
fn leave(incoming: &Incoming) -> Instant {
    incoming.socket().shutdown(Shutdown::Both).unwrap();
    Instant::now()
}

/// A hub that stops runs that nobody watches. It sends nothing to a silent stream for a long time.
fn watched(mock: &Mock, on_disconnect: &str) -> Relay {
    let provider = format!("on_disconnect = \"{on_disconnect}\"\n");
    Relay::start_with(mock, &provider, "", &["--stream-keepalive", "10m"])
}

/// How a run has ended.
fn ended(relay: &Relay, run: &str) -> String {
    relay.ended(run)["status"].as_str().unwrap().into()
}

#[test]
fn with_cancel_a_silent_provider_is_closed_when_the_only_client_leaves() {
    let mock = Mock::start();
    let relay = watched(&mock, "cancel");
    let mut times = Vec::new();
    for (number, recording) in ALL.into_iter().enumerate() {
        mock.usually(&recording.paths(true).pop().unwrap(), begun(recording).silence());
        let mut client = relay.ask(recording, &[]);
        let run = run_of(&client);
        client.until(if recording == Recording::Ollama { "\n" } else { "\n\n" });
        let left = leave(&client);
        times.push(ms(mock.closed(number) - left));
        assert_eq!(ended(&relay, &run), "abandoned");
        assert_eq!(relay.ending(&run)["error"]["code"], "abandoned");
    }
    println!("cancel: closed after {}", times.join(", "));
}

#[test]
fn with_cancel_a_provider_is_closed_when_the_only_client_leaves_before_its_head() {
    let mock = Mock::start();
    let relay = watched(&mock, "cancel");
    mock.usually(CHAT, Script::new().silence());
    mock.usually("/v1/models", Script::new().silence());
    let body = request(Recording::OpenAiChat).to_string();
    let head = "host: localhost\r\ncontent-type: application/json\r\n";
    let length = body.len();
    let requests = [
        format!("POST /relay/openai{CHAT} HTTP/1.1\r\n{head}content-length: {length}\r\n\r\n{body}"),
        // Of what is no run, the provider has no other client.
        format!("GET /relay/openai/v1/models HTTP/1.1\r\n{head}\r\n"),
    ];
    for (number, request) in requests.iter().enumerate() {
        let socket = wire::send(relay.hub.address, request.as_bytes());
        mock.request(number);
        let left = Instant::now();
        drop(socket);
        println!("before the head: closed after {}", ms(mock.closed(number) - left));
    }
    let abandoned = || relay.hub.get("/runs?status=abandoned").json()["runs"].as_array().unwrap().len();
    eventually("it has ended", || abandoned() == 1);
}

#[test]
fn a_client_that_sends_its_next_request_ahead_has_not_left() {
    let mock = Mock::start();
    let relay = watched(&mock, "cancel");
    let gate = Gate::closed();
    mock.usually(CHAT, Recording::OpenAiChat.opened().wait_for(&gate).send("data: [DONE]\n\n"));
    let body = request(Recording::OpenAiChat).to_string();
    let head = "host: localhost\r\ncontent-type: application/json\r\n";
    let first = format!("POST /relay/openai{CHAT} HTTP/1.1\r\n{head}content-length: {}\r\n\r\n{body}", body.len());
    let second = format!("GET /runs HTTP/1.1\r\n{head}connection: close\r\n\r\n");
    let mut socket = wire::send(relay.hub.address, first.as_bytes());
    mock.request(0);
    socket.write_all(second.as_bytes()).unwrap();
    thread::sleep(Duration::from_millis(300));
    gate.open();
    let answers = String::from_utf8(wire::drained(&socket)).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");
    assert!(answers.contains("[DONE]") && answers.contains("{\"runs\":[{"), "{answers}");
    let runs = relay.hub.get("/runs").json();
    assert_eq!(ended(&relay, runs["runs"][0]["run"].as_str().unwrap()), "completed");
}

#[test]
fn with_cancel_a_run_in_the_background_waits_for_its_first_viewer() {
    let mock = Mock::start();
    let relay = watched(&mock, "continue");
    mock.usually(CHAT, begun(Recording::OpenAiChat).silence());
    let run = relay.begun(Recording::OpenAiChat, &serde_json::json!({ "on_disconnect": "cancel" }));
    thread::sleep(Duration::from_millis(800));
    assert_eq!(relay.run(&run)["status"], "running");
    let mut viewer = relay.read(&run, "format=raw");
    viewer.until("\n\n");
    thread::sleep(Duration::from_millis(300));
    leave(&viewer);
    assert_eq!(ended(&relay, &run), "abandoned");
}

#[test]
fn a_run_that_nobody_watches_is_stopped_after_its_time_and_any_reader_of_its_events_watches() {
    let mock = Mock::start();
    let relay = watched(&mock, "1s");
    mock.usually(CHAT, begun(Recording::OpenAiChat).silence());
    let asked = |number: usize| {
        let client = relay.ask(Recording::OpenAiChat, &[]);
        mock.request(number);
        client
    };
    // An EventSource on the topic, one on a pattern, and a reader of a format.
    let run = run_of(&asked(0));
    let topics = [format!("runs/{run}"), "runs/*".into()];
    let watchers: Vec<EventStream> = topics.iter().map(|topic| relay.hub.watch(&format!("topic={topic}"))).collect();
    for watcher in watchers {
        thread::sleep(Duration::from_millis(1500));
        assert_eq!(relay.run(&run)["status"], "running");
        let reader = relay.read(&run, "format=text");
        leave(&watcher.incoming);
        drop(reader);
    }
    // Nothing stands between what `text` says.
    let reader = relay.read(&run, "format=text");
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(relay.run(&run)["status"], "running");
    let left = leave(&reader);
    let took = mock.closed(0) - left;
    println!("1s: closed after {}", ms(took));
    assert!(took > Duration::from_millis(900), "{took:?}");
    assert_eq!(ended(&relay, &run), "abandoned");
}

#[test]
fn with_continue_a_run_goes_on_without_its_client() {
    let mock = Mock::start();
    let relay = watched(&mock, "continue");
    let (recording, gate) = (Recording::OpenAiChat, Gate::closed());
    let frames = recording.frames();
    mock.usually(CHAT, recording.opened().send_each(&frames[..3]).wait_for(&gate).send_each(&frames[3..]));
    let mut client = relay.ask(recording, &[]);
    let run = run_of(&client);
    client.until("\n\n");
    leave(&client);
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(mock.exchanges()[0].closed, None);
    gate.open();
    assert_eq!(ended(&relay, &run), "completed");
    let mut again = relay.read(&run, "format=raw");
    assert_eq!(without_ids(&raw(recording, &rest(&mut again).text)), recorded(recording));
}

/// Numbers that only look random, so that a seed repeats them.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Frames of the long answer, a few milliseconds apart.
const FRAMES: u64 = 150;
const APART: Duration = Duration::from_millis(8);

/// How a viewer reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    Raw,
    Events,
    EventSource,
}

/// A viewer that joins when `starts` says, leaves after each of `leaves` and comes back with its last id.
fn view(relay: &Relay, run: &str, view: View, mut numbers: Numbers) -> Vec<Frame> {
    thread::sleep(Duration::from_millis(numbers.below(1200)));
    let (mut seen, mut last): (Vec<Frame>, Option<String>) = (Vec::new(), None);
    let over = |seen: &[Frame]| match view {
        View::Raw => seen.last().is_some_and(|frame| frame.data == "[DONE]"),
        View::Events | View::EventSource => seen.last().is_some_and(|frame| frame.name == "run.ended"),
    };
    while !over(&seen) {
        let mut incoming = match view {
            View::Raw => relay.read_after(run, "format=raw", last.as_deref()),
            View::Events => relay.read_after(run, "format=events", last.as_deref()),
            View::EventSource => {
                let from = if last.is_none() { "&from=earliest" } else { "" };
                wire::try_watch(relay.hub.address, &format!("topic=runs/{run}{from}"), last.as_deref())
                    .unwrap()
                    .incoming
            }
        };
        assert_eq!(incoming.status, 200);
        // Whole blocks only: what a client has of a block that was cut is nothing to it.
        let mut stay = 1 + numbers.below(120);
        while stay > 0 && !over(&seen) {
            let block = incoming.until("\n\n");
            stay -= 1;
            for frame in sse(&block).into_iter().filter(|frame| !frame.name.starts_with("hub.")) {
                last = frame.id.clone().or(last);
                seen.push(frame);
            }
        }
    }
    seen
}

#[test]
fn a_hundred_viewers_that_come_and_go_see_the_same_of_one_request_to_the_provider() {
    let random_seed = number("GAPLESS_SEED", 7);
    println!("GAPLESS_SEED={random_seed}");
    let mock = Mock::start();
    let relay = Relay::start(&mock, "");
    let chunk = |n: u64| {
        format!(
            "data: {{\"id\":\"c\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"天{n} \"}},\"finish_reason\":null}}]}}\n\n"
        )
    };
    let script = (0..FRAMES).fold(Recording::OpenAiChat.opened(), |script, n| script.send(chunk(n)).pause(APART));
    let end =
        "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    mock.usually(CHAT, script.send(end));
    let run = relay.begun(Recording::OpenAiChat, &serde_json::json!({}));
    let viewers: Vec<u64> = (0..100).collect();
    let seen = at_once(100, viewers, |viewer| {
        let how = [View::Raw, View::Events, View::EventSource][usize::try_from(viewer % 3).unwrap()];
        (how, view(&relay, &run, how, Numbers(random_seed.wrapping_add(viewer.wrapping_mul(0x9e37_79b9_7f4a_7c15)))))
    });
    assert_eq!(mock.count(), 1);
    for how in [View::Raw, View::Events, View::EventSource] {
        let mut of = seen.iter().filter(|(view, _)| *view == how).map(|(_, seen)| seen);
        let first = of.next().unwrap();
        let frames = usize::try_from(FRAMES).unwrap();
        let least = if how == View::EventSource { frames + 4 } else { frames + 2 };
        assert!(first.len() >= least.min(frames + 2), "{how:?}: {}", first.len());
        for other in of {
            assert_eq!(other, first, "{how:?}");
        }
    }
    let told: String = (0..FRAMES).map(|n| format!("天{n} ")).collect::<Vec<_>>().concat();
    assert_eq!(rest(&mut relay.read(&run, "format=text")).text, told);
}
