//! A disk that does not answer: the core goes on, and only the requests that need the disk wait. The core runs on a
//! thread of its own, so that a core that waits for the disk fails the test and does not hang it.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    runtime::{Builder, Runtime},
    task::LocalSet,
};

use super::{
    api::{
        server::{Listeners, serve},
        state::{AppState, Limits},
    },
    net::listen::Listener,
    testing::{app_limited, limits},
};
use crate::{
    engine::{Append, Capabilities, log::LogConfig},
    event::{
        Filter, Millis, NewEvent, Retention, TopicName,
        retention::{Rule, Rules},
    },
};

/// How long an answer may take that does not need the disk; the status gives up after 2 s.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long a request that needs the disk is seen to wait.
const MOMENT: Duration = Duration::from_millis(300);

/// A client's connection.
struct Client {
    stream: TcpStream,
    read: String,
}

impl Client {
    fn get(address: SocketAddr, target: &str) -> Self {
        let mut stream = TcpStream::connect(address).expect("the kernel accepts");
        write!(stream, "GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("sent");
        Self { stream, read: String::new() }
    }

    /// Whether `text` arrives within `time`.
    fn receives(&mut self, text: &str, time: Duration) -> bool {
        let until = std::time::Instant::now() + time;
        while !self.read.contains(text) {
            let left = until.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                return false;
            }
            self.stream.set_read_timeout(Some(left)).expect("a timeout");
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) | Err(_) => return false,
                Ok(count) => self.read.push_str(&String::from_utf8_lossy(&bytes[..count])),
            }
        }
        true
    }
}

/// An hour is the maximum age of `old`; the clock advances only by hand.
fn config(time: &Arc<AtomicU64>) -> LogConfig {
    let hand = || {
        let time = Arc::clone(time);
        move || time.load(Ordering::SeqCst)
    };
    let (clock, uptime) = (hand(), hand());
    let retention = Retention { max_age: Some(Duration::from_hours(1)), ..Retention::default() };
    let rule = Rule { topics: Filter::new("old").expect("valid"), retention, retry: None };
    LogConfig {
        rules: Rules { rules: vec![rule], ..Rules::default() },
        clock: Arc::new(move || Millis(clock())),
        uptime: Arc::new(move || Duration::from_millis(uptime())),
        boot: None,
        ..LogConfig::fixture()
    }
}

/// Serves on one core, in a thread of its own.
fn serve_on_a_core(app: &Arc<AppState>) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("bound");
    let app = Arc::clone(app);
    let core = thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let listeners = Listeners { public: vec![Listener::Tcp(listener)], operators: Vec::new() };
        LocalSet::new().block_on(&runtime, serve(app, 0, listeners)).expect("served");
    });
    (address, core)
}

fn name(text: &str) -> TopicName {
    TopicName::new(text).expect("valid")
}

fn publish(runtime: &Runtime, app: &AppState, topic: &str, data: &str) {
    let events = vec![NewEvent::new(name(topic), data)];
    runtime.block_on(app.hub.publish(Append { events, expect: None, key: None })).expect("published");
}

#[test]
fn a_core_serves_on_while_the_disk_does_not_answer_and_only_what_needs_the_disk_waits() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let time = Arc::new(AtomicU64::new(1_000_000));
    let limits = Limits { keepalive: Duration::from_secs(1), ..limits() };
    let (app, store) = app_limited(config(&time), Capabilities::FULL, limits);
    publish(&runtime, &app, "old", "past its age soon");
    publish(&runtime, &app, "gone", "x");
    runtime.block_on(app.hub.delete(name("gone"))).expect("deleted");
    let (address, core) = serve_on_a_core(&app);
    let mut live = Client::get(address, "/events?topic=live");
    assert!(live.receives("hub.cursor", PATIENCE), "{}", live.read);
    for data in ["first", "second", "third"] {
        publish(&runtime, &app, "live", data);
    }
    assert!(live.receives("data: third", PATIENCE), "{}", live.read);
    let cursor = format!("{}-{}", app.hub.epoch(), app.hub.head().0 - 1);

    store.faults().stall();
    time.fetch_add(2 * 3_600_000, Ordering::SeqCst);
    let needing_the_disk = [
        ("/topics/old", "\"events\":0"),
        ("/topics", "\"topics\":["),
        ("/events?topic=gone", "200 OK"),
        ("/events?topic=old&from=earliest", "hub.cursor"),
    ];
    let mut waiting = needing_the_disk.map(|(target, answer)| (Client::get(address, target), answer));
    let mut follower = Client::get(address, "/events?topic=old");
    let mut resumed = Client::get(address, &format!("/events?topic=live&last_event_id={cursor}"));
    let mut readiness = Client::get(address, "/readyz");
    let mut statistics = Client::get(address, "/admin/stats");
    live.read.clear();
    let outcome = [
        ("a subscribe to a topic whose trimming is due", follower.receives("hub.cursor", PATIENCE)),
        ("a stream that resumes in the ring", resumed.receives("data: third", PATIENCE)),
        ("readiness", readiness.receives("the disk has not answered", PATIENCE)),
        ("the statistics", statistics.receives("\"ready\":false", PATIENCE)),
        ("a keepalive", live.receives(":", PATIENCE)),
    ];
    let early = waiting.each_mut().map(|(client, answer)| client.receives(answer, MOMENT));
    let waits = store.faults().waiting();
    store.faults().resume();
    let late = waiting.each_mut().map(|(client, answer)| client.receives(answer, PATIENCE));
    app.net.drain.end();
    core.join().expect("no panic");
    for (what, served) in outcome {
        assert!(served, "{what} waits for the disk");
    }
    assert_eq!((&early[..3], late), (&[false; 3][..], [true; 4]), "only what needs the disk waits");
    assert!(waits > 0, "the disk was asked");
}
