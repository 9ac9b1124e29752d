//! A client that does not read delays no other, costs the hub a bounded amount of memory, and loses nothing.

use std::{thread, time::Duration};

use super::support::{eventually, hub::Hub};

/// Events that a stalled client is sent, of 100 KB each.
const EVENTS: usize = 400;

/// What one stalled client may cost in memory beside one that reads: buffers of the socket and hyper, a page of the log, and what
/// two processes that do the same differ by. Half of what a hub would hold that kept the events for it.
const ROOM_KIB: u64 = 20_000;

fn resident_kib(hub: &Hub) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", hub.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// By how many KiB a hub grows that sends the events to a client that reads, and to one that does not if `stalled`.
fn growth(stalled: bool) -> u64 {
    let hub = Hub::start_with(&["--stream-ring-bytes", "64KiB"]);
    let mut reading = hub.watch("topic=t&from=earliest");
    let body = "x".repeat(100_000);
    let mut publish_and_read = |numbers: std::ops::Range<usize>| {
        thread::scope(|scope| {
            let (hub, body, published) = (&hub, &body, numbers.clone());
            scope.spawn(move || published.for_each(|n| drop(hub.publish("t", &format!("{n} {body}")))));
            for n in numbers {
                assert!(reading.next().unwrap().data.starts_with(&format!("{n} ")));
            }
        });
    };
    // The store's caches and the allocator have grown by then.
    publish_and_read(0..EVENTS / 2);
    let stalled = stalled.then(|| hub.watch("topic=t&from=now"));
    hub.wait_for_streams("t", 1 + u64::from(stalled.is_some()));
    let before = resident_kib(&hub);
    publish_and_read(EVENTS / 2..EVENTS / 2 + EVENTS);
    let grown = resident_kib(&hub).saturating_sub(before);
    if let Some(mut stalled) = stalled {
        for n in EVENTS / 2..EVENTS / 2 + EVENTS {
            assert!(stalled.next().unwrap().data.starts_with(&format!("{n} ")));
        }
        hub.publish("t", "after");
        assert_eq!(stalled.data(1), ["after"]);
    }
    grown
}

#[test]
fn a_client_that_stops_reading_delays_nobody_and_misses_nothing() {
    let (without, with) = (growth(false), growth(true));
    println!("40 MB: {without} KiB without a client that does not read, {with} KiB with one");
    assert!(with.saturating_sub(without) < ROOM_KIB, "a client that does not read costs {with} - {without} KiB");
}

#[test]
fn many_stalled_clients_cost_a_bounded_amount() {
    let hub = Hub::start_with(&["--stream-ring-bytes", "64KiB"]);
    let body = "x".repeat(100_000);
    for _ in 0..50 {
        hub.publish("t", &body);
    }
    let before = resident_kib(&hub);
    let streams: Vec<_> = (0..50).map(|_| hub.watch("topic=t&from=earliest")).collect();
    hub.wait_for_streams("t", 50);
    for _ in 0..50 {
        hub.publish("t", &body);
    }
    let each = resident_kib(&hub).saturating_sub(before) / 50;
    assert!(each < 2048, "{each} KiB for each of {} stalled clients, of 10 MB each", streams.len());
}

#[test]
fn a_stalled_client_is_cut_and_counted_and_resumes_without_loss() {
    let hub = Hub::start_with(&["--stream-write-timeout", "1s"]);
    let mut stalled = hub.watch("topic=t&from=earliest");
    let mut reading = hub.watch("topic=t&from=earliest");
    let body = "x".repeat(200_000);
    let read = thread::spawn(move || reading.data(100));
    for n in 0..100 {
        hub.publish("t", &format!("{n} {body}"));
    }
    let read = read.join().unwrap();
    eventually("both are gone, one of them cut", || hub.topic("t")["subscribers"] == 0);
    assert_eq!(hub.stats()["slow_readers_cut_total"], 1);
    let mut seen = Vec::new();
    while let Ok(Some(message)) = stalled.try_next() {
        seen.push(message.data);
    }
    assert!(seen.len() < 100, "it was cut before the end");
    let mut resumed = match stalled.last_id() {
        Some(id) => hub.resume("topic=t", id),
        None => hub.watch("topic=t&from=earliest"),
    };
    seen.extend(resumed.data(100 - seen.len()));
    let numbers =
        |data: &[String]| -> Vec<String> { data.iter().map(|d| d.split(' ').next().unwrap().into()).collect() };
    let want: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    assert_eq!(numbers(&seen), want);
    assert_eq!(numbers(&read), want);
}

#[test]
fn a_slow_client_that_reads_a_little_is_not_cut() {
    // Reading takes longer than this in all, and each event far less, also on a busy machine.
    let hub = Hub::start_with(&["--stream-write-timeout", "4s"]);
    let mut slow = hub.watch("topic=t");
    let body = "x".repeat(200_000);
    for _ in 0..50 {
        hub.publish("t", &body);
    }
    for _ in 0..50 {
        assert_eq!(slow.data(1)[0].len(), 200_000);
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(hub.stats()["slow_readers_cut_total"], 0);
}
