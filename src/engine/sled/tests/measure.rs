//! Measurements of the store, without assertions on time. Run in release with
//! `cargo test --release measure -- --ignored --nocapture --test-threads 1`.

use std::io::Write;
use std::time::Instant;

use super::*;

/// Resident memory of this process in MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok()).map_or(0, |kib| kib / 1024)
}

/// 256 bytes that compress about 2:1, as JSON does.
fn payload(n: u64) -> String {
    format!(
        "{{\"n\":{n},\"text\":\"{:0>16x}\",\"pad\":\"{}\"}}",
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        "x".repeat(200)
    )
}

#[test]
#[ignore = "a measurement"]
fn durable_publish_against_append_and_fdatasync() {
    for waiting in [1_u32, 64, 512] {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut bench, _) = Bench::open(&dir.path().join("store"));
        let mut log = std::fs::File::create(dir.path().join("log")).expect("made");
        let (mut rates, mut n) = ([Vec::new(), Vec::new()], 0_u64);
        for _ in 0..5 {
            let (mut spent, mut events) = (std::time::Duration::ZERO, 0);
            while spent.as_millis() < 500 {
                let bytes: String = (0..waiting).map(|k| payload(n + u64::from(k))).collect();
                let begun = Instant::now();
                log.write_all(bytes.as_bytes()).and_then(|()| log.sync_data()).expect("written");
                spent += begun.elapsed();
                events += waiting;
            }
            rates[0].push(f64::from(events) / spent.as_secs_f64());
            let (mut spent, mut events) = (std::time::Duration::ZERO, 0);
            while spent.as_millis() < 500 {
                let new = (0..u64::from(waiting))
                    .map(|k| NewEvent::new(name(&format!("t/{}", (n + k) % 16)), payload(n + k).as_str()))
                    .collect();
                let commit = bench.build(new);
                let begun = Instant::now();
                bench.store.commit(&commit).expect("accepted");
                spent += begun.elapsed();
                n += u64::from(waiting);
                events += waiting;
            }
            rates[1].push(f64::from(events) / spent.as_secs_f64());
        }
        let median = |rates: &mut Vec<f64>| {
            rates.sort_by(f64::total_cmp);
            rates[2]
        };
        let (log, store) = (median(&mut rates[0]), median(&mut rates[1]));
        eprintln!("{waiting} waiting: log {log:.0}/s, store {store:.0}/s, ratio {:.2}", store / log);
    }
}

#[test]
#[ignore = "a measurement"]
fn a_million_topics_of_three_events() {
    let dir = tempfile::tempdir().expect("a directory");
    let (bench, _) = Bench::open(dir.path());
    let (mut seq, mut last) = (0_u64, vec![0_u64; 1_000_000]);
    let begun = Instant::now();
    for _ in 0..3 {
        for group in 0..1000 {
            let mut events = Vec::with_capacity(1000);
            for n in 0..1000 {
                seq += 1;
                let topic = group * 1000 + n;
                let new = NewEvent::new(name(&format!("jobs/{topic}/tokens")), payload(seq).as_str());
                let key = TopicKey(topic as u64 + 1);
                let prev = Seq(std::mem::replace(&mut last[topic], seq));
                let event = Arc::new(Event { seq: Seq(seq), time: Millis(seq), new });
                events.push((key, StoredEvent { prev, event }));
            }
            bench
                .store
                .commit(&Commit { events, states: vec![], origins: vec![], keys: vec![], time: Millis(seq) })
                .expect("accepted");
        }
    }
    let rss = resident();
    eprintln!(
        "written in {:?}, {} segments, {} MiB on disk, RSS {rss} MiB",
        begun.elapsed(),
        bench.store.shared.segments.list().len(),
        bench.store.disk_bytes() >> 20
    );
    bench.store.close();
    drop(bench);
    let begun = Instant::now();
    let store = SledStore::open(config(dir.path())).expect("it opens");
    let mut pieces = 0;
    drop(store.recovered(&mut |_| pieces += 1));
    eprintln!("{pieces} pieces of topics open in {:?}, RSS {} MiB", begun.elapsed(), resident());
    let mut random = fastrand::Rng::with_seed(1);
    let mut times = Vec::new();
    for _ in 0..2000 {
        let topic = random.u64(0..1_000_000);
        let of = name(&format!("jobs/{topic}/tokens"));
        let begun = Instant::now();
        let events =
            store.topic_events((TopicKey(topic + 1), &of), Seq(0), Seq(u64::MAX - 1), ReadLimit { events: 5, ..ALL });
        times.push(begun.elapsed());
        assert_eq!(events.expect("read").len(), 3);
    }
    times.sort();
    eprintln!(
        "one topic's 3 events over all segments: p50 {:?}, p99 {:?}, RSS {} MiB",
        times[1000],
        times[1980],
        resident()
    );
}

