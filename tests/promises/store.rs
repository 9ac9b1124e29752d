//! The store reports losses, waits for a slow disk, and acknowledges nothing that is written outside its directory's path.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::support::{PATIENCE, assert_problem, eventually, hub::Hub, needs};

/// Longer than `--store-rotate-age 1s`.
const ROTATES: Duration = Duration::from_millis(1100);

/// Segments of a store, oldest first.
fn segments(data: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(data.join("seg")).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

/// Corrupts a segment, as a bad disk does.
fn corrupt(segment: &Path) {
    for file in ["conf", "db"] {
        let path = segment.join(file);
        let mut bytes = fs::read(&path).unwrap();
        bytes.iter_mut().take(4096).for_each(|byte| *byte ^= 0x55);
        fs::write(path, bytes).unwrap();
    }
}

fn stop(hub: &mut Hub) {
    hub.terminate();
    assert_eq!(hub.wait(), Some(0));
}

fn reasons(page: &Value) -> Vec<(String, String)> {
    let gaps = page["gaps"].as_array().unwrap();
    gaps.iter().map(|gap| (text(&gap["topic"]), text(&gap["reason"]))).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().into()
}

fn lost(topic: &str) -> Vec<(String, String)> {
    vec![(topic.into(), "lost".into())]
}

fn epoch_zero(id: &str) -> String {
    format!("{}-0", id.split_once('-').unwrap().0)
}

#[test]
fn a_closed_topic_whose_segment_is_damaged_is_told_as_lost() {
    needs!(Disk);
    let mut hub = Hub::start();
    let id = hub.publish("doc", "one");
    hub.publish("doc", "two");
    hub.put("doc", "{\"closed\":true}");
    stop(&mut hub);
    corrupt(&segments(&hub.data())[0]);
    let hub = hub.again();
    for from in ["from=earliest".to_owned(), format!("from={}", epoch_zero(&id))] {
        let page = hub.page(&format!("topic=doc&{from}"));
        assert_eq!(reasons(&page), lost("doc"), "{from}: {page}");
        let stream = hub.get(&format!("/events?topic=doc&{from}"));
        let said = stream.text();
        assert_eq!(stream.status, 200, "{from}");
        assert!(said.contains("\"reason\":\"lost\"") && said.contains("hub.end"), "{from}: {said}");
    }
    let last = hub.topic("doc")["last_id"].as_str().unwrap().to_owned();
    assert_eq!(
        hub.get(&format!("/events?topic=doc&from={last}")).status,
        204,
        "who knows all of it has missed nothing"
    );
}

#[test]
fn a_topic_that_was_closed_before_a_segment_of_others_is_told_nothing_of_its_loss() {
    needs!(Disk);
    let mut hub = Hub::start_with(&["--store-rotate-age", "1s"]);
    let id = hub.publish("doc", "one");
    hub.put("doc", "{\"closed\":true}");
    thread::sleep(ROTATES);
    hub.publish("other", "x");
    thread::sleep(ROTATES);
    hub.publish("after", "x");
    stop(&mut hub);
    fs::remove_dir_all(&segments(&hub.data())[1]).unwrap();
    for _ in 0..2 {
        hub = hub.again();
        assert_eq!(hub.topic("doc")["last_id"], id);
        for from in ["from=earliest".to_owned(), format!("from={}", epoch_zero(&id))] {
            let page = hub.page(&format!("topic=doc&{from}"));
            assert_eq!((reasons(&page), page["events"][0]["id"].as_str()), (vec![], Some(&*id)), "{page}");
        }
        assert_eq!(hub.get(&format!("/events?topic=doc&from={id}")).status, 204, "it has seen all");
        assert_eq!(reasons(&hub.page("topic=other&from=earliest")), lost("other"));
        stop(&mut hub);
    }
}

#[test]
fn a_missing_segment_is_told_as_lost_once() {
    needs!(Disk);
    let mut hub = Hub::start_with(&["--store-rotate-age", "1s"]);
    let first = hub.publish("before", "x");
    thread::sleep(ROTATES);
    let gone = hub.publish("middle", "x");
    thread::sleep(ROTATES);
    hub.publish("after", "x");
    stop(&mut hub);
    let all = segments(&hub.data());
    assert_eq!(all.len(), 3, "{all:?}");
    fs::remove_dir_all(&all[1]).unwrap();
    for _ in 0..2 {
        hub = hub.again();
        assert_eq!(hub.stats()["store"]["losses"], 1, "counted once");
        for query in ["topic=middle&from=earliest".to_owned(), format!("topic=middle&from={}", epoch_zero(&gone))] {
            let page = hub.page(&query);
            assert_eq!(
                (reasons(&page), page["events"].as_array().unwrap().len()),
                (lost("middle"), 0),
                "{query}: {page}"
            );
        }
        assert_eq!(reasons(&hub.page(&format!("topic=after&from={gone}"))), [], "it was not there");
        assert_eq!(hub.kept("before"), ["x"]);
        assert_eq!(reasons(&hub.page(&format!("topic=middle&from={first}"))), lost("middle"));
        stop(&mut hub);
    }
}

#[test]
fn a_data_directory_that_is_moved_away_takes_no_receipts_until_it_is_back() {
    needs!(Disk);
    let mut hub = Hub::start();
    hub.publish("t", "1");
    let (data, moved) = (hub.data(), hub.data().with_extension("moved"));
    fs::rename(&data, &moved).unwrap();
    let refused = |hub: &Hub| {
        let answer = hub.post("/publish?topic=t", &[], b"lost");
        let problem = assert_problem(&answer, 503, "store-unavailable");
        assert!(answer.headers.get("retry-after").is_some());
        assert_problem(&hub.get("/readyz"), 503, "store-unavailable");
        problem["detail"].as_str().unwrap().to_owned()
    };
    assert!(refused(&hub).contains(data.to_str().unwrap()));
    eventually("it is logged", || hub.log().contains("the store's directory is not where it was"));
    assert!(!data.exists(), "nothing is made where it was");

    // A copy of the directory in its place.
    copy(&moved, &data);
    assert!(refused(&hub).contains("another directory"));
    fs::remove_dir_all(&data).unwrap();
    refused(&hub);

    fs::rename(&moved, &data).unwrap();
    hub.publish("t", "2");
    assert_eq!(hub.get("/readyz").status, 200);
    eventually("it is logged", || hub.log().contains("the store's directory is back"));
    hub.kill();
    let hub = hub.again();
    assert_eq!(hub.kept("t"), ["1", "2"]);
    assert_eq!(hub.stats()["store"]["losses"], 0);
}

#[test]
fn a_disk_mounted_over_the_data_directory_takes_no_receipts() {
    needs!(Disk);
    let hub = Hub::start();
    hub.publish("t", "1");
    let Some(mount) = Mount::tmpfs(&hub.data(), "16m") else { return };
    assert_problem(&hub.post("/publish?topic=t", &[], b"x"), 503, "store-unavailable");
    assert_problem(&hub.get("/readyz"), 503, "store-unavailable");
    drop(mount);
    hub.publish("t", "2");
    assert_eq!(hub.kept("t"), ["1", "2"]);
}

#[test]
fn a_segment_that_is_removed_under_the_hub_takes_no_receipts() {
    needs!(Disk);
    let hub = Hub::start();
    hub.publish("t", "1");
    fs::remove_dir_all(&segments(&hub.data())[0]).unwrap();
    assert_problem(&hub.post("/publish?topic=t", &[], b"x"), 503, "store-unavailable");
    assert_problem(&hub.get("/readyz"), 503, "store-unavailable");
}

#[test]
fn a_lack_of_descriptors_passes_without_a_restart() {
    needs!(Disk);
    let mut hub = Hub::start_with(&["--store-rotate-age", "1s"]);
    let mut kept = OpenConnection::connect(&hub);
    kept.publish("1");
    let before = segments(&hub.data()).len();
    limit_descriptors(hub.pid(), open_descriptors(hub.pid()));
    thread::sleep(ROTATES);
    for n in 2..20 {
        kept.publish(&n.to_string());
    }
    eventually("it is logged", || hub.log().contains("cannot begin a segment now"));
    assert_eq!(hub.log().matches("cannot begin a segment now").count(), 1, "{}", hub.log());
    limit_descriptors(hub.pid(), 1024);
    thread::sleep(ROTATES);
    kept.publish("20");
    assert!(segments(&hub.data()).len() > before, "{}", hub.log());
    eventually("it is logged", || hub.log().contains("a segment could be begun again"));
    let all: Vec<_> = (1..=20).map(|n| n.to_string()).collect();
    hub.kill();
    let hub = hub.again();
    assert_eq!(hub.kept("t"), all);
    assert_eq!((hub.stats()["store"]["losses"].as_u64(), hub.data().join("quarantine").exists()), (Some(0), false));
}

/// A file system that blocks writes: `fsfreeze`, on its own device.
#[test]
fn a_disk_that_does_not_answer_is_waited_for_and_nothing_is_lost() {
    needs!(Disk);
    let home = tempfile::tempdir().unwrap();
    let Some(disk) = Mount::ext4(home.path()) else { return };
    let data = disk.0.join("data");
    let data = data.to_str().unwrap();
    let arguments = ["--data", data, "--store-rotate-age", "1s"];
    let mut hub = Hub::start_with(&arguments);
    for n in 0..4 {
        hub.publish("t", &n.to_string());
        thread::sleep(ROTATES);
    }
    stop(&mut hub);
    let hub = hub.again();
    let frozen = Frozen::freeze(&disk.0);
    let address = hub.address;
    // Opening the sealed segments waits for the disk, and so does a commit.
    let publish =
        thread::spawn(move || super::support::wire::request(address, "POST", "/publish?topic=t", &[], b"4").status);
    let read = thread::spawn(move || {
        let headers = [("accept", "application/json")];
        super::support::wire::request(address, "GET", "/events?topic=t&from=earliest", &headers, b"").status
    });
    eventually("it is not ready", || hub.get("/readyz").status == 503);
    let said = assert_problem(&hub.get("/readyz"), 503, "store-unavailable");
    assert!(said["detail"].as_str().unwrap().contains("does not answer"), "{said}");
    eventually("it is logged", || hub.log().contains("the disk is slow or does not answer"));
    drop(frozen);
    assert_eq!(publish.join().unwrap(), 200, "it was waited for");
    assert!([200, 503].contains(&read.join().unwrap()));
    eventually("it is ready again", || hub.get("/readyz").status == 200);
    eventually("it is logged", || hub.log().contains("the disk answers again"));
    assert_eq!(hub.kept("t"), ["0", "1", "2", "3", "4"]);
    assert_eq!(hub.stats()["store"]["losses"], 0);
    assert!(!Path::new(data).join("quarantine").exists());
    drop(hub);
}

#[test]
fn a_full_disk_is_logged_when_it_begins_and_when_it_passes() {
    needs!(Disk);
    let home = tempfile::tempdir().unwrap();
    let Some(disk) = Mount::tmpfs(home.path(), "256m") else { return };
    let data = disk.0.join("data");
    let hub = Hub::start_with(&["--data", data.to_str().unwrap(), "--store-reserve-bytes", "64MiB"]);
    hub.publish("t", "1");
    let ballast = disk.0.join("ballast");
    fs::write(&ballast, vec![1; 200 << 20]).unwrap();
    eventually("it is refused", || hub.post("/publish?topic=t", &[], b"x").status == 507);
    for _ in 0..5 {
        assert_problem(&hub.post("/publish?topic=t", &[], b"x"), 507, "storage-full");
    }
    eventually("it is logged", || hub.log().contains("the disk is nearly full"));
    fs::remove_file(ballast).unwrap();
    eventually("it is logged", || hub.log().contains("the disk has room again"));
    hub.publish("t", "2");
    for line in ["the disk is nearly full", "the disk has room again"] {
        assert_eq!(hub.log().matches(line).count(), 1, "{}", hub.log());
    }
    drop(hub);
}

#[test]
fn an_unusable_data_directory_is_reported_with_the_systems_error_and_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, "x").unwrap();
    let mut tries = vec![(file.clone(), "exists"), (file.join("below"), "Not a directory")];
    let read_only = home.path().join("read-only");
    fs::create_dir(&read_only).unwrap();
    let mount = Mount::new(&read_only, &["-t", "tmpfs", "-o", "ro", "tmpfs"]);
    if mount.is_some() {
        tries.push((read_only.join("data"), "Read-only file system"));
    }
    for (path, word) in tries {
        let (code, said) = Hub::refused(&["--listen", "127.0.0.1:0", "--data", path.to_str().unwrap()]);
        assert_eq!(code, Some(1), "{said}");
        for part in [word, "--data", file.parent().unwrap().to_str().unwrap()] {
            assert!(said.contains(part), "{}: no {part:?} in {said}", path.display());
        }
    }
}

