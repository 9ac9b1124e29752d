//! Nothing is decompressed: a compressed body is refused by every route with a body, and no response is compressed.

use super::support::{assert_problem, hub::Hub, wire};

/// 10 MiB of zeros as 10 KiB of gzip: decompressed, they do not fit in an event.
fn bomb() -> Vec<u8> {
    use std::{
        io::Write as _,
        process::{Command, Stdio},
    };
    let mut gzip = Command::new("gzip").arg("-9c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("gzip");
    let mut input = gzip.stdin.take().unwrap();
    let feeding = std::thread::spawn(move || input.write_all(&vec![b'0'; 10 << 20]).unwrap());
    let output = gzip.wait_with_output().unwrap();
    feeding.join().unwrap();
    output.stdout
}

#[test]
fn a_compressed_body_is_refused_wherever_a_body_is_taken() {
    let hub = Hub::start();
    let bomb = bomb();
    for (method, target, kind) in [
        ("POST", "/publish?topic=t", "text/plain"),
        ("POST", "/publish", "application/json"),
        ("POST", "/publish", "application/x-ndjson"),
        ("POST", "/publish?topic=t", "text/event-stream"),
        ("POST", "/events", "application/json"),
        ("PUT", "/topics/t", "application/json"),
    ] {
        for encoding in ["gzip", "br", "identity, gzip", "GZIP", ""] {
            let headers = [("content-type", kind), ("content-encoding", encoding)];
            let answer = wire::request(hub.address, method, target, &headers, &bomb[..4000]);
            assert_problem(&answer, 415, "encoding-unsupported");
        }
    }
    let plain = wire::request(hub.address, "PUT", "/topics/t", &[("content-encoding", "identity")], b"{}");
    assert_eq!(plain.status, 200, "which means: not compressed");
    // Without the header it is binary data, and not UTF-8.
    assert_problem(&hub.post("/publish?topic=t", &[], &bomb), 400, "data-not-utf8");
    assert_eq!(hub.topic("t")["events"], 0);
}

#[test]
fn what_the_hub_answers_is_not_compressed_for_a_client_that_takes_it() {
    let hub = Hub::start();
    hub.publish("t", &"x".repeat(100_000));
    for target in ["/topics", "/events?topic=t&from=earliest", "/metrics"] {
        let ask = |encoding: &str| {
            let headers = [("accept", "application/json"), ("accept-encoding", encoding)];
            wire::request(hub.address, "GET", target, &headers, b"")
        };
        let (plain, asked) = (ask("identity"), ask("gzip, br, zstd, deflate"));
        assert_eq!(asked.headers.get("content-encoding"), None, "{target}");
        if target != "/metrics" {
            assert_eq!(plain.body, asked.body, "{target}");
        }
    }
}
