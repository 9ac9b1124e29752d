//! Known attacks on HTTP/2 servers: the attacker's connection is closed, costs a bounded amount of memory, and others
//! are served meanwhile.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::{
    frames::{
        self, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, OK, PING, RST_STREAM, SETTINGS,
        WINDOW_UPDATE, frame, head,
    },
    support::{PATIENCE, hub::Hub},
};

/// The memory that one attacker may cost. Each of these attacks sends far more than that.
const ROOM_KIB: u64 = 32 << 10;

/// `ENHANCE_YOUR_CALM` (RFC 9113, section 7).
const CALM: u32 = 11;

fn resident_kib(hub: &Hub) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", hub.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Sends `bytes` repeatedly until the hub closes the connection, and reads nothing until then; others publish and read meanwhile.
fn flood(hub: &Hub, frames: &mut Frames<TcpStream>, bytes: &[u8]) {
    let before = resident_kib(hub);
    let mut stream = hub.watch("topic=served");
    let mut served = 0;
    frames.io.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let given_up = Instant::now() + PATIENCE;
    let (mut rest, mut sent): (&[u8], u64) = (bytes, 0);
    loop {
        assert!(Instant::now() < given_up, "it is not hung up on after {sent} bytes");
        match frames.io.write(rest) {
            Ok(size) => {
                sent += size as u64;
                rest = &rest[size..];
                if rest.is_empty() {
                    rest = bytes;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        if sent >> 20 >= served {
            served += 1;
            hub.publish("served", "x");
            assert_eq!(stream.data(1), ["x"], "others are served");
        }
    }
    let grown = resident_kib(hub).saturating_sub(before);
    assert!(grown < ROOM_KIB, "{sent} bytes of an attack cost {grown} KiB");
    hub.publish("served", "after");
    assert_eq!(stream.data(1), ["after"]);
}

/// Short timeouts, so that clients that neither send requests nor read are soon cut.
fn hub() -> Hub {
    Hub::start_with(&["--http-header-timeout", "2s", "--stream-write-timeout", "2s"])
}

/// Requests five thousand streams, each followed by `reset`; the connection is closed.
fn resets(reset: impl Fn(u32) -> Vec<u8>) {
    let hub = hub();
    let mut frames = frames::plain(hub.address);
    let block = head("GET", "/events?topic=t", &[]);
    let mut bytes = Vec::new();
    for stream in (0..5000).map(|n| 2 * n + 1) {
        bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, &block));
        bytes.extend(reset(stream));
    }
    // The connection may be closed before all of it is sent.
    let _ = frames.io.write_all(&bytes);
    assert_eq!(frames.end(), Some(CALM));
    assert_eq!(hub.stats()["subscribers"], 0);
}

#[test]
fn rapid_reset_ends_the_connection() {
    resets(|stream| frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
}

#[test]
fn resets_that_the_client_provokes_end_the_connection() {
    // A window update beyond the maximum: a stream error, not a connection error (CVE-2025-8671, MadeYouReset).
    resets(|stream| frame(WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes()));
}

#[test]
fn a_head_in_more_pieces_than_it_can_have_is_not_waited_for() {
    let hub = hub();
    let mut frames = frames::plain(hub.address);
    frames.send(HEADERS, END_STREAM, 1, &head("GET", "/topics", &[]));
    // h2 derives its bound from ours (headers_bytes): so many full frames and a quarter more.
    let _ = frames.io.write_all(&frame(CONTINUATION, 0, 1, b"").repeat(20));
    assert_eq!(frames.end(), Some(CALM), "and not only when its time is over");
}

#[test]
fn a_head_that_goes_on_for_ever_ends_the_connection() {
    let hub = hub();
    let mut frames = frames::plain(hub.address);
    frames.send(HEADERS, END_STREAM, 1, &head("GET", "/topics", &[]));
    flood(&hub, &mut frames, &frame(CONTINUATION, 0, 1, b"\x00\x01x\x01y").repeat(1000));
    let mut frames = frames::plain(hub.address);
    frames.send(HEADERS, END_STREAM, 1, &head("GET", "/topics", &[]));
    flood(&hub, &mut frames, &frame(CONTINUATION, 0, 1, &[]).repeat(1000));
}

#[test]
fn floods_of_settings_and_pings_end_the_connection_when_nobody_reads_the_answers() {
    let hub = hub();
    for bytes in [frame(SETTINGS, 0, 0, b"\x00\x04\x00\x00\xff\xff"), frame(PING, 0, 0, b"12345678")] {
        flood(&hub, &mut frames::plain(hub.address), &bytes.repeat(1000));
    }
}

#[test]
fn floods_without_a_request_end_the_connection_whoever_reads() {
    let hub = hub();
    for bytes in [frame(SETTINGS, 0, 0, b""), frame(PING, 0, 0, b"12345678")] {
        let mut frames = frames::plain(hub.address);
        let mut answers = frames.io.try_clone().unwrap();
        let reading = std::thread::spawn(move || while answers.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {});
        flood(&hub, &mut frames, &bytes.repeat(10));
        reading.join().unwrap();
    }
}

#[test]
fn a_flood_of_empty_data_ends_the_connection() {
    let hub = hub();
    let mut frames = frames::plain(hub.address);
    frames.send(HEADERS, END_HEADERS, 1, &head("POST", "/publish?topic=t", &[]));
    flood(&hub, &mut frames, &frame(DATA, 0, 1, b"").repeat(1000));
}

#[test]
fn a_head_that_unpacks_to_more_than_the_bound_is_refused() {
    let hub = hub();
    let before = resident_kib(&hub);
    let mut frames = frames::plain(hub.address);
    // One large line, indexed (RFC 7541, section 6.2.1), and then one byte for each repetition.
    let mut block = head("GET", "/topics", &[]);
    block.extend(b"\x40\x01x\x7f\x99\x1e");
    block.extend([b'y'; 3992]);
    block.extend([0xbe; 8000]);
    frames.send(HEADERS, END_STREAM | END_HEADERS, 1, &block);
    let answer = frames.next();
    assert!(answer.kind == RST_STREAM || answer.kind == GOAWAY || answer.payload[0] != OK, "{answer:?}");
    assert!(resident_kib(&hub).saturating_sub(before) < ROOM_KIB, "32 MB were not unpacked");
    assert_eq!(hub.get("/topics").status, 200);
}

#[test]
fn a_connection_of_stalled_streams_costs_a_bounded_amount() {
    let hub = Hub::start_with(&["--stream-ring-bytes", "64KiB"]);
    let body = "x".repeat(100_000);
    for _ in 0..100 {
        hub.publish("t", &body);
    }
    let before = resident_kib(&hub);
    let mut frames = frames::plain(hub.address);
    for n in 0..100 {
        frames.stalled.push(2 * n + 1);
        frames.get(2 * n + 1, "/events?topic=t&from=earliest");
    }
    hub.wait_for_streams("t", 100);
    frames.until(|bodies| bodies.len() == 100 && bodies.values().all(|body| body.len() > 60_000));
    let grown = resident_kib(&hub).saturating_sub(before);
    assert!(grown < ROOM_KIB, "a hundred stalled streams of 10 MB each cost {grown} KiB");
}
