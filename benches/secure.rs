//! **What do TLS and HTTP/2 cost?**
//!
//! 1,000 open streams of one topic: each on a connection of its own, plain (HTTP/1.1 on the fast path, as in `idle`
//! and `fan_out`; HTTP/1.0 as an ordinary response body) and within TLS; and a hundred on each HTTP/2 connection,
//! plain and within TLS. KiB of the hub's memory per idle stream (resident set); microseconds of its CPU per delivery
//! when 50 events of 256 bytes are published to the five hubs in turn, each after the one before it was delivered, so
//! that no two are joined. Rounds, each with new hubs; medians, and differences within a round. Targets: within TLS 20
//! KiB per stream, and at most 2 us per delivery more than plain on the ordinary path.
//!
//! 2026-11-25, 2 cores beside other builds: within TLS 8.9 KiB, 11.4 us: 0.9 us less than HTTP/1.0, 1.6 more than
//! HTTP/1.1, which are 21.8 and 1.1 KiB, 12.4 and 9.8 us. HTTP/2 7.1 KiB and 7.8 us, within TLS 4.4 KiB and 8.8 us.
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
use support::{
    PATIENCE,
    hub::Hub,
    report::{Better, Ratio, Report},
    rounds,
};

const EVENTS: usize = 50;
const BYTES: usize = 256;
/// Streams of one HTTP/2 connection.
const SIDE_BY_SIDE: usize = 100;
/// Interval between events: several times what a thousand deliveries take.
const APART: Duration = Duration::from_millis(40);
const ROUNDS: usize = 5;

const OURS: &str = "gapless (sled)";
const MEMORY: &str = "memory of a waiting stream";
const CPU: &str = "CPU a delivery";

/// How streams connect.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Way {
    name: &'static str,
    /// The HTTP version in a stream's request.
    version: &'static str,
    secure: bool,
    side_by_side: bool,
}

const WAYS: [Way; 5] = [
    Way { name: "HTTP/1.1", version: "1.1", secure: false, side_by_side: false },
    Way { name: "HTTP/1.0", version: "1.0", secure: false, side_by_side: false },
    Way { name: "HTTP/1.1 within TLS", version: "1.1", secure: true, side_by_side: false },
    Way { name: "HTTP/2", version: "2", secure: false, side_by_side: true },
    Way { name: "HTTP/2 within TLS", version: "2", secure: true, side_by_side: true },
];
/// Their indices in [`WAYS`].
const FAST: usize = 0;
const ORDINARY: usize = 1;
const TLS: usize = 2;

fn main() {
    if !support::asked() {
        return;
    }
    let streams = rounds::sized(1_000, 200);
    rounds::raise_limit(WAYS.len() * 2 * streams);
    let dir = support::directory();
    let generated = rcgen::generate_simple_self_signed(["localhost".into()]).expect("valid");
    let (chain, key) = (dir.path().join("chain.pem"), dir.path().join("key.pem"));
    fs::write(&chain, generated.cert.pem()).expect("writable");
    fs::write(&key, generated.signing_key.serialize_pem()).expect("writable");
    let mut report = Report::new("secure");
    let (mut kib, mut over_ordinary, mut over_fast) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds::sized(ROUNDS, 1) {
        report.next_round();
        let open = |way: &Way| {
            let data = dir.path().join(format!("{round}-{}", way.name.replace(['/', ' '], "-")));
            Measured::open(*way, streams, &data, &chain, &key)
        };
        let mut all: Vec<Measured> = WAYS.iter().map(open).collect();
        let us = deliver(&mut all, streams);
        for (measured, us) in all.iter().zip(&us) {
            report.sample(measured.client.way.name, OURS, MEMORY, measured.kib, "KiB");
            report.sample(measured.client.way.name, OURS, CPU, *us, "us");
        }
        kib.push(all[TLS].kib);
        over_ordinary.push(us[TLS] - us[ORDINARY]);
        over_fast.push(us[TLS] - us[FAST]);
    }
    for (measure, values, reach) in [
        (MEMORY, kib, Some(20.0)),
        ("CPU a delivery in us, more than HTTP/1.0", over_ordinary, Some(2.0)),
        ("CPU a delivery in us, more than HTTP/1.1", over_fast, None),
    ] {
        let (case, better) = (WAYS[TLS].name.into(), Better::Lower);
        report.ratio(Ratio { case, measure, of: OURS, to: None, values, reach, aim: None, better });
    }
    report.finish();
}

/// A hub with its streams.
struct Measured {
    hub: Hub,
    client: Client,
    publisher: Box<dyn Both>,
    /// Memory of an idle stream.
    kib: f64,
    open: Vec<Open>,
}

