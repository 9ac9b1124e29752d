//! Publishers over HTTP with little overhead of their own: one thread, one epoll, raw bytes. And the servers they
//! publish to, each a process of its own, so that its CPU time is its own.

use std::{
    fs,
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use rustix::{
    buffer::spare_capacity,
    event::epoll,
    process::{Pid, Signal, kill_process},
    thread::{CpuSet, sched_setaffinity},
};

/// Longest time to wait for a response before the bench fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Topics or streams that the connections share.
const TOPICS: usize = 16;

/// Bytes of the number that each payload begins with, in hexadecimal.
const DIGITS: usize = 16;

/// The protocol of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Gapless,
    /// The crate `durable-streams`: an append is a POST to the stream, answered with 204 when it is durable.
    DurableStreams,
}

/// A running server; terminated and awaited when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) dialect: Dialect,
    process: Child,
}

impl Server {
    /// Starts `program` over `data`, pinned to `cpu` if that is given. Returns when it accepts connections.
    pub(crate) fn start(dialect: Dialect, program: &Path, data: &Path, cpu: Option<usize>) -> Self {
        let mut command = Command::new(cpu.map_or(program, |_| Path::new("taskset")));
        if let Some(cpu) = cpu {
            command.arg("-c").arg(cpu.to_string()).arg(program);
        }
        match dialect {
            Dialect::Gapless => command.args(["serve", "--listen", "127.0.0.1:0", "--log-level", "error", "--data"]),
            Dialect::DurableStreams => {
                command.args(["--durability", "wal", "--port", &free_port().to_string(), "--data-dir"])
            }
        };
        let mut process = command.arg(data).stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut stdout = BufReader::new(process.stdout.take().expect("piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("it greets");
        let address = line.split_once("http://").and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
        // The pipe is kept open and read: a process that writes into a closed one would get EPIPE.
        std::thread::spawn(move || io::copy(&mut stdout, &mut io::sink()));
        let server = Self { address: address.expect("it greets with its address"), dialect, process };
        if dialect == Dialect::DurableStreams {
            for topic in 0..TOPICS {
                let answer = server.ask(&format!("PUT /jobs-{topic} HTTP/1.1\r\nHost: localhost\r\n{BINARY}"));
                assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
            }
        }
        server
    }

    /// Seconds of CPU used so far, user and system, by all its threads. The kernel counts in ticks of 10 ms.
    pub(crate) fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).expect("it runs");
        // The process name may contain any character, so fields 14 and 15 of proc(5) are counted from its closing
        // bracket.
        let (_, fields) = stat.rsplit_once(')').expect("proc(5)");
        let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().expect("proc(5)"));
        ticks.sum::<f64>() / 100.0
    }

    /// The events that the server reports to have accepted: its own count, or the bytes of its streams divided by the
    /// size of an event.
    pub(crate) fn accepted(&self, bytes: usize) -> u64 {
        match self.dialect {
            Dialect::Gapless => {
                let answer = self.ask("GET /admin/stats HTTP/1.1\r\nHost: localhost\r\n");
                number_after(&answer, "\"in_total\":")
            }
            Dialect::DurableStreams => (0..TOPICS)
                .map(|topic| {
                    let answer = self.ask(&format!("HEAD /jobs-{topic} HTTP/1.1\r\nHost: localhost\r\n"));
                    let (_, offset) = answer.split_once("stream-next-offset: ").expect("its length");
                    let offset = offset.lines().next().expect("text");
                    let bytes_in: u64 = offset.rsplit('_').next().expect("text").parse().expect("a number");
                    bytes_in / bytes as u64
                })
                .sum(),
        }
    }

    /// The response to a request without a body; `head` is the request's head without its last line break.
    fn ask(&self, head: &str) -> String {
        let mut socket = TcpStream::connect(self.address).expect("it accepts");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        write!(socket, "{head}Connection: close\r\n\r\n").expect("it reads");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("it answers");
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        // A bench that fails must still end its server; errors no longer matter.
        let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
        let _ = self.process.wait();
    }
}

const BINARY: &str = "Content-Type: application/octet-stream\r\n";

/// A port that is free now, for a server that cannot choose one itself.
fn free_port() -> u16 {
    let any = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    any.local_addr().expect("bound").port()
}

/// Pins this thread to `cpu`, or lets it run on any processor.
pub(crate) fn pin(cpu: Option<usize>) {
    let mut set = CpuSet::new();
    match cpu {
        Some(cpu) => set.set(cpu),
        None => (0..CpuSet::MAX_CPU).for_each(|cpu| set.set(cpu)),
    }
    sched_setaffinity(None, &set).expect("the CPUs are there");
}

/// The result of a round of publishing.
pub(crate) struct Round {
    pub(crate) events: u64,
    pub(crate) took: Duration,
    /// Times from the first byte written to the whole response read, in microseconds.
    pub(crate) acks: Histogram<u64>,
}

