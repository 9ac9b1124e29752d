//! Silence is broken by a comment, so that nothing between hub and client takes it for death.

use super::support::{hub::Hub, wire};

#[test]
fn a_silent_stream_sends_a_comment_again_and_again() {
    let hub = Hub::start_with(&["--stream-keepalive", "1s"]);
    let headers = [("accept", "text/event-stream")];
    let mut stream = wire::open(hub.address, "GET", "/events?topic=t", &headers, b"");
    assert_eq!(stream.until(":\n\n"), "retry: 3000\n\n:\n\n");
    assert!(stream.until(":\n\n").ends_with("-0\n\n:\n\n"), "a cursor, once");
    assert_eq!(stream.until(":\n\n"), ":\n\n");
    hub.publish("t", "x");
    assert!(stream.until("data: x\n\n").ends_with("-1\ndata: x\n\n"));
    stream.until(":\n\n");
}

#[test]
fn a_silent_ndjson_stream_sends_a_blank_line() {
    let hub = Hub::start_with(&["--stream-keepalive", "1s"]);
    let headers = [("accept", "application/x-ndjson")];
    let mut stream = wire::open(hub.address, "GET", "/events?topic=t", &headers, b"");
    assert_eq!(stream.until("\n\n\n"), "\n\n\n");
}
