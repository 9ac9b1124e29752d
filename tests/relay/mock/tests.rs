//! The mock does what the scripts say, and sees what its clients do.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::{Duration, Instant},
};

use super::{Gate, Mock, Script};
use crate::support::PATIENCE;

const GET: &[u8] = b"GET /a?q=1 HTTP/1.1\r\nHost: mock\r\n\r\n";
const SSE: [(&str, &str); 1] = [("Content-Type", "text/event-stream")];

fn connect(mock: &Mock) -> TcpStream {
    let socket = TcpStream::connect(mock.address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Sends `request`; reads all bytes up to the close.
fn everything(mock: &Mock, request: &[u8]) -> (Vec<u8>, io::Result<usize>) {
    let mut socket = connect(mock);
    socket.write_all(request).unwrap();
    let mut bytes = Vec::new();
    let ended = socket.read_to_end(&mut bytes);
    (bytes, ended)
}

/// Reads exactly these bytes.
fn expect(socket: &mut TcpStream, bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    socket.read_exact(&mut read).unwrap();
    assert_eq!(String::from_utf8_lossy(&read), String::from_utf8_lossy(bytes));
}

#[test]
fn every_byte_is_the_scripts_and_a_connection_serves_many_requests() {
    let mock = Mock::start();
    mock.usually("/a", Script::chunked(200, &SSE).send("data: é\n\n").send("x"));
    mock.next("/a", Script::whole(429, &[("Retry-After", "7")], b"{}"));
    mock.next("/a", Script::new().bytes("HTTP/1.1 200 Fine\r\ncontent-length: 1\r\n\r\n").bytes("!"));
    let mut socket = connect(&mock);
    socket.write_all(GET).unwrap();
    expect(&mut socket, b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\ncontent-length: 2\r\n\r\n{}");
    socket.write_all(GET).unwrap();
    expect(&mut socket, b"HTTP/1.1 200 Fine\r\ncontent-length: 1\r\n\r\n!");
    for _ in 0..2 {
        socket.write_all(GET).unwrap();
        expect(
            &mut socket,
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
        );
        expect(&mut socket, "a\r\ndata: é\n\n\r\n1\r\nx\r\n0\r\n\r\n".as_bytes());
    }
    let connections: Vec<usize> = mock.exchanges().iter().map(|exchange| exchange.connection).collect();
    assert_eq!(connections, [0; 4]);
    assert_eq!(mock.answered(3).sent, 11);
}

#[test]
fn a_request_is_recorded_whole_by_length_or_in_chunks_however_it_is_cut() {
    let mock = Mock::start();
    mock.usually("/b", Script::json(200, "{}"));
    let by_length = "POST /b HTTP/1.1\r\nX-Key: k\r\nContent-Length: 6\r\n\r\n{\"é\"}";
    let chunked = "POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{\"\r\n4\r\né\"}\r\n0\r\n\r\n";
    let mut socket = connect(&mock);
    for byte in [by_length, chunked].concat().bytes() {
        socket.write_all(&[byte]).unwrap();
    }
    let (first, second) = (mock.request(0), mock.request(1));
    assert_eq!((first.method.as_str(), first.target.as_str(), first.header("x-key")), ("POST", "/b", Some("k")));
    assert_eq!([first.body, second.body], ["{\"é\"}".as_bytes(); 2]);
    assert_eq!(mock.count(), 2);
    assert!(second.at >= first.at);
}

#[test]
fn a_path_without_a_script_is_not_found() {
    let mock = Mock::start();
    mock.usually("/a", Script::json(200, "{}"));
    let mut socket = connect(&mock);
    socket.write_all(b"GET /a/b HTTP/1.1\r\n\r\n").unwrap();
    expect(&mut socket, b"HTTP/1.1 404 Not Found\r\n");
}

#[test]
fn an_answer_ends_cleanly_or_is_cut_or_is_reset() {
    let mock = Mock::start();
    mock.next("/a", Script::until_close(200, &SSE).send("data: 1\n\n"));
    mock.next("/a", Script::chunked(200, &SSE).send("data: 1\n\n").cut());
    let (clean, ended) = everything(&mock, GET);
    assert!(clean.ends_with(b"connection: close\r\n\r\ndata: 1\n\n"), "{ended:?}");
    let (cut, ended) = everything(&mock, GET);
    assert!(cut.ends_with(b"9\r\ndata: 1\n\n\r\n") && ended.is_ok(), "{ended:?}");

    mock.next("/a", Script::new().pause(Duration::from_millis(50)).reset());
    let (nothing, ended) = everything(&mock, GET);
    assert_eq!(nothing, b"");
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn an_answer_waits_for_a_time_and_for_the_test() {
    let mock = Mock::start();
    let gate = Gate::closed();
    let pause = Duration::from_millis(80);
    mock.usually("/a", Script::chunked(200, &SSE).pause(pause).send("1").wait_for(&gate).send("2"));
    let mut socket = connect(&mock);
    let begun = Instant::now();
    socket.write_all(GET).unwrap();
    expect(&mut socket, b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
    expect(&mut socket, b"1\r\n1\r\n");
    assert!(begun.elapsed() >= pause);
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let early = socket.read(&mut [0]).unwrap_err().kind();
    assert!(matches!(early, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut), "{early}");
    assert!(mock.exchanges()[0].answered.is_none());
    gate.open();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    expect(&mut socket, b"1\r\n2\r\n0\r\n\r\n");
}

#[test]
fn the_other_sides_close_is_seen_at_once_whatever_the_script_does() {
    let long = Duration::from_hours(1);
    let scripts = [
        ("before its head", Script::new().silence()),
        ("silent", Script::chunked(200, &SSE).send("1").silence()),
        ("pausing", Script::chunked(200, &SSE).pause(long)),
        ("waiting", Script::chunked(200, &SSE).wait_for(&Gate::closed())),
        ("unread", Script::until_close(200, &SSE).send(vec![b'x'; 32 << 20])),
        ("idle", Script::json(200, "{}")),
    ];
    for (what, script) in scripts {
        let mock = Mock::start();
        mock.usually("/a", script);
        let mut socket = connect(&mock);
        socket.write_all(GET).unwrap();
        mock.request(0);
        thread::sleep(Duration::from_millis(30));
        assert_eq!(mock.exchanges()[0].closed, None, "{what}");
        let before = Instant::now();
        socket.shutdown(Shutdown::Both).unwrap();
        drop(socket);
        let closed = mock.closed(0);
        assert!(closed >= before, "{what}");
        mock.answered(0);
    }
}
