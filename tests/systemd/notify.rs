//! What the hub tells its service manager.

use std::{
    fs,
    io::Write,
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::{
    manager::{Manager, Passed, Service, held_up},
    support::{eventually, wire},
};

/// An inherited socket is an address that is known before the hub says it.
fn address() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A free port, for a hub that listens itself.
fn free() -> String {
    address().1.to_string()
}

fn serving(manager: &Manager, environment: &[(&str, &str)], arguments: &[&str]) -> Service {
    let service = manager.start(&Passed { environment, ..Passed::default() }, arguments);
    manager.wait_for("READY=1");
    service
}

#[test]
fn it_is_ready_when_it_serves_with_what_it_serves() {
    let (manager, listen) = (Manager::new(), free());
    let mut service = manager.start(&Passed::default(), &["--listen", &listen]);
    let first = manager.message();
    assert!(first.contains("STATUS=opening the store") && first.contains("EXTEND_TIMEOUT_USEC="), "{first}");
    assert!(!first.contains("READY=1"), "{first}");
    let (_, ready) = manager.wait_for("READY=1");
    // Every core accepts: none of these waits for one that does not listen.
    let answers = (0..40).map(|_| wire::request(listen.parse().unwrap(), "GET", "/readyz", &[], b"").status);
    assert!(answers.into_iter().all(|status| status == 200));
    assert!(ready.contains("STATUS=serving 0 streams of 0 topics\n"), "{ready}");
    let streams = [(); 2].map(|()| wire::watch(listen.parse().unwrap(), "topic=t", None));
    wire::request(listen.parse().unwrap(), "POST", "/publish?topic=t", &[], b"x");
    let (status, _) = manager.wait_for("STATUS=serving 2 streams of 1 topic");
    assert_eq!(status, "STATUS=serving 2 streams of 1 topic");
    drop(streams);
    service.end();
}

#[test]
fn a_start_that_takes_long_is_extended_and_not_ready() {
    let manager = Manager::new();
    // No NATS server is there, so that the log is never open.
    let arguments =
        ["--engine", "jetstream", "--nats", "nats://127.0.0.1:1", "--listen", "127.0.0.1:0", "--drain", "1s"];
    let mut service = manager.start(&Passed::default(), &arguments);
    for _ in 0..2 {
        let message = manager.message();
        assert!(message.contains("EXTEND_TIMEOUT_USEC=") && !message.contains("READY=1"), "{message}");
    }
    service.signal(Signal::TERM);
    let (_, message) = manager.wait_for("STOPPING=1");
    assert!(!message.contains("READY=1"), "{message}");
    assert_eq!(service.wait(), Some(1), "{}", service.log());
}

#[test]
fn a_reload_has_a_beginning_and_an_end_and_a_failed_one_is_told() {
    let manager = Manager::new();
    let config = manager.path("gapless.toml");
    fs::write(&config, "[log]\nrequests = false\n").unwrap();
    let config = config.to_str().unwrap().to_owned();
    let mut service = serving(&manager, &[("GAPLESS_CONFIG", &config)], &["--listen", "127.0.0.1:0"]);
    let reloads = |text: &str| {
        fs::write(&config, text).unwrap();
        service.signal(Signal::HUP);
        let (_, begun) = manager.wait_for("RELOADING=1");
        assert!(begun.contains("MONOTONIC_USEC="), "{begun}");
        manager.wait_for("READY=1").1
    };
    assert!(reloads("[log]\nrequests = true\n").contains("STATUS=reloaded the configuration\n"));
    assert!(reloads("[log]\nrequests = 7\n").contains("STATUS=the last reload failed"));
    let (status, _) = manager.wait_for("STATUS=serving");
    assert!(status.ends_with("; the last reload failed and changed nothing; the log says why"), "{status}");
    reloads("[log]\nrequests = true\n");
    let (status, _) = manager.wait_for("STATUS=serving");
    assert_eq!(status, "STATUS=serving 0 streams of 0 topics");
    reloads("[log]\nrequests = false\n");
    manager.wait_for("STATUS=serving");
    service.end();
}

#[test]
fn a_stop_is_told_with_the_time_that_it_may_take() {
    let (manager, listen) = (Manager::new(), free());
    let mut service = serving(&manager, &[], &["--listen", &listen, "--drain", "5m"]);
    let mut held = held_up(listen.parse().unwrap());
    service.signal(Signal::TERM);
    let (_, message) = manager.wait_for("STOPPING=1");
    let extension = message.lines().find_map(|line| line.strip_prefix("EXTEND_TIMEOUT_USEC=")).unwrap();
    let extension = Duration::from_micros(extension.parse().unwrap());
    assert!(extension > Duration::from_mins(4), "the drain of five minutes is in it: {extension:?}");
    assert!(message.contains("STATUS=draining: 1 connection left\n"), "{message}");
    held.write_all(b"last").unwrap();
    assert_eq!(service.wait(), Some(0), "{}", service.log());
}

#[test]
fn the_watchdog_is_told_that_it_is_alive_until_its_end() {
    let manager = Manager::new();
    let mut service = serving(&manager, &[("WATCHDOG_USEC", "800000")], &["--listen", "127.0.0.1:0"]);
    for _ in 0..5 {
        manager.wait_for("WATCHDOG=1");
    }
    service.end();
}

/// Longer than the silence of a core, or of the writer, that is a hang.
const LONGER_THAN_A_HANG: Duration = Duration::from_secs(12);

#[test]
fn the_watchdog_is_told_that_it_is_alive_while_the_disk_does_not_answer() {
    let (manager, listen) = (Manager::new(), free());
    let flags = ["--listen", &*listen, "--store-rotate-age", "1s"];
    let _service = serving(&manager, &[("WATCHDOG_USEC", "2000000")], &flags);
    let publish = b"POST /publish?topic=t HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\n1";
    let address = listen.parse().unwrap();
    assert_eq!(wire::request(address, "POST", "/publish?topic=t", &[], b"1").status, 200);
    // The next commit begins a segment, and writes a file whose opening never ends.
    thread::sleep(Duration::from_millis(1100));
    assert!(Command::new("mkfifo").arg(manager.path("data/segments.half")).status().unwrap().success());
    let _waiting = wire::send(address, publish);
    let (status, _) = manager.wait_for("STATUS=serving 0 streams of 1 topic; publishes are refused");
    assert!(status.contains("the disk does not answer"), "{status}");
    let until = Instant::now() + LONGER_THAN_A_HANG;
    while Instant::now() < until {
        manager.wait_for("WATCHDOG=1");
    }
}

#[test]
fn the_watchdog_of_another_process_is_told_nothing() {
    let manager = Manager::new();
    let (listen, passed) = (free(), [("WATCHDOG_USEC", "800000"), ("WATCHDOG_PID", "1")]);
    let mut service = serving(&manager, &passed, &["--listen", &listen]);
    // The status is renewed every 5 s; a watchdog would have been told several times before.
    let _stream = wire::watch(listen.parse().unwrap(), "topic=t", None);
    let message = manager.message();
    assert!(message.starts_with("STATUS=serving 1 stream of"), "{message}");
    service.end();
}

#[test]
fn a_socket_that_is_gone_stops_nothing() {
    let manager = Manager::new();
    let (listen, nowhere) = (free(), manager.path("nowhere"));
    let environment = [("NOTIFY_SOCKET", nowhere.to_str().unwrap())];
    let passed = Passed { environment: &environment, ..Passed::default() };
    let mut service = manager.start(&passed, &["--listen", &listen]);
    eventually("it serves", || TcpStream::connect(&listen).is_ok());
    eventually("it says so", || service.log().contains("the service manager is not notified"));
    service.end();
}
