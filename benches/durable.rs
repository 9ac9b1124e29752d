//! **How much of the disk's throughput is left for publishers?**
//!
//! Durable publishes with 1, 64 and 512 in flight, through the publisher of one shard without HTTP, against the least
//! that is durable: the same events appended to a growing file, by a thread that shares one fdatasync among all
//! publishers that wait. The same with 512 in flight, each two events in one commit. Then appends of 4,096 events, two
//! in flight, as a publish stream makes them. 256 B per event and 16 topics on both sides.
//!
//! The sides take turns, [`ROUND`] each, [`ROUNDS`] times, and each turn gives one ratio, so that other work on the
//! machine affects both. A figure is the median of the rounds; the quartiles show how reliable it is. CPU is the
//! scheduler's count for the threads of a side, without the publishers'. A third side overwrites zeros, so that the
//! file system does not update the file's length: it shows what the disk can do, and is not a target.

#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]

mod support;

use std::{
    cell::Cell,
    convert::Infallible,
    fs::{self, File},
    future::ready,
    io::{self, Read, Seek, Write},
    path::Path,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use gapless::{
    engine::{
        Engine,
        log::{LogConfig, LogEngine},
        sled::{SledConfig, SledStore},
    },
    event::{NewEvent, TopicName},
    hub::{
        Hub, HubConfig,
        broker::Broker,
        publisher::{Allowance, PublishLimits, Publisher},
    },
};
use support::{
    block_on, payload,
    report::{Better, Compare, Report},
    store,
};
use tokio::{sync::oneshot, task::spawn_local};

/// The allocator of the hub's binary, for both sides.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const BYTES: usize = 256;
const TOPICS: usize = 16;
const ROUNDS: usize = 81;
const ROUND: Duration = Duration::from_millis(60);
/// Bytes of zeros: more than is overwritten.
const ZEROS: u64 = 1 << 30;
/// Publishers, events in each append, and whether these are lines of a stream, each of which is an append for itself.
const LOADS: [(usize, usize, bool); 5] =
    [(1, 1, false), (64, 1, false), (512, 1, false), (512, 2, false), (2, 4096, true)];

const RATE: &str = "rate";

/// Publishers in flight: the ratio to reach, and the one to aim at.
const TARGETS: [(usize, f64, f64); 3] = [(1, 0.7, 0.85), (64, 0.65, 0.75), (512, 0.6, 0.7)];

fn main() {
    if !support::asked() {
        return;
    }
    // To profile one load.
    let only = std::env::var("DURABLE_WAITING").ok().and_then(|waiting| waiting.parse::<usize>().ok());
    let mut report = Report::new("durable");
    let dir = support::directory();
    let (engine, shard) = publisher(&dir.path().join("engine"));
    let log: Rc<dyn Appender> = Rc::new(Log::create(&dir.path().join("growing"), 0));
    let ours: Rc<dyn Appender> = Rc::new(Ours { engine: Arc::clone(&engine), publisher: Rc::new(shard) });
    let zeros: Rc<dyn Appender> = Rc::new(Log::create(&dir.path().join("zeros"), ZEROS));
    let mut published = 0;
    for (waiting, each, lines) in LOADS.into_iter().filter(|(waiting, ..)| only.is_none_or(|only| only == *waiting)) {
        let what = match (each, lines) {
            (1, _) => format!("{waiting} waiting"),
            (_, false) => format!("{waiting} waiting, {each} events each"),
            (_, true) => format!("appends of {each}"),
        };
        let turns: Vec<_> = (0..ROUNDS)
            .map(|turn| {
                // The sides alternate in who goes first.
                let [one, other] = if turn % 2 == 0 { [&log, &ours] } else { [&ours, &log] };
                let (one, other) = (Round::of(one, waiting, each, lines), Round::of(other, waiting, each, lines));
                let (log, ours) = if turn % 2 == 0 { (one, other) } else { (other, one) };
                published += ours.events;
                (log, ours, Round::of(&zeros, waiting, each, lines))
            })
            .collect();
        for (log, ours, zeros) in &turns {
            report.next_round();
            let sides = [("gapless (sled)", ours), ("append-only log", log), ("append-only log over zeros", zeros)];
            for (name, round) in sides {
                report.sample(&what, name, RATE, round.rate(), "events/s");
                report.sample(&what, name, "cpu per event", round.cpu_us(), "us");
                report.sample(&what, name, "events a sync", round.events as f64 / round.syncs as f64, "");
            }
        }
        let target = TARGETS.iter().find(|target| target.0 == waiting && each == 1);
        let (reach, aim) = (target.map(|target| target.1), target.map(|target| target.2));
        let (tells, inverse, better) = ("events a second", false, Better::Higher);
        let compare = Compare { case: &what, measure: RATE, tells, inverse, better, reach, aim };
        report.compare("gapless (sled)", "append-only log", &compare);
        let quartiles = quartiles(turns.iter().map(|(log, ours, _)| ours.rate() / log.rate()).collect());
        report.note(format!("{what}: half of the ratios were between {:.2} and {:.2}", quartiles[0], quartiles[2]));
    }
    assert_eq!(engine.head().seq.0, published, "every event has a position, and no position is without one");
    engine.close();
    report.finish();
}

/// The values a quarter, half and three quarters of the way up.
fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[values.len() * quarter / 4])
}

