//! A connection may be idle between two requests for longer than a head may take.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use super::support::{
    PATIENCE, eventually,
    hub::Hub,
    wire::{self, Incoming},
};

const GET: &[u8] = b"GET /topics HTTP/1.1\r\nhost: localhost\r\n\r\n";

fn served(socket: &TcpStream) {
    let mut incoming = Incoming::read(socket.try_clone().unwrap(), false).unwrap();
    let mut body = Vec::new();
    incoming.read_to_end(&mut body).unwrap();
    assert_eq!(incoming.status, 200);
}

fn connected(hub: &Hub) -> TcpStream {
    let socket = wire::send(hub.address, GET);
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    served(&socket);
    socket
}

#[test]
fn a_kept_connection_outlives_the_time_that_a_head_may_take() {
    let hub = Hub::start_with(&["--http-header-timeout", "1s", "--http-idle-timeout", "10m"]);
    let mut socket = connected(&hub);
    for _ in 0..2 {
        std::thread::sleep(Duration::from_millis(2500));
        socket.write_all(GET).unwrap();
        served(&socket);
    }
}

#[test]
fn a_kept_connection_is_closed_in_order_when_it_has_idled_for_too_long() {
    let hub = Hub::start_with(&["--http-header-timeout", "10m", "--http-idle-timeout", "1s"]);
    let mut rest = Vec::new();
    connected(&hub).read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty(), "{rest:?}");
}

#[test]
fn a_head_that_drips_on_a_kept_connection_is_cut() {
    let hub = Hub::start_with(&["--http-header-timeout", "1s", "--http-idle-timeout", "10m"]);
    let mut socket = connected(&hub);
    let mut bytes = GET.iter().cycle();
    socket.write_all(b"GET /topics HTTP/1.1\r\nx: ").unwrap();
    eventually("it is hung up on", || {
        std::thread::sleep(Duration::from_millis(100));
        socket.write_all(&[*bytes.find(|byte| byte.is_ascii_alphabetic()).unwrap()]).is_err()
    });
}

#[test]
fn an_answer_that_takes_long_is_no_idle_connection() {
    let hub = Hub::start_with(&["--http-header-timeout", "1s", "--http-idle-timeout", "1s"]);
    hub.publish("t", "before");
    let accept = [("accept", "application/json")];
    let waiting = std::thread::scope(|scope| {
        let poll = scope.spawn(|| wire::request(hub.address, "GET", "/events?topic=t&wait=30s", &accept, b""));
        hub.wait_for_streams("t", 1);
        std::thread::sleep(Duration::from_millis(2500));
        hub.publish("t", "found");
        poll.join().unwrap()
    });
    assert!(waiting.text().contains("found"), "{}", waiting.text());
}