#[test]
#[ignore = "a measurement"]
fn a_four_gigabyte_store_opens() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::open(dir.path());
    let begun = Instant::now();
    let mut n = 0;
    while bench.store.disk_bytes() < 4 << 30 {
        for _ in 0..20 {
            let new = (0..2048)
                .map(|k| NewEvent::new(name(&format!("t/{}", (n + k) % 100)), payload(n + k).as_str()))
                .collect();
            let commit = bench.build(new);
            bench.store.commit(&commit).expect("accepted");
            n += 2048;
        }
    }
    eprintln!("{n} events in {:?}, RSS {} MiB", begun.elapsed(), resident());
    let (bench, _) = {
        bench.store.close();
        let begun = Instant::now();
        drop(bench);
        let opened = Bench::open(dir.path());
        eprintln!("open in {:?}, RSS {} MiB", begun.elapsed(), resident());
        opened
    };
    let begun = Instant::now();
    let (mut at, mut events) = (0, 0);
    loop {
        let (page, through) = bench.scan(at, ReadLimit { events: 10_000, bytes: 4 << 20 });
        if page.is_empty() {
            break;
        }
        events += page.len();
        at = through;
    }
    eprintln!("{events} events scanned in {:?}, RSS {} MiB", begun.elapsed(), resident());
    let mut random = fastrand::Rng::with_seed(1);
    let mut times = Vec::new();
    for _ in 0..1000 {
        let topic = format!("t/{}", random.u8(0..100));
        let after = random.u64(0..n);
        let begun = Instant::now();
        let page = bench.store.topic_events(
            (bench.keys[&topic], &name(&topic)),
            Seq(after),
            Seq(u64::MAX - 1),
            ReadLimit { events: 5, ..ALL },
        );
        times.push(begun.elapsed());
        page.expect("read");
    }
    times.sort();
    eprintln!("seek and 5 events: p50 {:?}, p99 {:?}", times[500], times[990]);
}

/// The time to copy a full segment, which bounds how long the bytes of a removed event stay after the delay.
#[test]
#[ignore = "a measurement"]
fn copying_a_full_segment_without_a_removed_event() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::with(SledConfig { scrub_after: std::time::Duration::ZERO, ..config(dir.path()) });
    let mut n = 0;
    while bench.segments() == 1 {
        let new = (0..256).map(|k| NewEvent::new(name(&format!("t/{}", k % 16)), payload(n + k).as_str())).collect();
        let commit = bench.build(new);
        bench.store.commit(&commit).expect("accepted");
        n += 256;
    }
    bench.wait_sealed();
    let before = bench.store.disk_bytes();
    bench.store.remove((bench.keys["t/0"], &name("t/0")), Seq(1)).expect("there");
    let begun = Instant::now();
    bench.store.reclaim(&super::removing::All).expect("copied");
    assert_eq!(bench.store.unscrubbed(), 0);
    let (seconds, after) = (begun.elapsed().as_secs_f64(), bench.store.disk_bytes());
    println!("{n} events: copied in {seconds:.1} s; {} MiB before, {} MiB after", before >> 20, after >> 20);
}