/// A side of the comparison.
trait Appender {
    /// Appends events, all in one commit or as lines of a stream; the future completes when they are durable.
    fn append(&self, events: Vec<NewEvent>, lines: bool) -> Pin<Box<dyn Future<Output = ()>>>;

    /// Runs while publishers append.
    fn run(&self) -> Pin<Box<dyn Future<Output = ()>>>;

    /// Syncs since it began.
    fn syncs(&self) -> u64;
}

/// The result of one side in one round.
struct Round {
    events: u64,
    syncs: u64,
    seconds: f64,
    cpu: f64,
}

impl Round {
    /// Lets `waiting` publishers append `each` events, one append after the other, until the round is over.
    fn of(side: &Rc<dyn Appender>, waiting: usize, each: usize, lines: bool) -> Self {
        let topics: Vec<_> = (0..TOPICS).map(|n| TopicName::new(&store::topic(n as u64)).expect("valid")).collect();
        let (cpu_before, syncs_before, begun) = (cpu(), side.syncs(), Instant::now());
        let events = Rc::new(Cell::new(0));
        block_on(async {
            let running = spawn_local(side.run());
            let publishers: Vec<_> = (0..waiting)
                .map(|first| {
                    let (side, topics, events) = (Rc::clone(side), topics.clone(), Rc::clone(&events));
                    let data = NewEvent::new(topics[0].clone(), payload(first as u64, BYTES)).data;
                    spawn_local(async move {
                        let mut topic = (first..).map(|n| topics[n % TOPICS].clone());
                        while begun.elapsed() < ROUND {
                            let event = |topic| NewEvent::new(topic, data.clone());
                            side.append(topic.by_ref().take(each).map(event).collect(), lines).await;
                            events.set(events.get() + each as u64);
                        }
                    })
                })
                .collect();
            for publisher in publishers {
                publisher.await.expect("they all answer");
            }
            running.abort();
        });
        let seconds = begun.elapsed().as_secs_f64();
        Self { events: events.get(), syncs: side.syncs() - syncs_before, seconds, cpu: cpu() - cpu_before }
    }

    fn rate(&self) -> f64 {
        self.events as f64 / self.seconds
    }

    fn cpu_us(&self) -> f64 {
        self.cpu * 1e6 / self.events as f64
    }
}

/// Seconds of CPU that this process's threads have used, without this one, on which the publishers run.
fn cpu() -> f64 {
    let own = std::process::id().to_string(); // also the main thread's
    let tasks = fs::read_dir("/proc/self/task").expect("proc(5)").flatten();
    let others = tasks.filter(|task| task.file_name().to_string_lossy() != own);
    // A thread may end meanwhile. The first number of its schedstat is the time it ran, in nanoseconds.
    let ran = others.filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    });
    ran.sum::<f64>() / 1e9
}