/// Publishes for `round` on persistent `connections`, each with one request of `bytes` in flight. Every response must
/// acknowledge its event as durable, and no position may come twice.
pub(crate) fn post(server: &Server, connections: usize, bytes: usize, round: Duration) -> Round {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll");
    let mut clients: Vec<_> = (0..connections).map(|n| Client::open(server, n, bytes)).collect();
    for (n, client) in clients.iter().enumerate() {
        epoll::add(&poll, &client.socket, epoll::EventData::new_u64(n as u64), epoll::EventFlags::IN)
            .expect("a socket");
    }
    let mut acks = Histogram::new(3).expect("three digits");
    let (mut seqs, begun, mut open) = (Vec::new(), Instant::now(), connections);
    clients.iter_mut().for_each(Client::send);
    let mut ready = Vec::with_capacity(connections.min(256));
    let patience = PATIENCE.try_into().expect("seconds");
    while open > 0 {
        ready.clear();
        epoll::wait(&poll, spare_capacity(&mut ready), Some(&patience)).expect("events");
        assert!(!ready.is_empty(), "no answer came in time");
        for event in &ready {
            let client = &mut clients[usize::try_from(event.data.u64()).expect("an index")];
            let Some(seq) = client.receive() else { continue };
            acks.record(u64::try_from(client.sent.elapsed().as_micros()).unwrap_or(u64::MAX)).expect("it grows");
            seqs.push(seq);
            if begun.elapsed() < round {
                client.send();
            } else {
                open -= 1;
            }
        }
    }
    let took = begun.elapsed();
    let events = seqs.len() as u64;
    if server.dialect == Dialect::Gapless {
        seqs.sort_unstable();
        seqs.dedup();
        assert_eq!(seqs.len() as u64, events, "no id is given twice");
    }
    Round { events, took, acks }
}

/// One connection and the request that it repeats.
struct Client {
    socket: TcpStream,
    dialect: Dialect,
    request: Vec<u8>,
    number: u64,
    payload: usize,
    answer: Vec<u8>,
    sent: Instant,
}

impl Client {
    fn open(server: &Server, n: usize, bytes: usize) -> Self {
        let socket = TcpStream::connect(server.address).expect("it accepts");
        socket.set_nodelay(true).expect("a socket");
        socket.set_nonblocking(true).expect("a socket");
        let topic = n % TOPICS;
        let mut request = match server.dialect {
            Dialect::Gapless => format!("POST /publish?topic=jobs/{topic} HTTP/1.1\r\nHost: localhost\r\n"),
            Dialect::DurableStreams => format!("POST /jobs-{topic} HTTP/1.1\r\nHost: localhost\r\n{BINARY}"),
        }
        .into_bytes();
        request.extend_from_slice(format!("Content-Length: {bytes}\r\n\r\n").as_bytes());
        let payload = request.len();
        request.extend_from_slice(super::payload(0, bytes).as_bytes());
        let answer = Vec::with_capacity(1024);
        Self { socket, dialect: server.dialect, request, number: 0, payload, answer, sent: Instant::now() }
    }

    fn send(&mut self) {
        put_number(&mut self.request[self.payload..], self.number);
        self.number += 1;
        self.answer.clear();
        self.sent = Instant::now();
        let wrote = self.socket.write(&self.request).expect("it reads");
        assert_eq!(wrote, self.request.len(), "one small request fits any buffer");
    }

    /// Reads what has arrived; returns the event's position once the response is complete.
    fn receive(&mut self) -> Option<u64> {
        let mut buffer = [0; 1024];
        let read = self.socket.read(&mut buffer).expect("it answers");
        assert!(read > 0, "it hung up");
        self.answer.extend_from_slice(&buffer[..read]);
        let answer = &self.answer;
        match self.dialect {
            Dialect::Gapless => answer.ends_with(b"}\n").then(|| {
                assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(answer));
                let at = answer.windows(6).rposition(|window| window == b"\"id\":\"").expect("a receipt");
                position(&answer[at + 6..])
            }),
            Dialect::DurableStreams => answer.ends_with(b"\r\n\r\n").then(|| {
                assert!(answer.starts_with(b"HTTP/1.1 204 "), "{}", String::from_utf8_lossy(answer));
                0
            }),
        }
    }
}

/// The format of a publish stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pouring {
    /// NDJSON: one envelope a line.
    Lines,
    /// `text/event-stream`.
    EventStream,
}

