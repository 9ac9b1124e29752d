//! **How much of what the disk can do is left for publishers?**
//!
//! Durable publishes with 1, 64 and 512 waiting, through the engine, against the least that is durable: the same bytes
//! appended to a file by a thread that shares one fdatasync among all who wait. Once to a file that grows, which makes the
//! file system note its length each time, and once over zeros written before. All run in turn; a ratio is the median of
//! the rounds. Then over HTTP: events a second on one NDJSON connection with 4,096 on their way, and as POSTs of 64
//! connections that stay open, each waiting for its receipt. 256 B an event, 16 topics.
//!
//! 2026-11-21, 2 cores and a disk shared with four builds, without LTO: of a growing file 2.0, 1.1, 0.6 and of zeros
//! 2.3, 0.5, 0.3 with 1, 64, 512 waiting (the first two say little: they swing threefold between runs); NDJSON 128,000
//! events/s at 4.6 us of CPU, POST 21,000 events/s at 24.5 us.

#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]

mod support;

use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    path::Path,
    sync::mpsc,
    time::{Duration, Instant},
};

use gapless::engine::{Append, Engine};
use support::{block_on, hub::Hub, median, payload, report::Report, store, wire::Publisher};
use tokio::{sync::oneshot, task::spawn_local};

const BYTES: usize = 256;
const TOPICS: u64 = 16;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(500);
/// Bytes of zeros: more than is written over them.
const ZEROS: u64 = 512 << 20;

fn main() {
    if !support::asked() {
        return;
    }
    let mut report = Report::new("publish");
    let dir = support::directory();
    let engine = store::engine(&dir.path().join("engine"));
    let logs = [Log::create(&dir.path().join("growing"), 0), Log::create(&dir.path().join("zeros"), ZEROS)];
    for waiting in [1, 64, 512] {
        let (mut rates, mut ratios) = (Vec::new(), [Vec::new(), Vec::new()]);
        for _ in 0..ROUNDS {
            let least = logs.each_ref().map(|log| rate(waiting, |n| log.append(payload(n, BYTES))));
            let ours = rate(waiting, |n| {
                let append = Append { events: vec![store::event(n, TOPICS, BYTES)], expect: None, key: None };
                let answer = engine.append(append);
                async move { drop(answer.await.expect("accepted")) }
            });
            rates.push(ours);
            for (ratios, least) in ratios.iter_mut().zip(least) {
                ratios.push(ours / least);
            }
        }
        report.row(format!("engine, {waiting} waiting"), median(rates), "events/s");
        for (ratios, what) in ratios.into_iter().zip(["a growing file", "a file of zeros"]) {
            report.row(format!("engine, {waiting} waiting, of what {what} takes"), median(ratios), "");
        }
    }
    engine.close();
    drop(engine);

    let hub = Hub::start(&dir.path().join("hub"));
    let publisher = Publisher::new(hub.address, "news", BYTES);
    let mut over_http = |what: &str, events: u64, publish: &mut dyn FnMut()| {
        let (begun, cpu) = (Instant::now(), hub.cpu());
        publish();
        report.row(format!("HTTP, {what}"), events as f64 / begun.elapsed().as_secs_f64(), "events/s");
        report.row(format!("HTTP, {what}: CPU"), (hub.cpu() - cpu) * 1e6 / events as f64, "us/event");
    };
    over_http("one NDJSON connection", 200_000, &mut || block_on(publisher.pour(0..200_000, 4096)));
    over_http("64 connections that POST", 20_000, &mut || block_on(publisher.post(0..20_000, 64)));
    report.finish();
}

/// Appends a second when `waiting` publishers wait for one at a time.
fn rate<F: Future<Output = ()> + 'static>(waiting: u64, append: impl Fn(u64) -> F) -> f64 {
    block_on(async {
        let begun = Instant::now();
        let (done, mut each) = tokio::sync::mpsc::unbounded_channel();
        let mut started = 0;
        let mut start = || {
            let (answer, done) = (append(started), done.clone());
            started += 1;
            spawn_local(async move {
                answer.await;
                // Nobody counts any more when the round is over.
                let _ = done.send(());
            });
        };
        (0..waiting).for_each(|_| start());
        let mut finished = 0_u64;
        while begun.elapsed() < ROUND {
            each.recv().await.expect("they all answer");
            finished += 1;
            start();
        }
        finished as f64 / begun.elapsed().as_secs_f64()
    })
}

/// An append-only file: what is as durable as the hub and does nothing else.
struct Log {
    queue: mpsc::Sender<(String, oneshot::Sender<()>)>,
}

impl Log {
    fn create(path: &Path, zeros: u64) -> Self {
        let mut file = File::create(path).expect("made");
        let filled = io::copy(&mut io::repeat(0).take(zeros), &mut file).and_then(|_| file.rewind());
        filled.and_then(|()| file.sync_all()).expect("written");
        let (queue, waiting) = mpsc::channel::<(String, oneshot::Sender<()>)>();
        std::thread::spawn(move || {
            while let Ok(first) = waiting.recv() {
                let group: Vec<_> = std::iter::once(first).chain(waiting.try_iter()).collect();
                let bytes: String = group.iter().map(|(data, _)| data.as_str()).collect();
                file.write_all(bytes.as_bytes()).and_then(|()| file.sync_data()).expect("written");
                for (_, done) in group {
                    let _ = done.send(());
                }
            }
        });
        Self { queue }
    }

    fn append(&self, data: String) -> impl Future<Output = ()> + use<> {
        let (done, answer) = oneshot::channel();
        self.queue.send((data, done)).expect("it runs");
        async move { answer.await.expect("written") }
    }
}