/// The publisher of a shard, as HTTP uses it.
struct Ours {
    engine: Arc<dyn Engine>,
    publisher: Rc<Publisher>,
}

/// A publisher to a hub over the store in `data`, and its engine.
fn publisher(data: &Path) -> (Arc<dyn Engine>, Publisher) {
    let config = HubConfig::fixture();
    let broker = Broker::new(1, &config);
    let store = SledStore::open(SledConfig::fixture(data)).expect("it opens");
    let engine: Arc<dyn Engine> = LogEngine::open(store, LogConfig::fixture(), Arc::clone(&broker) as _);
    let limits = PublishLimits { event_bytes: BYTES, batch_bytes: 1 << 20 };
    (Arc::clone(&engine), Publisher::new(Hub::new(engine, broker, config), limits))
}

/// Everyone may publish everything.
struct Free;

impl Allowance for Free {
    type Refusal = Infallible;

    fn charge(&self, _: &[NewEvent]) -> Result<(), Infallible> {
        Ok(())
    }
}

impl Appender for Ours {
    fn append(&self, events: Vec<NewEvent>, lines: bool) -> Pin<Box<dyn Future<Output = ()>>> {
        let publisher = Rc::clone(&self.publisher);
        if lines {
            let answer = publisher.publish_each(events).expect("the queue has room");
            return Box::pin(async move { drop(answer.await.expect("committed")) });
        }
        Box::pin(async move {
            let admitted = publisher.admit(events, None, &Free).expect("within the limits");
            drop(publisher.publish(admitted, None).await.expect("accepted"));
        })
    }

    fn run(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        let publisher = Rc::clone(&self.publisher);
        Box::pin(async move { publisher.run().await })
    }

    /// One a commit: `an_fdatasync_stands_between_a_commits_write_and_its_receipt` counts them.
    fn syncs(&self) -> u64 {
        block_on(self.engine.status()).commits_total
    }
}

/// An append-only file: as durable as the hub, and does nothing else.
struct Log {
    queue: mpsc::Sender<(Vec<NewEvent>, oneshot::Sender<()>)>,
    syncs: Arc<AtomicU64>,
}

impl Log {
    fn create(path: &Path, zeros: u64) -> Self {
        let mut file = File::create(path).expect("made");
        let filled = io::copy(&mut io::repeat(0).take(zeros), &mut file).and_then(|_| file.rewind());
        filled.and_then(|()| file.sync_all()).expect("written");
        let (queue, waiting) = mpsc::channel::<(Vec<NewEvent>, oneshot::Sender<()>)>();
        let syncs = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&syncs);
        let mut bytes = Vec::new();
        let write = move || {
            while let Ok(first) = waiting.recv() {
                let group: Vec<_> = std::iter::once(first).chain(waiting.try_iter()).collect();
                bytes.clear();
                for event in group.iter().flat_map(|(events, _)| events) {
                    bytes.extend_from_slice(event.topic.as_str().as_bytes());
                    bytes.extend_from_slice(event.data.bytes());
                }
                file.write_all(&bytes).and_then(|()| file.sync_data()).expect("written");
                counted.fetch_add(1, Ordering::Relaxed);
                for (_, done) in group {
                    let _ = done.send(());
                }
            }
        };
        thread::Builder::new().name("log".into()).spawn(write).expect("a thread");
        Self { queue, syncs }
    }
}

impl Appender for Log {
    fn append(&self, events: Vec<NewEvent>, _lines: bool) -> Pin<Box<dyn Future<Output = ()>>> {
        let (done, answer) = oneshot::channel();
        self.queue.send((events, done)).expect("it runs");
        Box::pin(async move { answer.await.expect("written") })
    }

    fn run(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(ready(()))
    }

    fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }
}
