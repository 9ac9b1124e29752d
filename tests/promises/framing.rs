//! A request has one host and one length that every parser reads alike.

use super::support::{hub::Hub, wire};

/// Everything that the hub sends in response to these bytes until it closes the connection.
fn said(hub: &Hub, request: &str) -> String {
    String::from_utf8_lossy(&wire::drained(&wire::send(hub.address, request.as_bytes()))).into_owned()
}

#[test]
fn a_request_names_its_host_once() {
    let token = super::support::tokens(&[("ci", "publish = [\"**\"]")]);
    for hub in [Hub::start(), Hub::start_with(&["--open"]), Hub::start_with(&["--access-tokens", &token])] {
        for path in ["/topics", "/healthz", "/", "/metrics"] {
            for hosts in ["", "host: localhost\r\nhost: localhost\r\n", "host: localhost\r\nHost: other\r\n"] {
                let answer = said(&hub, &format!("GET {path} HTTP/1.1\r\n{hosts}connection: close\r\n\r\n"));
                assert!(answer.starts_with("HTTP/1.1 400 "), "{path} {hosts:?}: {answer}");
                assert!(
                    answer.contains("application/problem+json") && answer.contains("\"header-invalid\""),
                    "{answer}"
                );
            }
        }
        let old = said(&hub, "GET /healthz HTTP/1.0\r\n\r\n");
        assert!(old.starts_with("HTTP/1.0 200 ") || old.starts_with("HTTP/1.1 200 "), "HTTP/1.0 has none: {old}");
    }
}

#[test]
fn a_transfer_coding_that_is_not_known_is_501_and_nothing_is_published() {
    let hub = Hub::start();
    for coding in
        ["gzip, chunked", "gzip,chunked", "chunked, chunked", "x\r\ntransfer-encoding: chunked", "identity, chunked"]
    {
        let request = format!(
            "POST /publish?topic=t HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: {coding}\r\n\r\n1\r\nx\r\n0\r\n\r\n\
             POST /publish?topic=t HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\ny"
        );
        let answer = said(&hub, &request);
        assert!(
            answer.starts_with("HTTP/1.1 501 ") && answer.contains("\"transfer-encoding-unsupported\""),
            "{coding}: {answer}"
        );
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "the connection is closed: {answer}");
    }
    assert_eq!(hub.get("/topics/t").status, 404);
    let fine = "POST /publish?topic=t HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ntransfer-encoding: Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
    assert!(said(&hub, fine).starts_with("HTTP/1.1 200 "));
}

/// Bytes that two parsers could read as different requests: each is refused, or the connection is closed after the request,
/// so that no second request is read from the first one's body.
#[test]
fn no_second_request_comes_out_of_a_body_that_can_be_read_in_two_ways() {
    let hub = Hub::start();
    let inner = "POST /publish?topic=smuggled HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\ny";
    for (what, head, body) in [
        ("a length, then chunks", "content-length: 5\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"),
        ("chunks, then a length", "transfer-encoding: chunked\r\ncontent-length: 5\r\n", "0\r\n\r\n"),
        ("a length of none, then chunks", "content-length: 0\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"),
        ("two lengths", "content-length: 1\r\ncontent-length: 200\r\n", "x"),
        ("two lengths in one line", "content-length: 1, 200\r\n", "x"),
        ("a length with a sign", "content-length: +1\r\n", "x"),
        ("a length in hexadecimal", "content-length: 0x1\r\n", "x"),
        ("chunks that are not last", "transfer-encoding: chunked, identity\r\n", "0\r\n\r\n"),
        ("a coding that looks like chunks", "transfer-encoding: xchunked\r\n", "0\r\n\r\n"),
        ("chunks with a vertical tab", "transfer-encoding: \x0bchunked\r\n", "0\r\n\r\n"),
        ("a space before the colon", "transfer-encoding : chunked\r\n", "0\r\n\r\n"),
        ("a folded line", "transfer-encoding:\r\n chunked\r\n", "0\r\n\r\n"),
        ("a chunk's size that is none", "transfer-encoding: chunked\r\n", "1g\r\nx\r\n0\r\n\r\n"),
        ("a chunk's size that overflows", "transfer-encoding: chunked\r\n", "10000000000000001\r\nx\r\n0\r\n\r\n"),
        ("a chunk without its end", "transfer-encoding: chunked\r\n", "1\r\nxy\r\n0\r\n\r\n"),
    ] {
        let request = format!("POST /publish?topic=outer HTTP/1.1\r\nhost: localhost\r\n{head}\r\n{body}{inner}");
        let answer = said(&hub, &request);
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{what}: {answer}");
        assert_eq!(hub.get("/topics/smuggled").status, 404, "{what}: {answer}");
    }
}
