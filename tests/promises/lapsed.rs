//! An expired or revoked credential ends requests in progress: a long poll, a request body, a publish stream that would close its topic.

use std::{io::Read, io::Write, net::TcpStream};

use super::{
    reload::{READER, RELOADED, Settings, WRITER, access},
    support::{
        assert_problem, eventually,
        wire::{self, Answer, Incoming, Upload},
    },
};

const ALL: (&str, &str) = ("all", "publish = [\"**\"], subscribe = [\"**\"], admin = true");

fn ask(settings: &Settings, name: &str, method: &str, target: &str) -> Answer {
    let bearer = format!("Bearer {name}-token");
    wire::request(settings.hub.address, method, target, &[("authorization", &bearer)], b"")
}

#[test]
fn a_wait_for_a_page_ends_with_its_token() {
    let settings = Settings::start(&access(&[WRITER, ALL, ("goes", READER), ("narrowed", READER), ("stays", READER)]));
    let address = settings.hub.address;
    let wait = |name: &str| {
        let bearer = format!("Bearer {name}-token");
        std::thread::spawn(move || {
            let headers = [("authorization", &*bearer), ("accept", "application/json")];
            wire::request(address, "GET", "/events?topic=news&wait=60s", &headers, b"")
        })
    };
    let (goes, narrowed, stays) = (wait("goes"), wait("narrowed"), wait("stays"));
    eventually("they wait", || ask(&settings, "all", "GET", "/admin/stats").json()["subscribers"] == 3);
    settings.reload(&access(&[WRITER, ALL, ("narrowed", "subscribe = [\"other\"]"), ("stays", READER)]), RELOADED);
    assert_problem(&goes.join().unwrap(), 401, "unauthorized");
    assert_problem(&narrowed.join().unwrap(), 403, "forbidden");
    assert_eq!(ask(&settings, "all", "POST", "/publish?topic=news").status, 200);
    assert_eq!(stays.join().unwrap().json()["events"].as_array().unwrap().len(), 1);
}

/// Sends a head, and waits for `100 Continue`: the credential was accepted.
fn begin(settings: &Settings, name: &str, method: &str, target: &str, size: usize) -> TcpStream {
    let mut socket = wire::send(
        settings.hub.address,
        format!(
            "{method} {target} HTTP/1.1\r\nhost: hub\r\nauthorization: Bearer {name}-token\r\n\
             expect: 100-continue\r\ncontent-length: {size}\r\n\r\n"
        )
        .as_bytes(),
    );
    let mut told = [0; 25];
    socket.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    socket
}

#[test]
fn a_body_that_comes_after_its_token_is_gone_is_refused() {
    let operator = ("goes-operator", "admin = true");
    let goes = ("goes", "publish = [\"news\"]");
    let settings = Settings::start(&access(&[ALL, goes, operator]));
    let json = r#"{"topic":"news","data":"late"}"#;
    let begun = [
        ("raw", begin(&settings, "goes", "POST", "/publish?topic=news", 4), "late"),
        ("an envelope", begin(&settings, "goes", "POST", "/publish", json.len()), json),
        ("settings", begin(&settings, "goes-operator", "PUT", "/topics/news", 2), "{}"),
    ];
    settings.reload(&access(&[ALL]), RELOADED);
    for (what, mut socket, body) in begun {
        socket.write_all(body.as_bytes()).unwrap();
        assert_eq!(Incoming::read(socket, false).unwrap().status, 401, "{what}");
    }
    assert_eq!(ask(&settings, "all", "GET", "/topics/news").status, 404, "nothing was done");
}

#[test]
fn a_topic_is_not_closed_by_a_stream_whose_grant_has_shrunk() {
    let settings = Settings::start(&access(&[ALL, WRITER]));
    let headers = [("content-type", "application/x-ndjson"), ("authorization", "Bearer writer-token")];
    let mut upload = Upload::open(settings.hub.address, "/publish?topic=news&close=true", &headers);
    let mut receipts = upload.answer_after("1\n");
    assert_eq!(receipts.json()["topic"], "news");
    settings.reload(&access(&[ALL, ("writer", "publish = [\"other\"]")]), RELOADED);
    upload.finish();
    assert_eq!(receipts.json()["error"]["code"], "forbidden");
    assert_eq!(receipts.line(), None);
    assert_eq!(ask(&settings, "all", "GET", "/topics/news").json()["closed"], false);
}
