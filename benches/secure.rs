//! **What do TLS and HTTP/2 cost?**
//!
//! 1,000 open streams of one topic: each on a connection of its own in the clear (as in `idle` and `fan_out`) and within TLS,
//! and a hundred on each HTTP/2 connection in the clear and within TLS. Kilobytes of the hub's memory a stream
//! (resident set) when they wait; microseconds of its CPU a delivery when 50 events of 256 bytes are published one
//! after another. Medians of the rounds, each with four new hubs. Targets: within TLS 20 KiB a stream, and 2 us a
//! delivery more than in the clear.
#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]

mod support;

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use support::{PATIENCE, hub::Hub, median, report::Report, rounds};

const EVENTS: usize = 50;
const BYTES: usize = 256;
/// Streams of one HTTP/2 connection.
const SIDE_BY_SIDE: usize = 100;
const ROUNDS: usize = 5;

/// How streams come.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Way {
    name: &'static str,
    secure: bool,
    side_by_side: bool,
}

const WAYS: [Way; 4] = [
    Way { name: "HTTP/1.1", secure: false, side_by_side: false },
    Way { name: "HTTP/1.1 within TLS", secure: true, side_by_side: false },
    Way { name: "HTTP/2", secure: false, side_by_side: true },
    Way { name: "HTTP/2 within TLS", secure: true, side_by_side: true },
];

fn main() {
    if !support::asked() {
        return;
    }
    let streams = rounds::sized(1_000, 200);
    rounds::make_room(streams);
    let dir = support::directory();
    let made = rcgen::generate_simple_self_signed(["localhost".into()]).expect("valid");
    let (chain, key) = (dir.path().join("chain.pem"), dir.path().join("key.pem"));
    fs::write(&chain, made.cert.pem()).expect("writable");
    fs::write(&key, made.signing_key.serialize_pem()).expect("writable");
    let (mut kib, mut us) = (vec![Vec::new(); 4], vec![Vec::new(); 4]);
    for round in 0..rounds::sized(ROUNDS, 1) {
        for (index, way) in WAYS.iter().enumerate() {
            let (memory, cpu) = measure(*way, streams, &dir.path().join(format!("{round}-{index}")), &chain, &key);
            kib[index].push(memory);
            us[index].push(cpu);
        }
    }
    let mut report = Report::new("secure");
    let [clear, tls] = [0, 1].map(|index| median(us[index].clone()));
    report.below("HTTP/1.1 within TLS: memory a stream", median(kib[1].clone()), "KiB", 20.0);
    report.below("HTTP/1.1 within TLS: CPU a delivery, more than in the clear", tls - clear, "us", 2.0);
    for (index, way) in WAYS.iter().enumerate() {
        report.row(format!("{}: memory a stream", way.name), median(kib[index].clone()), "KiB");
        report.row(format!("{}: CPU a delivery", way.name), median(us[index].clone()), "us");
    }
    report.finish();
}

/// KiB a stream, and microseconds of CPU a delivery.
fn measure(way: Way, streams: usize, data: &Path, chain: &Path, key: &Path) -> (f64, f64) {
    let files = [chain, key].map(|path| path.to_str().expect("UTF-8"));
    let flags = ["--tls-cert", files[0], "--tls-key", files[1]];
    let hub = Hub::start_with(data, if way.secure { &flags } else { &[] });
    let client = Client { address: hub.address, root: fs::read(chain).expect("written"), way };
    let mut publisher = client.connect("http/1.1");
    publish(&mut publisher);
    // What is there once, however many come, is there after the first.
    let warm = client.open(if way.side_by_side { SIDE_BY_SIDE } else { 20 });
    settle();
    let before = hub.resident();
    let open: Vec<_> = client.open(streams);
    settle();
    let kib = (hub.resident() - before) / streams as f64 / 1024.0;
    drop(warm);
    settle();
    let (cpu, sent) = (hub.cpu(), delivered(&mut publisher));
    let want = sent + (streams * EVENTS) as u64;
    for _ in 0..EVENTS {
        publish(&mut publisher);
    }
    let given_up = Instant::now() + PATIENCE;
    while delivered(&mut publisher) < want {
        assert!(Instant::now() < given_up, "every stream gets every event");
        thread::sleep(Duration::from_millis(20));
    }
    drop(open);
    (kib, (hub.cpu() - cpu) * 1e6 / (streams * EVENTS) as f64)
}

