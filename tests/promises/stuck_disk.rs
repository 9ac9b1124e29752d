//! A disk that does not answer: the hub reports what it waits for, stops when it is told to, and loses nothing.

use std::{
    fs,
    io::Read,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::support::{PATIENCE, eventually, hub::Hub, needs, wire};

/// Longer than `--store-rotate-age 1s`.
const ROTATES: Duration = Duration::from_millis(1100);

/// A file (FIFO) whose opening blocks for ever; the process that opens it can be killed.
fn never_opens(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a_hub_that_is_stopped_while_a_commit_waits_for_the_disk_ends_and_loses_nothing() {
    needs!(Disk);
    let mut hub = Hub::start_with(&["--drain", "1s", "--store-rotate-age", "1s"]);
    hub.publish("t", "1");
    thread::sleep(ROTATES);
    let stuck = hub.data().join("segments.half");
    never_opens(&stuck);
    let waiting =
        wire::send(hub.address, b"POST /publish?topic=t HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\n2");
    eventually("the commit waits", || hub.stats()["store"]["queued_bytes"].as_u64() > Some(0));
    hub.terminate();
    assert_eq!(hub.wait(), Some(1), "{}", hub.log());
    eventually("it is told", || hub.log().contains("the store could not be closed cleanly"));
    drop(waiting);
    fs::remove_file(stuck).unwrap();
    let hub = hub.again();
    assert!(["1", "12"].contains(&&*hub.kept("t").concat()));
    assert_eq!(hub.stats()["store"]["losses"], 0);
    hub.publish("t", "3");
}

#[test]
fn a_hub_that_is_stopped_while_its_store_is_being_opened_ends_and_loses_nothing() {
    needs!(Disk);
    let mut hub = Hub::start();
    hub.publish("t", "1");
    hub.terminate();
    assert_eq!(hub.wait(), Some(0));
    let (format, kept) = (hub.data().join("format"), hub.data().join("format.kept"));
    fs::rename(&format, &kept).unwrap();
    never_opens(&format);
    let log = hub.data().with_extension("log");
    let mut opening = Command::new(env!("CARGO_BIN_EXE_gapless"))
        .args(["serve", "--listen", "127.0.0.1:0", "--drain", "1s", "--data"])
        .arg(hub.data())
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let said = || {
        let mut text = String::new();
        fs::File::open(&log).unwrap().read_to_string(&mut text).unwrap();
        text
    };
    eventually("it is told what it waits for", || said().contains("opening the store"));
    assert!(said().contains("ready=false"), "{}", said());
    assert!(Command::new("kill").arg(opening.id().to_string()).status().unwrap().success());
    let given_up = Instant::now() + PATIENCE;
    let mut code = None;
    while code.is_none() && Instant::now() < given_up {
        thread::sleep(Duration::from_millis(10));
        code = opening.try_wait().unwrap();
    }
    let _ = opening.kill();
    let _ = opening.wait();
    assert_eq!(code.expect("it ends").code(), Some(1), "{}", said());
    assert!(said().contains("a stop signal came before the store was open"), "{}", said());
    fs::rename(&kept, &format).unwrap();
    let hub = hub.again();
    assert_eq!((hub.kept("t"), &hub.stats()["store"]["losses"]), (vec!["1".to_owned()], &0.into()));
}
