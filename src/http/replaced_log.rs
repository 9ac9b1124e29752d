//! A log that is replaced by another one under a serving core: what its clients are told, over real sockets.

use std::{sync::Arc, time::Duration};

use tokio::runtime::{Builder, Runtime};

use super::{
    api::state::AppState,
    served_core::{Client, PATIENCE, serve_on_a_core},
    testing::{app_of, limits},
};
use crate::{
    engine::{Append, memory::MemoryStore},
    event::{NewEvent, TopicName},
    hub::{Hub, HubConfig, broker::Broker, testing::ReplaceableLog},
};

/// How long a long poll is seen to wait.
const MOMENT: Duration = Duration::from_millis(300);

fn append(data: &str) -> Append {
    let events = vec![NewEvent::new(TopicName::new("a").expect("valid"), data)];
    Append { events, expect: None, key: None }
}

fn publish(runtime: &Runtime, app: &AppState, data: &str) -> String {
    let receipt = runtime.block_on(app.hub.publish(append(data))).expect("published");
    format!("{}-{}", receipt[0].receipt.epoch, receipt[0].receipt.seq)
}

/// The last id of a stream, as an EventSource keeps it.
fn last_id(stream: &Client) -> &str {
    let line = stream.read.lines().rfind(|line| line.starts_with("id: ")).expect("an id");
    line.trim_start_matches("id: ")
}

#[test]
fn an_eventsource_is_told_that_the_log_was_replaced_and_goes_on_and_its_old_id_is_unknown_from_then_on() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let config = HubConfig::fixture();
    let broker = Broker::new(1, &config);
    let log = ReplaceableLog::new(MemoryStore::new(), Arc::clone(&broker));
    let app = app_of(Hub::new(Arc::clone(&log.engine) as _, broker, config), limits());
    let (address, core) = serve_on_a_core(&app);
    let eventsource = |id: &str| {
        let id = if id.is_empty() { String::new() } else { format!("last-event-id: {id}\r\n") };
        let headers = format!("accept: text/event-stream\r\n{id}");
        Client::send(address, "GET /events?topic=a HTTP/1.1", &headers, "")
    };
    let mut live = eventsource("");
    assert!(live.receives("hub.cursor", PATIENCE), "{}", live.read);
    for data in ["old 1", "old 2", "old 3"] {
        publish(&runtime, &app, data);
        assert!(live.receives(data, PATIENCE), "sent by the fan-out: {}", live.read);
    }
    let (epoch, old) = (app.hub.epoch(), last_id(&live).to_owned());
    assert_eq!(old, format!("{epoch}-3"));
    let page = format!("GET /events?topic=a&wait=60s&from={old} HTTP/1.1");
    let mut waiting = Client::send(address, &page, "accept: application/json\r\n", "");
    live.read.clear();

    log.replace(log.open(MemoryStore::new()));
    let gap = format!("\"after\":\"{old}\",\"resumes_at\":null,\"reason\":\"unknown\"");
    assert!(live.receives(&gap, PATIENCE), "{}", live.read);
    let zero = format!("id: {}-0", app.hub.epoch());
    assert!(live.receives(&zero, PATIENCE), "a cursor, so that the gap is not repeated: {}", live.read);
    assert!(waiting.receives(&gap, PATIENCE), "a long poll ends: {}", waiting.read);
    let mut ids = Vec::new();
    for data in ["new 1", "new 2"] {
        ids.push(publish(&runtime, &app, data));
        let event = format!("data: {data}\nid: {}\n", ids[ids.len() - 1]);
        assert!(live.receives(&event, PATIENCE), "{}", live.read);
    }
    assert_eq!((ids[1].as_str(), ids[1].as_str()), (last_id(&live), &*format!("{}-2", app.hub.epoch())));
    assert!(!live.read.contains("old"), "{}", live.read);

    let mut again = eventsource(&ids[0]);
    assert!(again.receives("data: new 2", PATIENCE) && !again.read.contains("hub.gap"), "{}", again.read);
    let mut stale = eventsource(&old);
    assert!(stale.receives("data: new 2", PATIENCE), "{}", stale.read);
    let gap = format!("\"after\":\"{old}\",\"resumes_at\":\"{}\",\"reason\":\"unknown\"", ids[0]);
    assert!(stale.read.contains(&gap), "{}", stale.read);

    for (line, headers, body, answer) in [
        (format!("DELETE /events/{old}?topic=a HTTP/1.1"), String::new(), "", "event-unknown".to_owned()),
        ("POST /publish?topic=a HTTP/1.1".into(), format!("if-match: \"{old}\"\r\n"), "x", "412".into()),
        ("POST /publish?topic=a HTTP/1.1".into(), String::new(), "x", format!("\"id\":\"{}-3\"", app.hub.epoch())),
        ("GET /topics/a HTTP/1.1".into(), String::new(), "", format!("\"last_id\":\"{}-3\"", app.hub.epoch())),
        ("GET /admin/stats HTTP/1.1".into(), String::new(), "", format!("\"epoch\":\"{}\"", app.hub.epoch())),
    ] {
        let mut client = Client::send(address, &line, &headers, body);
        assert!(client.receives(&answer, PATIENCE), "{line}: {}", client.read);
    }

    let newest = app.hub.head();
    let page = format!("GET /events?topic=a&wait=60s&from={newest} HTTP/1.1");
    let mut waiting = Client::send(address, &page, "accept: application/json\r\n", "");
    assert!(!waiting.receives("HTTP", MOMENT), "{}", waiting.read);
    let next = log.open(MemoryStore::new());
    runtime.block_on(next.append(append("newer 1"))).expect("appended");
    log.replace(next);
    assert!(waiting.receives("\"closed\":false", PATIENCE), "{}", waiting.read);
    let (first, after) = (format!("\"next\":\"{}-1\"", app.hub.epoch()), format!("\"after\":\"{newest}\""));
    assert!(waiting.read.contains(&first) && waiting.read.contains(&after), "events after the gap: {}", waiting.read);
    app.net.drain.end();
    core.join().expect("no panic");
}
