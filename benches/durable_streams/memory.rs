//! Memory of a server that has many streams.

use std::{cell::Cell, rc::Rc, time::Duration};

use tokio::{task::JoinSet, time::sleep};

use crate::{
    append::all_well,
    connection::Connection,
    content::{Content, Shape},
    door::Stream,
    servers::{Kind, Server, bounded},
    support::{report::Report, rounds},
};

const MIB: f64 = (1 << 20) as f64;

/// Messages of each stream, one append for each, and their bytes.
const MESSAGES: usize = 10;
const BYTES: usize = 100;

pub(crate) const EACH: &str = "memory per stream";

/// Longest time until all streams are there, and until all have their messages.
const PATIENCE: Duration = Duration::from_mins(2);

/// Writers at once.
const WRITERS: usize = 32;

fn streams() -> usize {
    rounds::sized(10_000, 200)
}

/// The name of the case.
pub(crate) fn case() -> String {
    format!("{} streams of {MESSAGES} messages", streams())
}

/// Measures it.
///
/// # Errors
/// The first append that failed.
pub(crate) async fn measure(server: &Server, report: &mut Report) -> Result<(), String> {
    settle().await;
    let before = server.resident();
    for phase in [Phase::Create, Phase::Append] {
        let next = Rc::new(Cell::new(0));
        let mut tasks = JoinSet::new();
        for _ in 0..WRITERS {
            let connection = Connection::open(server.address).await?;
            tasks.spawn_local(write(server.kind, phase, connection, Rc::clone(&next)));
        }
        bounded(PATIENCE, all_well(tasks)).await?;
    }
    settle().await;
    let (case, name, after) = (case(), server.kind.name(), server.resident());
    report.sample(&case, name, "memory at the start", before / MIB, "MiB");
    report.sample(&case, name, "memory", after / MIB, "MiB");
    report.sample(&case, name, EACH, (after - before) / 1024.0 / streams() as f64, "KiB");
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Create,
    Append,
}

/// One writer's part of all streams; `next` is the stream that the next writer takes.
async fn write(kind: Kind, phase: Phase, mut connection: Connection, next: Rc<Cell<usize>>) -> Result<(), String> {
    loop {
        let n = next.replace(next.get() + 1);
        if n >= streams() {
            return Ok(());
        }
        let stream = Stream::new(kind, format!("memory/{n}"), &Content::new(Shape::Text, BYTES));
        if phase == Phase::Create {
            stream.create(&mut connection).await?;
        } else {
            let mut append = stream.append();
            for _ in 0..MESSAGES {
                append.send(&mut connection).await?;
            }
        }
    }
}

/// Waits until freed memory is returned and pending work is done.
async fn settle() {
    sleep(rounds::sized(Duration::from_secs(1), Duration::from_millis(300))).await;
}