#[test]
fn a_new_store_is_called_new_and_a_killed_one_not_clean() {
    needs!(Disk);
    let mut hub = Hub::start();
    eventually("it is logged", || hub.log().contains("the store is open"));
    assert!(hub.log().contains("created a new store") && !hub.log().contains("clean"), "{}", hub.log());
    hub.kill();
    let mut hub = hub.again();
    eventually("it is logged", || hub.log().contains("clean=false"));
    stop(&mut hub);
    let hub = hub.again();
    eventually("it is logged", || hub.log().contains("clean=true"));
    assert!(!hub.log().contains("created a new store"));
}

/// A connection that stays open.
struct OpenConnection(TcpStream);

impl OpenConnection {
    fn connect(hub: &Hub) -> Self {
        let socket = TcpStream::connect(hub.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    fn publish(&mut self, data: &str) {
        let head =
            format!("POST /publish?topic=t HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", data.len());
        self.0.write_all(&[head.as_bytes(), data.as_bytes()].concat()).unwrap();
        let (mut answer, mut buffer) = (String::new(), [0; 4096]);
        while !answer.ends_with("}\n") && !answer.ends_with('}') {
            let read = self.0.read(&mut buffer).unwrap();
            assert!(read > 0, "hung up after {answer:?}");
            answer.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        assert!(answer.starts_with("HTTP/1.1 200"), "{data}: {answer}");
    }
}

/// The limit at which a process gets no further descriptor.
fn open_descriptors(pid: u32) -> usize {
    let open = |number: &usize| fs::symlink_metadata(format!("/proc/{pid}/fd/{number}")).is_ok();
    // A file that is open for a moment, such as the saved clock, is not counted.
    let count = |_| {
        thread::sleep(Duration::from_millis(10));
        (0..1 << 20).take_while(open).count()
    };
    (0..20).map(count).min().unwrap()
}

fn limit_descriptors(pid: u32, most: usize) {
    let limit = format!("--nofile={most}:");
    let done = Command::new("prlimit").args(["--pid", &pid.to_string(), &limit]).status().unwrap();
    assert!(done.success());
}

/// A mounted file system; unmounted when dropped.
pub(crate) struct Mount(pub(crate) PathBuf);

impl Mount {
    /// `None` where mounting is not allowed.
    fn new(at: &Path, arguments: &[&str]) -> Option<Self> {
        let mounted = Command::new("mount").args(arguments).arg(at).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(at.into()));
        }
        eprintln!("SKIPPED: no right to mount {arguments:?}");
        None
    }

    pub(crate) fn tmpfs(at: &Path, size: &str) -> Option<Self> {
        Self::new(at, &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
    }

    /// A small disk of its own, in a file below `home`.
    fn ext4(home: &Path) -> Option<Self> {
        let (image, at) = (home.join("image"), home.join("disk"));
        fs::create_dir(&at).unwrap();
        fs::File::create(&image).unwrap().set_len(400 << 20).unwrap();
        let made = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image).output();
        if !made.is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED: no mkfs.ext4");
            return None;
        }
        Self::new(&at, &["-o", "loop", image.to_str().unwrap()])
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "{} stays mounted", self.0.display());
    }
}

/// A frozen file system; thawed when dropped.
struct Frozen(PathBuf);

impl Frozen {
    fn freeze(at: &Path) -> Self {
        assert!(Command::new("fsfreeze").arg("-f").arg(at).status().unwrap().success());
        Self(at.into())
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let begun = Instant::now();
        while !Command::new("fsfreeze").arg("-u").arg(&self.0).status().is_ok_and(|status| status.success()) {
            assert!(begun.elapsed() < PATIENCE, "it stays frozen");
            thread::sleep(Duration::from_millis(100));
        }
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-r").arg(from).arg(to).status();
    assert!(copied.unwrap().success());
}