impl Measured {
    fn open(way: Way, streams: usize, data: &Path, chain: &Path, key: &Path) -> Self {
        let files = [chain, key].map(|path| path.to_str().expect("UTF-8"));
        let flags = ["--tls-cert", files[0], "--tls-key", files[1]];
        let hub = Hub::start_with(data, if way.secure { &flags } else { &[] });
        let client = Client { address: hub.address, root: fs::read(chain).expect("written"), way };
        let mut publisher = client.connect("http/1.1");
        publish(&mut publisher);
        // One stream first, so that what the hub allocates only once is not counted.
        let warm = client.open(if way.side_by_side { SIDE_BY_SIDE } else { 20 });
        settle();
        let before = hub.resident();
        let open = client.open(streams);
        settle();
        let kib = (hub.resident() - before) / streams as f64 / 1024.0;
        drop(warm);
        Self { hub, client, publisher, kib, open }
    }
}

/// Publishes to each hub in turn, one event at a time, so that other work on the machine affects all of them alike.
/// Returns each hub's microseconds of CPU per delivery.
fn deliver(all: &mut [Measured], streams: usize) -> Vec<f64> {
    settle();
    let want = (streams * EVENTS) as u64;
    let sent: Vec<u64> = all.iter_mut().map(|measured| delivered(&mut measured.publisher)).collect();
    let before: Vec<_> = all.iter().map(|measured| measured.hub.used()).collect();
    for _ in 0..EVENTS {
        for measured in &mut *all {
            publish(&mut measured.publisher);
            thread::sleep(APART);
        }
    }
    let given_up = Instant::now() + PATIENCE;
    let each = all.iter_mut().zip(sent).zip(before).map(|((measured, sent), before)| {
        assert!(!measured.open.is_empty(), "they listen");
        while delivered(&mut measured.publisher) < sent + want {
            assert!(Instant::now() < given_up, "every stream gets every event");
            thread::sleep(Duration::from_millis(20));
        }
        measured.hub.used().since(&before) * 1e6 / want as f64
    });
    each.collect()
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

/// A connection, plain or within TLS.
trait Both: Read + Write {}
impl<T: Read + Write> Both for T {}

/// Sends one request and returns its response, which ends with `}` and a line feed.
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
    /// A connection, and a clone of its socket that stays open when the connection is dropped.
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

    /// Opens `streams`. Their HTTP/2 frames are read by a thread that ends with them.
    fn open(&self, streams: usize) -> Vec<Open> {
        let each = if self.way.side_by_side { SIDE_BY_SIDE } else { 1 };
        (0..streams / each).map(|_| if self.way.side_by_side { self.many() } else { self.one() }).collect()
    }

    fn one(&self) -> Open {
        let (mut connection, socket) = self.socket("http/1.1");
        let version = self.way.version;
        let ask = format!("GET /events?topic=t HTTP/{version}\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n");
        connection.write_all(ask.as_bytes()).expect("the hub reads");
        let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
        while !String::from_utf8_lossy(&seen).contains("retry: ") {
            let read = connection.read(&mut buffer).expect("it answers");
            assert!(read > 0, "it hung up");
            seen.extend_from_slice(&buffer[..read]);
        }
        // 50 events of 300 bytes fit into any socket's buffer, so they need not be read.
        Open(socket)
    }

    fn many(&self) -> Open {
        let (mut connection, socket) = self.socket("h2");
        let window = ((1_u32 << 31) - 1 - 65_535).to_be_bytes();
        let mut bytes =
            [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, b""), &frame(8, 0, 0, &window)].concat();
        for n in 0..SIDE_BY_SIDE {
            let stream = u32::try_from(2 * n + 1).expect("small");
            // Literals without indexing (RFC 7541, section 6.2.2), with names of the static table where it has them.
            let block =
                [&b"\x82\x86\x01\x09localhost\x04\x0f/events?topic=t\x0f\x04\x11text/event-stream"[..]].concat();
            bytes.extend(frame(1, 5, stream, &block));
        }
        connection.write_all(&bytes).expect("the hub reads");
        connection.flush().expect("the hub reads");
        // The frames must be read, because they are more than a socket's buffer holds. The hub counts the deliveries.
        let mut reading = socket.try_clone().expect("a descriptor");
        thread::spawn(move || {
            let mut junk = vec![0; 64 << 10];
            while reading.read(&mut junk).is_ok_and(|read| read > 0) {}
        });
        Open(socket)
    }
}

/// Shuts the socket down when dropped, even if clones of it are open.
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

/// Waits until freed memory is returned and pending work is done.
fn settle() {
    thread::sleep(rounds::sized(Duration::from_secs(1), Duration::from_millis(300)));
}
