//! The memory cost of clients that do not read is that of their events' data, whatever their size on the wire.

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
};

use serde_json::json;
use socket2::{Domain, Socket, Type};

use super::support::{PATIENCE, assert_problem, eventually, hub::Hub, wire};

const STREAMS: usize = 40;
const EVENT: usize = 1 << 20;

/// A connection whose client reads nothing, with a small receive buffer.
fn unread(hub: SocketAddr, request: &str) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a socket");
    socket.connect(&hub.into()).expect("the hub accepts");
    let mut socket: TcpStream = socket.into();
    socket.set_write_timeout(Some(PATIENCE)).expect("a socket");
    socket.write_all(request.as_bytes()).expect("the hub reads");
    socket
}

/// Growth of a hub's memory by stalled replays of events of this character, each with its own selection.
fn growth_kib(character: &str, query: &str) -> usize {
    let hub = Hub::start();
    let data = character.repeat(EVENT);
    for _ in 0..4 {
        assert_eq!(hub.post("/publish?topic=t", &[], data.as_bytes()).status, 200);
    }
    let before = hub.settled_kib();
    let streams: Vec<_> = (0..STREAMS)
        .map(|n| {
            let path = format!("/events?topic=t&topic=own/{n}&from=earliest{query}");
            unread(hub.address, &format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"))
        })
        .collect();
    eventually("all replay", || hub.stats()["subscriptions"]["replaying"] == STREAMS);
    let after = hub.settled_kib();
    drop(streams);
    after.saturating_sub(before)
}

#[test]
fn a_stalled_replay_holds_no_more_for_events_that_are_larger_on_the_wire() {
    // Seven and six bytes on the wire for each.
    for (character, query) in [("\n", ""), ("\u{1}", "&format=json")] {
        let (plain, hostile) = (growth_kib("x", query), growth_kib(character, query));
        assert!(hostile < plain * 3 / 2 + 8192, "{character:?}: {hostile} KiB, beside {plain} KiB for plain text");
    }
}

#[test]
fn pages_that_nobody_reads_leave_room_for_others() {
    let hub = Hub::start();
    assert_eq!(hub.post("/publish?topic=t", &[], "\u{1}".repeat(EVENT).as_bytes()).status, 200);
    hub.publish("small", "x");
    let page = |topic: &str| format!("/events?topic={topic}&from=earliest&limit=1");
    let request = format!("GET {} HTTP/1.1\r\nhost: localhost\r\naccept: application/json\r\n\r\n", page("t"));
    let mut pages = Vec::new();
    let asked = |topic: &str| wire::request(hub.address, "GET", &page(topic), &[("accept", "application/json")], b"");
    eventually("the address has its share", || {
        pages.push(unread(hub.address, &request));
        asked("t").status == 429
    });
    assert!(pages.len() < 20, "{}", pages.len());
    let problem = assert_problem(&asked("t"), 429, "over-capacity");
    assert!(problem["detail"].as_str().unwrap().contains("have not read"), "{problem}");
    assert_eq!(asked("small").status, 200, "a small one goes through");
    drop(pages);
    eventually("they are gone", || asked("t").status == 200);
}

#[test]
fn the_gaps_of_a_page_that_nobody_reads_take_room_as_its_events_do() {
    // Their page is 4.4 MB. The kernel takes at most 2.6 MB of a response that nobody reads, so the hub keeps the whole page.
    const TOPICS: usize = 8000;
    let hub = Hub::start_with(&["--retention-max-age", "1s"]);
    // Each byte of a name is two in JSON.
    let name = |n: usize| format!("{n}/{}", "\"".repeat(240));
    let events: Vec<_> = (0..TOPICS).map(|n| json!({"topic": name(n), "data": ""})).collect();
    let before = hub.publish("before", "x");
    for batch in events.chunks(500) {
        assert_eq!(hub.post("/publish", &[], json!(batch).to_string().as_bytes()).status, 200);
    }
    eventually("all of them are trimmed", || hub.stats()["store"]["events"] == 0);
    let target = format!("/events?topic=*/*&last_event_id={before}");
    let asked = || wire::request(hub.address, "GET", &target, &[("accept", "application/json")], b"");
    let page = asked();
    assert_eq!(page.json()["gaps"].as_array().unwrap().len(), TOPICS, "a gap for each, in one page");
    let request = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\naccept: application/json\r\n\r\n");
    // As many as fit the address's share, a third of the bound of all pages. Further ones one after another, since pages
    // that are built together may end each other.
    let many = (64 << 20) / page.body.len();
    let mut pages: Vec<_> = (0..many / 3).map(|_| unread(hub.address, &request)).collect();
    eventually("the address has its share", || {
        pages.push(unread(hub.address, &request));
        asked().status == 429
    });
    assert!(pages.len() < many, "{} pages", pages.len());
    drop(pages);
    eventually("they are gone", || asked().status == 200);
}
