//! Paced publishers: one NDJSON stream to every other topic, and POSTs to the rest. A topic has one publisher, so that
//! its events are in the order of their numbers.

use std::{cell::Cell, fmt::Write as _, ops::Range, rc::Rc, time::Duration};

use gapless::event::EventId;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpStream, tcp::OwnedReadHalf},
    task::spawn_local,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::world::World;

/// Bytes of letters in an event.
const BYTES: Range<usize> = 40..1200;
/// 300 events a second as lines of a stream, as a service would forward events.
const POURED: usize = 6;
const POUR_EVERY: Duration = Duration::from_millis(20);
/// 8 clients with 12.5 POSTs a second each.
pub(crate) const CLIENTS: usize = 8;
const POST_EVERY: Duration = Duration::from_millis(80);
/// Lines without a receipt at which the stream pauses: the hub is not keeping up, and more lines would only wait.
const WAITING: u64 = 4096;
/// Longest time to wait for one response.
const PATIENCE: Duration = Duration::from_mins(1);
/// Rounds of a publisher without the quiet topics, for each round with them.
const HUSH: u64 = 200;

/// Publishes the first event of every topic and returns the last id: after it every stream must receive everything.
pub(crate) async fn first(world: &World) -> EventId {
    let mut socket = connect(world).await;
    let mut last = None;
    for topic in 0..world.topics.len() {
        last = Some(post(&mut socket, &world.topics[topic].name, &world.data(topic, 0)).await);
    }
    last.expect("there are topics")
}

/// The topics of publisher `which` of `of`, in the order of publishing.
fn turns(world: &World, which: usize, of: usize) -> impl Iterator<Item = usize> {
    let own: Vec<usize> = (which..world.topics.len()).step_by(of).collect();
    let quiet: Vec<bool> = own.iter().map(|&topic| world.topics[topic].name.starts_with("soak/quiet/")).collect();
    (0_u64..).flat_map(move |round| {
        let heard = |at: &usize| !quiet[*at] || round % HUSH == 0;
        (0..own.len()).filter(heard).map(|at| own[at]).collect::<Vec<_>>()
    })
}

fn bytes(rng: &mut fastrand::Rng) -> usize {
    rng.usize(BYTES)
}

/// Publishes one NDJSON stream until the soak is over; returns when every line has its receipt.
pub(crate) async fn pour(world: Rc<World>) {
    let (reader, mut writer) = connect(&world).await.into_split();
    let head = "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
    writer.write_all(head.as_bytes()).await.expect("it listens");
    let received = Rc::new(Cell::new(0));
    let receipts = spawn_local(receive(reader, Rc::clone(&received)));
    let (mut rng, mut sent) = (fastrand::Rng::with_seed(1), 0);
    let mut topics = turns(&world, 0, 2);
    let mut ticks = ticks(POUR_EVERY);
    while !world.closing.get() {
        ticks.tick().await;
        if sent - received.get() > WAITING {
            continue;
        }
        let mut lines = String::new();
        for topic in topics.by_ref().take(POURED) {
            let (name, data) = (&world.topics[topic].name, world.data(topic, bytes(&mut rng)));
            writeln!(lines, "{{\"topic\":\"{name}\",\"data\":\"{data}\"}}").expect("memory");
            sent += 1;
        }
        let chunk = format!("{:x}\r\n{lines}\r\n", lines.len());
        timeout(PATIENCE, writer.write_all(chunk.as_bytes())).await.expect("it reads on").expect("it reads");
    }
    writer.write_all(b"0\r\n\r\n").await.expect("it reads");
    timeout(PATIENCE, receipts).await.expect("it answers in time").expect("no mistake");
    assert_eq!(sent, received.get(), "a receipt for each line");
}

/// Counts receipts, whose ids must increase.
async fn receive(reader: OwnedReadHalf, received: Rc<Cell<u64>>) {
    let (mut lines, mut newest) = (BufReader::new(reader).lines(), 0);
    while let Some(line) = lines.next_line().await.expect("it answers") {
        assert!(!line.contains("\"error\""), "a line was refused: {line}");
        if line.starts_with('{') {
            let seq = receipt(&line).seq.0;
            assert!(seq > newest, "receipts come in order");
            newest = seq;
            received.set(received.get() + 1);
        } else if line == "0" {
            return;
        }
    }
}

/// A client that publishes one event at a time until the soak is over.
pub(crate) async fn posting(world: Rc<World>, client: usize) {
    let mut socket = connect(&world).await;
    let mut rng = fastrand::Rng::with_seed(100 + client as u64);
    let mut topics = turns(&world, 2 * client + 1, 2 * CLIENTS);
    let mut ticks = ticks(POST_EVERY);
    while !world.closing.get() {
        ticks.tick().await;
        let topic = topics.next().expect("they go on");
        let data = world.data(topic, bytes(&mut rng));
        post(&mut socket, &world.topics[topic].name, &data).await;
    }
}

async fn post(socket: &mut TcpStream, topic: &str, data: &str) -> EventId {
    let ask = format!(
        "POST /publish?topic={topic} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{data}",
        data.len()
    );
    socket.write_all(ask.as_bytes()).await.expect("it listens");
    let mut answer = Vec::new();
    // A receipt is one line of JSON at the end of the response.
    while !answer.trim_ascii_end().ends_with(b"}") {
        let read = timeout(PATIENCE, socket.read_buf(&mut answer)).await.expect("it answers in time");
        assert!(read.expect("it answers") > 0, "it hung up");
    }
    let text = String::from_utf8(answer).expect("text");
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    receipt(&text)
}

fn receipt(text: &str) -> EventId {
    let id = text.split_once("\"id\":\"").and_then(|(_, rest)| EventId::parse(rest.split_once('"')?.0));
    id.unwrap_or_else(|| panic!("no receipt: {text}"))
}

async fn connect(world: &World) -> TcpStream {
    let socket = TcpStream::connect(world.hub).await.expect("it accepts");
    socket.set_nodelay(true).expect("a socket");
    socket
}

/// A pace that does not catch up after a pause: a burst would be a different load.
fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
