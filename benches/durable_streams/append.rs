//! Appends in a closed loop: each writer has a stream and a connection of its own, and one append in flight.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use crate::{
    connection::Connection,
    content::{Content, Shape},
    door::{Append, Stream},
    servers::{Server, bounded},
    support::{report::Report, rounds},
};

/// Microseconds.
pub(crate) type Times = Histogram<u64>;

pub(crate) const RATE: &str = "appends";
pub(crate) const CPU: &str = "cpu per append";

/// Longest time of a case.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the writers of a case write.
fn interval() -> Duration {
    rounds::sized(Duration::from_millis(700), rounds::interval())
}

/// A case: writers, and what each of them appends.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) writers: usize,
    shape: Shape,
    bytes: usize,
}

/// A writer after its work.
struct Written {
    stream: Stream,
    append: Append,
    times: Times,
}

/// The cases. The first ones are compared.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for bytes in [100, 1024] {
        for writers in rounds::sized(vec![1, 64, 256], vec![1, 16]) {
            let name = format!("{bytes} B, {writers} writers");
            cases.push(Case { name, writers, shape: Shape::Text, bytes });
        }
    }
    for writers in [1, 64] {
        let name = format!("100 messages of 100 B, {writers} writers");
        cases.push(Case { name, writers, shape: Shape::Arrays, bytes: 100 });
    }
    cases
}

/// Measures all cases, and reads back what was acknowledged.
///
/// # Errors
/// The first append that failed, or message that was lost.
pub(crate) async fn measure(server: &Server, report: &mut Report) -> Result<(), String> {
    for (index, case) in cases().iter().enumerate().filter(|(_, case)| !server.has_failed(&case.name)) {
        let outcome = bounded(PATIENCE, measure_case(server, index, case, report)).await;
        server.judge(&case.name, outcome, report)?;
    }
    Ok(())
}

async fn measure_case(server: &Server, index: usize, case: &Case, report: &mut Report) -> Result<(), String> {
    let mut writers = Vec::new();
    for writer in 0..case.writers {
        let stream =
            Stream::new(server.kind, format!("append-{index}-{writer}"), &Content::new(case.shape, case.bytes));
        let mut connection = Connection::open(server.address).await?;
        stream.create(&mut connection).await?;
        // What a server does only once for a connection or a stream is not counted.
        let mut append = stream.append();
        append.send(&mut connection).await?;
        writers.push((stream, append, connection));
    }
    let (before, begun) = (server.used(), Instant::now());
    let until = begun + interval();
    let mut tasks = JoinSet::new();
    for (stream, append, connection) in writers {
        tasks.spawn_local(write(stream, append, connection, until));
    }
    let mut written = Vec::new();
    while let Some(task) = tasks.join_next().await {
        written.push(task.expect("no panic")?);
    }
    let (took, cpu) = (begun.elapsed(), server.used().since(&before));
    tell(server, case, &written, took, cpu, report);
    for Written { stream, append, .. } in written {
        let mut connection = Connection::open(server.address).await?;
        stream.catch_up(&mut connection, append.made * stream.content.messages()).await?;
    }
    Ok(())
}

async fn write(
    stream: Stream,
    mut append: Append,
    mut connection: Connection,
    until: Instant,
) -> Result<Written, String> {
    let mut times = times();
    while Instant::now() < until {
        let sent = Instant::now();
        append.send(&mut connection).await?;
        record(&mut times, sent.elapsed());
    }
    Ok(Written { stream, append, times })
}

fn tell(server: &Server, case: &Case, written: &[Written], took: Duration, cpu: f64, report: &mut Report) {
    let mut all = times();
    for writer in written {
        all.add(&writer.times).expect("the same bounds");
    }
    let (name, count) = (server.kind.name(), all.len() as f64);
    report.sample(&case.name, name, RATE, count / took.as_secs_f64(), "appends/s");
    report.sample(&case.name, name, "ack p50", milliseconds(&all, 0.5), "ms");
    report.sample(&case.name, name, "ack p99", milliseconds(&all, 0.99), "ms");
    report.sample(&case.name, name, CPU, cpu * 1e6 / count, "us");
}

pub(crate) fn times() -> Times {
    Histogram::new_with_bounds(1, 600_000_000, 3).expect("valid bounds")
}

pub(crate) fn record(times: &mut Times, time: Duration) {
    times.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1));
}

pub(crate) fn milliseconds(times: &Times, quantile: f64) -> f64 {
    times.value_at_quantile(quantile) as f64 / 1e3
}

/// A stream of `appends`, from one writer.
///
/// # Errors
/// The first append that failed.
pub(crate) async fn fill(server: &Server, stream: &Stream, appends: u64) -> Result<(), String> {
    let mut connection = Connection::open(server.address).await?;
    stream.create(&mut connection).await?;
    let mut append = stream.append();
    while append.made < appends {
        append.send(&mut connection).await?;
    }
    Ok(())
}

/// The result of all `tasks`; the others end at the first one that fails.
///
/// # Errors
/// That of the first one that failed.
pub(crate) async fn all_well(mut tasks: JoinSet<Result<(), String>>) -> Result<(), String> {
    while let Some(task) = tasks.join_next().await {
        task.expect("no panic")?;
    }
    Ok(())
}
