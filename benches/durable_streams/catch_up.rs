//! Old data read from the beginning, by one reader and by many at once.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use crate::{
    append::{all_well, fill},
    connection::Connection,
    content::{ARRAY, Content, Shape},
    door::Stream,
    servers::{Server, bounded},
    support::{machine, report::Report, rounds},
};

const MB: f64 = 1e6;

/// Bytes of an append of the large stream.
const LARGE: usize = 16 << 10;

/// Readers at once.
const MANY: usize = 50;

/// Longest time of a case.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const RATE: &str = "read";
pub(crate) const CPU: &str = "cpu per MB read";
pub(crate) const TIME: &str = "until all had all";

/// The streams, with the number of appends that they are made of.
fn streams() -> [(&'static str, Content, u64); 2] {
    let large = (rounds::sized(100.0, 5.0) * MB) as u64 / LARGE as u64;
    let small = rounds::sized(10_000, 1_000) / ARRAY;
    let name = rounds::sized("10,000 messages of JSON", "1,000 messages of JSON");
    [("100 MB", Content::new(Shape::Text, LARGE), large), (name, Content::new(Shape::Arrays, 100), small)]
}

/// The names of the cases.
pub(crate) fn cases() -> Vec<String> {
    streams().iter().flat_map(|(name, ..)| [1, MANY].map(|readers| case(name, readers))).collect()
}

fn case(stream: &str, readers: usize) -> String {
    format!("{stream}, {readers} readers")
}

/// Measures all cases.
///
/// # Errors
/// What a reader lost.
pub(crate) async fn measure(server: &Server, report: &mut Report) -> Result<(), String> {
    for (name, content, appends) in streams() {
        let messages = appends * content.messages();
        let stream = Rc::new(Stream::new(server.kind, format!("catch-up-{}", content.bytes()), &content));
        bounded(PATIENCE, fill(server, &stream, appends)).await?;
        // Once for what a server does only at the first time.
        stream.catch_up(&mut Connection::open(server.address).await?, messages).await?;
        for readers in [1, MANY] {
            let case = case(name, readers);
            if server.has_failed(&case) {
                continue;
            }
            // Node's server answers each reader with a copy of all of it.
            let needed = 2 * readers as u64 * messages * content.bytes() as u64;
            let outcome = if server.kind.is_node() && machine::available_memory() < needed {
                Err(format!("left out, {:.0} GB of memory were not free", needed as f64 / 1e9))
            } else {
                bounded(PATIENCE, measure_case(server, &stream, messages, readers, &case, report)).await
            };
            server.judge(&case, outcome, report)?;
        }
    }
    Ok(())
}

async fn measure_case(
    server: &Server,
    stream: &Rc<Stream>,
    messages: u64,
    readers: usize,
    case: &str,
    report: &mut Report,
) -> Result<(), String> {
    let mut connections = Vec::new();
    for _ in 0..readers {
        connections.push(Connection::open(server.address).await?);
    }
    let (before, begun) = (server.used(), Instant::now());
    let mut tasks = JoinSet::new();
    for mut connection in connections {
        let stream = Rc::clone(stream);
        tasks.spawn_local(async move { stream.catch_up(&mut connection, messages).await });
    }
    all_well(tasks).await?;
    let (took, cpu) = (begun.elapsed().as_secs_f64(), server.used().since(&before));
    let megabytes = (readers as u64 * messages * stream.content.bytes() as u64) as f64 / MB;
    let contender = server.kind.name();
    report.sample(case, contender, RATE, megabytes / took, "MB/s");
    report.sample(case, contender, CPU, cpu * 1e3 / megabytes, "ms");
    report.sample(case, contender, TIME, took * 1e3, "ms");
    Ok(())
}