fn publish(publisher: &mut Box<dyn Both>) {
    let head = format!("POST /publish?topic=t HTTP/1.1\r\nhost: localhost\r\ncontent-length: {BYTES}\r\n\r\n");
    let receipt = ask(publisher, &[head.as_bytes(), &[b'x'; BYTES]].concat());
    assert!(receipt.contains("\"id\""), "{receipt}");
}

fn delivered(publisher: &mut Box<dyn Both>) -> u64 {
    let stats = ask(publisher, b"GET /admin/stats HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let (_, body) = stats.split_once("\r\n\r\n").expect("a head");
    let stats: serde_json::Value = serde_json::from_str(body).expect("JSON");
    stats["events"]["out_total"].as_u64().expect("a count")
}

/// Bytes to and fro, whatever carries them.
trait Both: Read + Write {}
impl<T: Read + Write> Both for T {}

/// One request and its answer, which ends with a line.
fn ask(connection: &mut Box<dyn Both>, request: &[u8]) -> String {
    connection.write_all(request).expect("the hub reads");
    let (mut seen, mut buffer) = (String::new(), [0; 8192]);
    while !seen.ends_with("}\n") {
        let read = connection.read(&mut buffer).expect("the hub answers");
        assert!(read > 0, "it hung up after {seen}");
        seen.push_str(std::str::from_utf8(&buffer[..read]).expect("UTF-8"));
    }
    seen
}

struct Client {
    address: SocketAddr,
    root: Vec<u8>,
    way: Way,
}

impl Client {
    /// A connection, and a socket that goes on receiving when the connection is forgotten.
    fn connect(&self, protocol: &str) -> Box<dyn Both> {
        self.socket(protocol).0
    }

    fn socket(&self, protocol: &str) -> (Box<dyn Both>, TcpStream) {
        let socket = TcpStream::connect(self.address).expect("it accepts");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let kept = socket.try_clone().expect("a descriptor");
        if !self.way.secure {
            return (Box::new(socket), kept);
        }
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&self.root).expect("a certificate")).expect("a root");
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.into()];
        let name = ServerName::try_from("localhost").expect("a name");
        let session = ClientConnection::new(Arc::new(config), name).expect("a configuration");
        (Box::new(StreamOwned::new(session, socket)), kept)
    }

    /// `streams` that listen. What they are sent is read as it comes, by a thread that is gone with them.
    fn open(&self, streams: usize) -> Vec<Open> {
        let each = if self.way.side_by_side { SIDE_BY_SIDE } else { 1 };
        (0..streams / each).map(|_| if self.way.side_by_side { self.many() } else { self.one() }).collect()
    }

    fn one(&self) -> Open {
        let (mut connection, socket) = self.socket("http/1.1");
        let ask = b"GET /events?topic=t HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n";
        connection.write_all(ask).expect("the hub reads");
        let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
        while !String::from_utf8_lossy(&seen).contains("retry: ") {
            let read = connection.read(&mut buffer).expect("it answers");
            assert!(read > 0, "it hung up");
            seen.extend_from_slice(&buffer[..read]);
        }
        // 50 events of 300 bytes fit into any socket's buffer, so nobody need read them.
        Open(socket)
    }

    fn many(&self) -> Open {
        let (mut connection, socket) = self.socket("h2");
        let window = ((1_u32 << 31) - 1 - 65_535).to_be_bytes();
        let mut bytes =
            [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, b""), &frame(8, 0, 0, &window)].concat();
        for n in 0..SIDE_BY_SIDE {
            let stream = u32::try_from(2 * n + 1).expect("small");
            // Literals that are not remembered (RFC 7541, section 6.2.2), with names of the static table where it has them.
            let block = [&b"\x82\x86\x01\x03hub\x04\x0f/events?topic=t\x0f\x04\x11text/event-stream"[..]].concat();
            bytes.extend(frame(1, 5, stream, &block));
        }
        connection.write_all(&bytes).expect("the hub reads");
        connection.flush().expect("the hub reads");
        // What comes must be read here, because it is more than a socket's buffer holds; what it says is counted by the hub.
        let mut reading = socket.try_clone().expect("a descriptor");
        thread::spawn(move || {
            let mut junk = vec![0; 64 << 10];
            while reading.read(&mut junk).is_ok_and(|read| read > 0) {}
        });
        Open(socket)
    }
}

/// Hangs up when it is dropped, whoever else holds the socket.
struct Open(TcpStream);

impl Drop for Open {
    fn drop(&mut self) {
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }
}

/// An HTTP/2 frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).expect("small").to_be_bytes();
    [&size[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Lets what was freed be given back, and what was begun be done.
fn settle() {
    thread::sleep(rounds::sized(Duration::from_secs(1), Duration::from_millis(300)));
}