/// Publishes a stream on one connection for `round`, at most `window` events without receipts, in chunks of `chunk`
/// events. The ids of the receipts must increase, and there must be one for each event.
pub(crate) fn pour(server: &Server, how: Pouring, bytes: usize, chunk: u64, window: u64, round: Duration) -> Round {
    let mut socket = TcpStream::connect(server.address).expect("it accepts");
    let (target, kind, before, after) = match how {
        Pouring::Lines => ("/publish", "application/x-ndjson", "{\"topic\":\"news\",\"data\":\"", "\"}\n"),
        Pouring::EventStream => ("/publish?topic=news", "text/event-stream", "data: ", "\n\n"),
    };
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).expect("it listens");
    socket.set_nonblocking(true).expect("a socket");
    let event = format!("{before}{}{after}", super::payload(0, bytes));
    let lines = event.repeat(usize::try_from(chunk).expect("small"));
    let mut piece = format!("{:x}\r\n{lines}\r\n", lines.len()).into_bytes();
    let first = piece.len() - 2 - lines.len() + before.len();
    let mut acks = Histogram::new(3).expect("three digits");
    let (begun, mut pieces) = (Instant::now(), std::collections::VecDeque::new());
    let (mut sent, mut written, mut receipts) = (0, piece.len(), Receipts::default());
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll");
    let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
    epoll::add(&poll, &socket, epoll::EventData::new_u64(0), flags).expect("a socket");
    let patience = PATIENCE.try_into().expect("seconds");
    let (mut buffer, mut ready) = (vec![0; 256 << 10], Vec::with_capacity(1));
    loop {
        let mut idle = true;
        if written == piece.len() && begun.elapsed() < round && sent + chunk <= receipts.count + window {
            for (n, at) in (first..).step_by(event.len()).take(usize::try_from(chunk).expect("small")).enumerate() {
                put_number(&mut piece[at..], sent + n as u64);
            }
            (sent, written) = (sent + chunk, 0);
            pieces.push_back((sent, Instant::now()));
        }
        if written < piece.len() {
            match socket.write(&piece[written..]) {
                Ok(wrote) => (written, idle) = (written + wrote, false),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "it reads"),
            }
        }
        match socket.read(&mut buffer) {
            Ok(read) => {
                assert!(read > 0, "it hung up after {} receipts", receipts.count);
                receipts.take(&buffer[..read]);
                idle = false;
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "it answers"),
        }
        while pieces.front().is_some_and(|&(last, _)| last <= receipts.count) {
            let (_, begun): (u64, Instant) = pieces.pop_front().expect("just seen");
            acks.record(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX)).expect("it grows");
        }
        if receipts.count == sent && begun.elapsed() >= round {
            break;
        }
        if idle {
            ready.clear();
            epoll::wait(&poll, spare_capacity(&mut ready), Some(&patience)).expect("events");
            assert!(!ready.is_empty(), "no receipt came in time");
        }
    }
    Round { events: sent, took: begun.elapsed(), acks }
}

/// Parses the response to a stream; only the receipts' positions are used.
#[derive(Default)]
struct Receipts {
    count: u64,
    newest: u64,
    /// The beginning of an unfinished line.
    rest: Vec<u8>,
    /// Offset of the id in a receipt; the same in all, because they are of one topic.
    id: usize,
}

impl Receipts {
    fn take(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            if !part.ends_with(b"\n") {
                self.rest.extend_from_slice(part);
            } else if self.rest.is_empty() {
                self.line(part);
            } else {
                let mut line = std::mem::take(&mut self.rest);
                line.extend_from_slice(part);
                self.line(&line);
                line.clear();
                self.rest = line;
            }
        }
    }

    fn line(&mut self, line: &[u8]) {
        let shown = || String::from_utf8_lossy(line);
        if line[0] != b'{' {
            assert!(!line.starts_with(b"HTTP") || line.starts_with(b"HTTP/1.1 200"), "{}", shown());
            return;
        }
        if self.id == 0 {
            let id = line.windows(6).position(|window| window == b"\"id\":\"");
            self.id = id.unwrap_or_else(|| panic!("no receipt: {}", shown())) + 6;
        }
        let seq = position(&line[self.id..]);
        assert!(seq > self.newest, "receipts come in order: {}", shown());
        (self.newest, self.count) = (seq, self.count + 1);
    }
}

/// The position in the id at the start of `text`.
fn position(text: &[u8]) -> u64 {
    let dash = text.iter().position(|&byte| byte == b'-').expect("an id");
    let digits = text[dash + 1..].iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |seq, digit| seq * 10 + u64::from(digit - b'0'))
}

fn number_after(text: &str, key: &str) -> u64 {
    let (_, rest) = text.split_once(key).unwrap_or_else(|| panic!("no {key} in {text}"));
    let digits = rest.bytes().take_while(u8::is_ascii_digit);
    digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

fn put_number(payload: &mut [u8], number: u64) {
    for (digit, place) in payload[..DIGITS].iter_mut().zip((0..DIGITS).rev()) {
        *digit = b"0123456789abcdef"[usize::try_from((number >> (4 * place)) & 15).expect("a digit")];
    }
}
