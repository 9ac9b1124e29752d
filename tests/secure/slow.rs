//! A client that takes too long for a request is cut, and others are not affected.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use crate::{
    frames::{self, CONTINUATION, DATA, END_HEADERS, HEADERS, PREFACE, frame, head},
    support::{PATIENCE, eventually, hub::Hub, wire},
    trust::Trust,
};

/// Sends byte by byte, more slowly than the hub allows, until it closes the connection.
fn drip(socket: &mut TcpStream, bytes: &[u8], mut meanwhile: impl FnMut()) {
    socket.set_nodelay(true).unwrap();
    let mut bytes = bytes.iter().cycle();
    eventually("it is hung up on", || {
        std::thread::sleep(Duration::from_millis(200));
        meanwhile();
        socket.write_all(&[*bytes.next().unwrap()]).is_err()
    });
}

#[test]
fn a_preface_that_drips_is_cut() {
    let hub = Hub::start_with(&["--http-header-timeout", "2s"]);
    let mut stream = hub.watch("topic=t");
    drip(&mut TcpStream::connect(hub.address).unwrap(), &PREFACE[..20], || {
        hub.publish("t", "x");
        assert_eq!(stream.data(1), ["x"]);
    });
}

#[test]
fn a_handshake_that_drips_is_cut() {
    let trust = Trust::new();
    let hub = trust.hub(&["--http-header-timeout", "2s"]);
    // A record that announces more than is sent.
    let mut hello = vec![22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    hello.extend([7; 500]);
    drip(&mut TcpStream::connect(hub.address).unwrap(), &hello, || Trust::publish(hub.address, "t", "x"));
    let silent = wire::send(hub.address, b"");
    assert!(wire::drained(&silent).is_empty(), "nor is silence waited for");
}

#[test]
fn a_head_that_drips_is_cut() {
    let hub = Hub::start_with(&["--http-header-timeout", "2s"]);
    let mut frames = frames::plain(hub.address);
    frames.send(HEADERS, 0, 1, &frames::head("GET", "/topics", &[]));
    let pieces: Vec<u8> = (0..100).flat_map(|_| frame(CONTINUATION, 0, 1, b"\x00\x01x\x01y")).collect();
    drip(&mut frames.io, &pieces, || drop(hub.publish("t", "x")));
}

#[test]
fn a_connection_without_a_request_is_closed_and_one_with_a_stream_is_not() {
    let hub = Hub::start_with(&["--http-header-timeout", "1s", "--http-idle-timeout", "1s"]);
    hub.publish("t", "in use");
    let mut stream = frames::plain(hub.address);
    stream.get(1, "/events?topic=t");
    hub.wait_for_streams("t", 1);
    let mut idle = frames::plain(hub.address);
    idle.get(1, "/topics");
    assert_eq!(idle.end(), Some(0), "told so, in order");
    let silent = wire::send(hub.address, &[PREFACE, &frame(frames::SETTINGS, 0, 0, b"")].concat());
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    wire::drained(&silent);
    hub.publish("t", "x");
    stream.until(|bodies| bodies.get(&1).is_some_and(|body| body.windows(12).any(|piece| piece == b"data: x\nid: ")));
}

#[test]
fn a_connection_that_was_used_idles_for_longer_than_a_head_may_take() {
    let hub = Hub::start_with(&["--http-header-timeout", "1s", "--http-idle-timeout", "10m"]);
    let mut used = frames::plain(hub.address);
    used.get(1, "/topics");
    used.until(|bodies| bodies.contains_key(&1));
    std::thread::sleep(Duration::from_millis(2500));
    used.get(3, "/topics");
    used.until(|bodies| bodies.contains_key(&3));
}

#[test]
fn a_connection_that_was_used_idles_no_longer_than_it_may_also_where_a_head_may_take_longer() {
    let hub = Hub::start_with(&["--http-header-timeout", "10m", "--http-idle-timeout", "1s"]);
    let mut used = frames::plain(hub.address);
    used.get(1, "/topics");
    used.until(|bodies| bodies.contains_key(&1));
    assert_eq!(used.end(), Some(0), "told so, in order");
}

/// Announces a body of ten bytes, and sends one of them.
const BODY_BEGUN: &str = "POST /publish?topic=t HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nx";

#[test]
fn many_bodies_that_stop_are_given_up_and_others_are_served() {
    let trust = Trust::new();
    let hub = trust.hub(&["--http-body-timeout", "1s", "--open"]);
    let mut stopped: Vec<_> = (0..50).map(|_| trust.connect(hub.address, "http/1.1")).collect();
    for stream in &mut stopped {
        stream.write_all(BODY_BEGUN.as_bytes()).unwrap();
    }
    let mut frames = frames::Frames::new(trust.connect(hub.address, "h2"));
    for n in 0..50 {
        frames.send(HEADERS, END_HEADERS, 2 * n + 1, &head("POST", "/publish?topic=t", &[("content-length", "10")]));
        frames.send(DATA, 0, 2 * n + 1, b"x");
    }
    Trust::publish(hub.address, "t", "served");
    for stream in &mut stopped {
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 408");
    }
    // A request that kept waiting for its body would never be answered.
    frames.until(|bodies| bodies.len() == 50);
    assert!((0..50).all(|n| frames.text(2 * n + 1).contains("request-timeout")), "{}", frames.text(1));
    Trust::publish(hub.address, "t", "served on");
    assert!(Trust::curl(hub.address, &[], "/topics/t").contains("\"events\":2"), "nothing of them was published");
}

#[test]
fn many_handshakes_that_stop_keep_nobody_out() {
    let trust = Trust::new();
    let hub = trust.hub(&["--http-header-timeout", "2s"]);
    let stopped: Vec<_> = (0..200).map(|_| wire::send(hub.address, &[22, 3, 1])).collect();
    Trust::publish(hub.address, "t", "served");
    for socket in &stopped {
        assert!(wire::drained(socket).is_empty(), "it is hung up on");
    }
}
