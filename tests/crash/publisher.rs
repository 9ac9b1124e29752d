//! Publishers of every kind, which continue whatever happens to the hub.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use fastrand::Rng;
use serde_json::{Value, json};

use crate::{
    Plan,
    ledger::{Ledger, Sent},
    support::{
        PATIENCE,
        wire::{Incoming, try_open},
    },
};

/// What a publisher does all the time; two of each make eight.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// One event a request.
    Raw,
    /// An array: all or nothing.
    Batch,
    /// A stream of lines with receipts.
    Lines,
    /// Single events and batches with a key, retried until there is a receipt.
    Keyed,
}

const KINDS: [Kind; 8] = {
    use Kind::{Batch, Keyed, Lines, Raw};
    [Raw, Batch, Lines, Keyed, Keyed, Lines, Batch, Raw]
};

/// Longest pause between two publishes: all together some hundred events a second, on a machine that has more to do.
const PAUSE: Duration = Duration::from_millis(30);

struct Publisher {
    address: SocketAddr,
    name: String,
    random: Rng,
    topics: &'static [&'static str],
    data_bytes: usize,
    count: u64,
    ledger: Arc<Ledger>,
    stop: Arc<AtomicBool>,
}

pub(crate) fn start(
    address: SocketAddr,
    random: &Rng,
    plan: &Plan,
    ledger: &Arc<Ledger>,
    stop: &Arc<AtomicBool>,
) -> Vec<JoinHandle<()>> {
    let mut random = random.clone();
    let start = |(number, kind): (usize, Kind)| {
        let publisher = Publisher {
            address,
            name: format!("{kind:?}{number}"),
            random: random.fork(),
            topics: plan.topics,
            data_bytes: plan.data_bytes,
            count: 0,
            ledger: Arc::clone(ledger),
            stop: Arc::clone(stop),
        };
        thread::spawn(move || publisher.run(kind))
    };
    KINDS.into_iter().enumerate().map(start).collect()
}

/// What ends each topic's stream for the subscribers.
pub(crate) const LAST: &str = "the last event of this topic";

/// Publishes one more event to each topic, so that every subscriber knows when it has seen all.
pub(crate) fn end_each(address: SocketAddr, topics: &[&str], ledger: &Ledger) {
    for topic in topics {
        let events = vec![Sent { topic: (*topic).into(), data: format!("{topic}|{LAST}") }];
        let ids = post(address, &events[..], None).expect("nobody kills it any more");
        ledger.acknowledged(events, ids);
    }
}

impl Publisher {
    fn run(mut self, kind: Kind) {
        while !self.stop.load(Ordering::SeqCst) {
            match kind {
                Kind::Raw => {
                    let events = self.events(1);
                    self.once(events);
                }
                Kind::Batch => {
                    let count = self.random.usize(2..7);
                    let events = self.events(count);
                    self.once(events);
                }
                Kind::Keyed => {
                    let count = if self.random.bool() { 1 } else { 3 };
                    let events = self.events(count);
                    self.until_there_is_a_receipt(events);
                }
                Kind::Lines => self.lines(),
            }
            thread::sleep(PAUSE.mul_f64(self.random.f64()));
        }
    }

    fn events(&mut self, count: usize) -> Vec<Sent> {
        (0..count).map(|_| self.event()).collect()
    }

    fn event(&mut self) -> Sent {
        self.count += 1;
        let topic = *self.random.choice(self.topics).expect("topics");
        // Few are long, and some have lines.
        let length = self.data_bytes.checked_shr(self.random.u32(0..8)).unwrap_or(0);
        let filler = if self.random.u8(0..4) == 0 { "line\n" } else { "x" };
        let data = format!("{topic}|{} {} {}", self.name, self.count, filler.repeat(length / filler.len()));
        Sent { topic: topic.into(), data }
    }

    fn once(&self, events: Vec<Sent>) {
        match post(self.address, &events, None) {
            Ok(ids) => self.ledger.acknowledged(events, ids),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {} // the hub is away
            Err(_) => self.ledger.unknown(events),
        }
    }

