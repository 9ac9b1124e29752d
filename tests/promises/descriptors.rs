//! The limit on open files restricts connections, never the store.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    time::Duration,
};

use super::support::{PATIENCE, eventually, hub::Hub, needs};

#[test]
fn more_clients_than_descriptors_leave_the_store_what_it_needs() {
    let mut hub = Hub::start_under(
        &["prlimit", "--nofile=256:256"],
        &["--store-rotate-bytes", "1MiB", "--http-header-timeout", "10m"],
    );
    let stats = hub.stats();
    let limit = stats["connections_limit"].as_u64().unwrap();
    assert!((64..256).contains(&limit), "{stats}");
    eventually("it is logged", || hub.log().contains("raise the limit on open files"));

    // Publishers first, because later connections are told to retry.
    let publisher = TcpStream::connect(hub.address).unwrap();
    publisher.set_read_timeout(Some(super::support::PATIENCE)).unwrap();
    let publish = || {
        let data = "x".repeat(200_000);
        let head =
            format!("POST /publish?topic=t HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", data.len());
        (&publisher).write_all(format!("{head}{data}").as_bytes()).unwrap();
        let mut incoming = super::support::wire::Incoming::read(publisher.try_clone().unwrap(), false).unwrap();
        incoming.rest();
        incoming.status
    };
    assert_eq!(publish(), 200);
    let crowd: Vec<_> = (0..400).filter_map(|_| TcpStream::connect(hub.address).ok()).collect();
    assert!(crowd.len() > 256, "the kernel lets them wait");
    std::thread::sleep(Duration::from_secs(1));
    // Across segments: each opens files.
    for n in 0..25 {
        assert_eq!(publish(), 200, "publish {n}: {}", hub.log());
    }
    drop(crowd);
    eventually("there is room again", || hub.get("/readyz").status == 200);
    assert_eq!(hub.topic("t")["events"], 26);
    let complaints = hub.log().matches("cannot accept").count();
    assert!(complaints <= 5, "{complaints} lines: {}", hub.log());
    hub.terminate();
    assert_eq!(hub.wait(), Some(0));
}

#[test]
fn with_next_to_no_descriptors_a_hub_does_not_start_and_says_what_to_raise() {
    let (code, said) = Hub::refused_under(&["prlimit", "--nofile=100:100"], &["--listen", "127.0.0.1:0"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("ulimit -n"), "{said}");
}

#[test]
fn a_removal_without_a_descriptor_is_refused_for_now_and_done_when_it_is_asked_for_again() {
    needs!(Disk);
    let hub = Hub::start();
    let id = hub.publish("t", "secret");
    let mut kept = TcpStream::connect(hub.address).unwrap();
    kept.set_read_timeout(Some(PATIENCE)).unwrap();
    // A connection that is not accepted yet would need a descriptor.
    write!(kept, "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let alive = kept.read(&mut [0; 4096]).unwrap();
    assert!(alive > 0, "hung up");
    let mut remove = || {
        write!(kept, "DELETE /events/{id}?topic=t HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let (mut answer, mut buffer) = (String::new(), [0; 4096]);
        while !answer.contains("\r\n\r\n") || answer.starts_with("HTTP/1.1 503") && !answer.ends_with("}\n") {
            let read = kept.read(&mut buffer).unwrap();
            assert!(read > 0, "hung up after {answer:?}");
            answer.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        answer
    };
    let limit = |most: &str| {
        let done = Command::new("prlimit").args(["--pid", &hub.pid().to_string(), most]).status().unwrap();
        assert!(done.success());
    };
    limit("--nofile=3:");
    let refused = remove();
    limit("--nofile=1024:");
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after"), "{refused}");
    assert!(refused.contains("try again") && !refused.contains("restart"), "{refused}");
    assert!(remove().starts_with("HTTP/1.1 204"));
    assert_eq!(hub.get("/readyz").status, 200);
}
