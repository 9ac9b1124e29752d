//! Clients that resume by themselves, before a hub: each has its connection cut in mid-answer, and the whole answer once.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
};

use serde_json::{Value, json};

use crate::{
    hub::Relay,
    mock::Mock,
    recordings::Recording,
    running::request,
    sdks::{Runner, Seen},
};

const RECORDING: Recording = Recording::OpenAiChat;
const EVENTS: [&str; 6] = ["run.started", "delta", "reasoning", "tool", "usage", "run.ended"];

/// The end of the third event with an id, if it has come.
fn third_event(text: &[u8]) -> Option<usize> {
    let ids = memchr::memmem::find_iter(text, b"\nid: ").nth(2)?;
    Some(ids + memchr::memmem::find(&text[ids..], b"\n\n")? + 2)
}

/// A proxy before the hub. It cuts one response after its third event, and passes on everything else.
fn cutting(hub: SocketAddr) -> (SocketAddr, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, cut) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
    let has_cut = Arc::clone(&cut);
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, cut) = (client.unwrap(), Arc::clone(&has_cut));
            let server = TcpStream::connect(hub).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut from, &mut to));
            thread::spawn(move || pass_on(server, client, &cut));
        }
    });
    (address, cut)
}

fn pass_on(mut server: TcpStream, mut client: TcpStream, cut: &AtomicBool) {
    let (mut seen, mut passed, mut buffer) = (Vec::new(), 0, [0; 4096]);
    while let Ok(length @ 1..) = server.read(&mut buffer) {
        seen.extend_from_slice(&buffer[..length]);
        let end = third_event(&seen).filter(|_| !cut.load(SeqCst));
        let until = end.unwrap_or(seen.len());
        if client.write_all(&seen[passed.min(until)..until]).is_err() {
            break;
        }
        passed = until;
        if end.is_some() {
            cut.store(true, SeqCst);
            break;
        }
    }
    // Either may have hung up before.
    let _gone = client.shutdown(Shutdown::Both);
    let _gone = server.shutdown(Shutdown::Both);
}

/// A client before a hub whose provider answers with the recording. `path` is where it begins: of a new run, or of one
/// that was begun before.
fn sees_all_of_it(script: &'static str, call: &'static str, job: impl Fn(&Relay, String) -> Value) {
    let mock = Mock::start();
    mock.usually("/v1/chat/completions", RECORDING.streamed());
    let relay = Relay::start(&mock, "");
    let (proxy, cut) = cutting(relay.hub.address);
    let mut job = job(&relay, format!("http://{proxy}"));
    (job["call"], job["token"], job["events"]) = (call.into(), "t".into(), EVENTS.as_slice().into());
    let seen: Seen = Runner::start_script(call, script).run(&job);
    assert_eq!(seen.error, None, "{call}");
    assert!(cut.load(SeqCst), "{call}: nothing was cut");
    let ids: Vec<&str> = seen.chunks.iter().filter_map(|chunk| chunk["id"].as_str()).collect();
    let numbers: Vec<u64> = ids.iter().filter_map(|id| id.rsplit_once('-')?.1.parse().ok()).collect();
    assert!(numbers.len() > 3 && numbers.is_sorted_by(|a, b| a < b), "{call}: each event once: {ids:?}");
    let data = |chunk: &Value| serde_json::from_str::<Value>(chunk["data"].as_str().unwrap()).unwrap();
    let texts = seen.chunks.iter().filter(|chunk| chunk["event"] == "delta").map(data);
    let text: String = texts.map(|delta| delta["text"].as_str().unwrap().to_owned()).collect();
    assert_eq!(text, RECORDING.told().text, "{call}");
    let last = seen.chunks.last().unwrap();
    assert_eq!((&last["event"], &data(last)["status"]), (&json!("run.ended"), &json!("completed")), "{call}");
    assert_eq!(mock.count(), 1, "{call}: the provider was asked once");
}

fn new_run() -> Value {
    json!({ "provider": "openai", "request": request(RECORDING) })
}

#[test]
fn fetch_event_source_posts_again_and_joins_its_run() {
    sees_all_of_it(
        "resume.mjs",
        "fetch_event_source",
        |_, root| json!({ "base_url": format!("{root}/runs"), "body": new_run() }),
    );
}

#[test]
fn eventsource_reconnects_to_its_run_and_stops_at_its_end() {
    sees_all_of_it("resume.mjs", "eventsource", |relay, root| {
        let run = relay.begun(RECORDING, &json!({}));
        json!({ "base_url": format!("{root}/runs/{run}/events") })
    });
}

#[test]
fn httpx_sse_reads_on_after_its_last_id() {
    sees_all_of_it("resume.py", "httpx_sse", |relay, root| {
        let run = relay.begun(RECORDING, &json!({}));
        json!({ "base_url": format!("{root}/runs/{run}/events") })
    });
}

#[test]
fn langgraphs_client_reads_on_at_the_location_of_its_run() {
    sees_all_of_it("resume.py", "langgraph", |_, root| json!({ "base_url": root, "path": "/runs", "body": new_run() }));
}