    fn until_there_is_a_receipt(&self, events: Vec<Sent>) {
        let key = format!("{}-{}", self.name, self.count);
        loop {
            if let Ok(ids) = post(self.address, &events, Some(&key)) {
                return self.ledger.acknowledged(events, ids);
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Publishes a stream over one connection, a few events ahead of their receipts, until it breaks or is long enough.
    fn lines(&mut self) {
        let mut waiting: std::collections::VecDeque<Sent> = std::collections::VecDeque::new();
        let broken = self.pour(&mut waiting).is_err();
        assert!(broken || waiting.is_empty(), "a stream of lines that ends has a receipt for each");
        for event in waiting {
            self.ledger.unknown(vec![event]);
        }
    }

    fn pour(&mut self, waiting: &mut std::collections::VecDeque<Sent>) -> io::Result<()> {
        let mut socket = TcpStream::connect(self.address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let head = "POST /publish HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n\
                    transfer-encoding: chunked\r\n\r\n";
        socket.write_all(head.as_bytes())?;
        let mut answer: Option<Incoming> = None;
        let ahead = self.random.usize(1..10);
        for _ in 0..self.random.usize(1..200) {
            let event = self.event();
            let line = format!("{}\n", envelope(&event));
            waiting.push_back(event);
            socket.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes())?;
            while waiting.len() >= ahead {
                self.receipt(&socket, &mut answer, waiting)?;
            }
            if self.stop.load(Ordering::SeqCst) {
                break;
            }
            thread::sleep(PAUSE.mul_f64(self.random.f64()));
        }
        socket.write_all(b"0\r\n\r\n")?;
        while !waiting.is_empty() {
            self.receipt(&socket, &mut answer, waiting)?;
        }
        Ok(())
    }

    fn receipt(
        &self,
        socket: &TcpStream,
        answer: &mut Option<Incoming>,
        waiting: &mut std::collections::VecDeque<Sent>,
    ) -> io::Result<()> {
        let answer = match answer {
            Some(answer) => answer,
            none => none.insert(Incoming::read(socket.try_clone()?, false)?),
        };
        assert_eq!(answer.status, 200);
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let mut byte = [0];
            answer.read_exact(&mut byte)?;
            line.push(byte[0]);
        }
        let receipt: Value = serde_json::from_slice(&line).unwrap();
        let event = waiting.pop_front().expect("a receipt for each event");
        assert_eq!(receipt["topic"], event.topic.as_str(), "receipts come in order: {receipt}");
        self.ledger.acknowledged(vec![event], vec![id(&receipt)]);
        Ok(())
    }
}

fn envelope(event: &Sent) -> Value {
    json!({ "topic": event.topic, "data": event.data })
}

/// Publishes one event raw, or several as an array. An error means that the outcome is unknown.
fn post(address: SocketAddr, events: &[Sent], key: Option<&str>) -> io::Result<Vec<String>> {
    let (target, content_type, body) = match events {
        [event] => {
            let query: String = form_urlencoded::byte_serialize(event.topic.as_bytes()).collect();
            (format!("/publish?topic={query}"), "text/plain", event.data.clone())
        }
        many => ("/publish".into(), "application/json", many.iter().map(envelope).collect::<Value>().to_string()),
    };
    let mut headers = vec![("content-type", content_type)];
    headers.extend(key.map(|key| ("idempotency-key", key)));
    let mut answer = try_open(address, "POST", &target, &headers, body.as_bytes())?;
    let mut text = Vec::new();
    answer.read_to_end(&mut text)?;
    let length = answer.headers.get("content-length").and_then(|length| length.parse().ok());
    if length.is_some_and(|length: usize| text.len() < length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&text));
    let receipt: Value = serde_json::from_slice(&text).unwrap();
    Ok(match receipt["events"].as_array() {
        Some(receipts) => receipts.iter().map(id).collect(),
        None => vec![id(&receipt)],
    })
}

fn id(receipt: &Value) -> String {
    receipt["id"].as_str().unwrap_or_else(|| panic!("no receipt: {receipt}")).into()
}
