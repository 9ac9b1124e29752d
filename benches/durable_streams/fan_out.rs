//! One stream, one writer at a steady rate, and many readers that follow it.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{
    task::JoinSet,
    time::{sleep, sleep_until},
};

use crate::{
    append::{Times, milliseconds, record, times},
    connection::Connection,
    content::{Content, Shape},
    door::{Live, Stream},
    servers::{Server, bounded},
    sse::SseData,
    support::{report::Report, rounds},
};

/// Bytes of a message, and messages a second, as in the fan-out of ds-bench.
const BYTES: usize = 256;
const PER_SECOND: u32 = 50;

/// Messages that are appended first and not counted.
const WARM: u64 = 5;

/// Longest time from the last append until all readers have it.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) const CPU: &str = "cpu per delivery";
pub(crate) const P50: &str = "delivery p50";
pub(crate) const P99: &str = "delivery p99";

/// What the readers of a stream share with its writer.
struct Shared {
    stream: Stream,
    /// When each message was due.
    due: RefCell<Vec<Instant>>,
    times: RefCell<Times>,
    /// Messages that came.
    received: Cell<u64>,
    /// Messages that each reader will have received at the end.
    all: u64,
}

/// How many readers, and how they read.
pub(crate) fn cases() -> Vec<(String, usize, Live)> {
    let mut cases = Vec::new();
    for (live, what) in [(Live::Sse, "sse"), (Live::LongPoll, "long-poll")] {
        for readers in rounds::sized(vec![1, 100, 1_000], vec![1, 50]) {
            cases.push((format!("{readers} readers, {what}"), readers, live));
        }
    }
    cases
}

/// Measures all cases.
///
/// # Errors
/// What a reader lost, or how many deliveries came.
pub(crate) async fn measure(server: &Server, report: &mut Report) -> Result<(), String> {
    for (index, (case, readers, live)) in
        cases().into_iter().enumerate().filter(|(_, (case, ..))| !server.has_failed(case))
    {
        let work = measure_case(server, index, &case, readers, live, report);
        let outcome = bounded(3 * PATIENCE, work).await;
        server.judge(&case, outcome, report)?;
    }
    Ok(())
}

async fn measure_case(
    server: &Server,
    index: usize,
    case: &str,
    readers: usize,
    live: Live,
    report: &mut Report,
) -> Result<(), String> {
    let measured = (f64::from(PER_SECOND) * rounds::sized(1.2, 0.4)) as u64;
    let stream = Stream::new(server.kind, format!("fan-out-{index}"), &Content::new(Shape::Text, BYTES));
    let mut writer = Connection::open(server.address).await?;
    stream.create(&mut writer).await?;
    let mut append = stream.append();
    let shared = Rc::new(Shared {
        stream,
        due: RefCell::default(),
        times: RefCell::new(times()),
        received: Cell::new(0),
        all: WARM + measured,
    });
    let mut tasks = JoinSet::new();
    for _ in 0..readers {
        let connection = Connection::open(server.address).await?;
        tasks.spawn_local(read(Rc::clone(&shared), connection, live));
    }
    // Long polls have no head by which they could be known to wait.
    sleep(Duration::from_millis(100)).await;
    for _ in 0..WARM {
        shared.due.borrow_mut().push(Instant::now());
        append.send(&mut writer).await?;
    }
    let readers = readers as u64;
    come(&shared, WARM * readers, &mut tasks).await?;
    shared.times.borrow_mut().reset();

    let (before, begun) = (server.used(), tokio::time::Instant::now());
    for n in 0..measured {
        let due = begun + Duration::from_secs(1) / PER_SECOND * u32::try_from(n).expect("few");
        sleep_until(due).await;
        shared.due.borrow_mut().push(due.into_std());
        append.send(&mut writer).await?;
    }
    come(&shared, shared.all * readers, &mut tasks).await?;
    let cpu = server.used().since(&before);
    let (name, times) = (server.kind.name(), shared.times.borrow());
    report.sample(case, name, P50, milliseconds(&times, 0.5), "ms");
    report.sample(case, name, P99, milliseconds(&times, 0.99), "ms");
    report.sample(case, name, CPU, cpu * 1e6 / (measured * readers) as f64, "us");
    Ok(())
}

/// Waits until `count` messages came to the readers together.
async fn come(shared: &Shared, count: u64, tasks: &mut JoinSet<Result<(), String>>) -> Result<(), String> {
    let begun = Instant::now();
    while shared.received.get() < count {
        sleep(Duration::from_millis(1)).await;
        while let Some(task) = tasks.try_join_next() {
            task.expect("no panic")?;
        }
        if begun.elapsed() > PATIENCE {
            let received = shared.received.get();
            return Err(format!("{received} of {count} deliveries came within {} s", PATIENCE.as_secs()));
        }
    }
    Ok(())
}

/// A reader, until it has everything.
async fn read(shared: Rc<Shared>, mut connection: Connection, live: Live) -> Result<(), String> {
    let mut verifier = shared.stream.content.verifier();
    let (mut data, mut offset) = (SseData::default(), "-1".to_owned());
    if live == Live::Sse {
        shared.stream.follow(&mut connection).await?;
    }
    let mut count = 0;
    while count < shared.all {
        let each = |n: u64| {
            let due = shared.due.borrow()[usize::try_from(n).expect("few")];
            record(&mut shared.times.borrow_mut(), due.elapsed());
            shared.received.set(shared.received.get() + 1);
            count += 1;
        };
        match live {
            Live::LongPoll => shared.stream.poll(&mut connection, &mut offset, &mut verifier, each).await?,
            Live::Sse => {
                let mut each = each;
                if !connection.more(|bytes| data.take(bytes, |data| verifier.take(data, &mut each))).await? {
                    return Err(format!("a stream ends after {count} messages"));
                }
            }
        }
    }
    Ok(())
}
