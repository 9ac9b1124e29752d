//! The recovery drill of docs/OPERATIONS.md, step by step: publishers and readers are at work, the disk is lost, the newest
//! backup is restored, and all of them come back.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    commands::{backup, restore, seq, verify},
    support::{
        PATIENCE, eventually,
        hub::Hub,
        wire::{self, try_watch},
    },
};

const TOPICS: [&str; 3] = ["jobs/0", "jobs/1", "jobs/2"];

/// The data of the last event of each topic.
const LAST: &str = "last";

/// An acknowledged event: its id and its data.
type Acknowledged = Vec<(String, String)>;

/// What a reader was given, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Given {
    Event(String, String),
    Gap(String),
    /// It has connected, with this cursor.
    Connected(Option<String>),
}

/// Publishes numbered events, each with a key of its own and again until it is acknowledged, until it is to stop; then the
/// last one.
fn publisher(
    address: SocketAddr,
    topic: &'static str,
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
) -> JoinHandle<Acknowledged> {
    thread::spawn(move || {
        let mut acknowledged = Vec::new();
        let mut patience = Instant::now();
        for n in 0.. {
            let is_last = stop.load(Ordering::SeqCst);
            let data = if is_last { LAST.to_owned() } else { format!("{topic} {n}") };
            let key = format!("{topic} {n}");
            let headers = [("idempotency-key", &*key), ("content-type", "text/plain")];
            let target = format!("/publish?topic={topic}");
            let id = loop {
                assert!(patience.elapsed() < 2 * PATIENCE, "the hub does not come back");
                let asked = wire::try_open(address, "POST", &target, &headers, data.as_bytes());
                let Ok(mut answer) = asked else {
                    thread::sleep(Duration::from_millis(5));
                    continue;
                };
                let mut body = Vec::new();
                let whole = std::io::Read::read_to_end(&mut answer, &mut body).is_ok();
                if whole && answer.status == 200 {
                    let receipt: Value = serde_json::from_slice(&body).unwrap();
                    break receipt["id"].as_str().unwrap().to_owned();
                }
                thread::sleep(Duration::from_millis(5));
            };
            patience = Instant::now();
            acknowledged.push((id, data));
            count.fetch_add(1, Ordering::SeqCst);
            if is_last {
                break;
            }
            thread::sleep(Duration::from_millis(2));
        }
        acknowledged
    })
}

/// Follows `query` as an EventSource does, until it has the last event of `topics` topics. With `away` it leaves when that is
/// first set, and comes back when it is cleared.
fn reader(
    address: SocketAddr,
    query: &'static str,
    topics: usize,
    away: Option<Arc<AtomicBool>>,
) -> JoinHandle<Vec<Given>> {
    thread::spawn(move || {
        let (mut given, mut last_id, mut open) = (Vec::new(), None::<String>, topics);
        let mut heard = Instant::now();
        let is_away = || away.as_ref().is_some_and(|away| away.load(Ordering::SeqCst));
        while open > 0 {
            assert!(heard.elapsed() < 2 * PATIENCE, "{query}: nothing comes after {:?}", given.last());
            if is_away() {
                heard = Instant::now();
                thread::sleep(Duration::from_millis(5));
                continue;
            }
            let Ok(mut stream) = try_watch(address, query, last_id.as_deref()) else {
                thread::sleep(Duration::from_millis(5));
                continue;
            };
            assert_eq!(stream.incoming.status, 200, "an EventSource would stop");
            given.push(Given::Connected(last_id.clone()));
            while open > 0 && !is_away() {
                let Ok(Some(message)) = stream.try_next() else { break };
                heard = Instant::now();
                match &*message.event {
                    "message" => {
                        open -= usize::from(message.data == LAST);
                        given.push(Given::Event(message.id.unwrap(), message.data));
                    }
                    "hub.gap" => {
                        let gap: Value = serde_json::from_str(&message.data).unwrap();
                        given.push(Given::Gap(gap["reason"].as_str().unwrap().into()));
                    }
                    other => panic!("{other}: {}", message.data),
                }
            }
            last_id = stream.last_id().map(Into::into);
        }
        given
    })
}

fn wait_for(count: &AtomicU64, more: u64) {
    let from = count.load(Ordering::SeqCst);
    eventually("events are published", || count.load(Ordering::SeqCst) >= from + more);
}

/// Every event of the hub with its data, by id.
fn log(hub: &Hub) -> BTreeMap<u64, (String, String)> {
    let (mut all, mut from) = (BTreeMap::new(), "earliest".to_owned());
    loop {
        let page = hub.page(&format!("topic=**&from={from}&limit=1000"));
        let events = page["events"].as_array().unwrap();
        for event in events {
            let [id, data] = ["id", "data"].map(|field| event[field].as_str().unwrap().to_owned());
            assert!(all.insert(seq(&id), (id, data)).is_none(), "an id twice");
        }
        if events.is_empty() {
            return all;
        }
        from = page["next"].as_str().unwrap().into();
    }
}

#[test]
fn a_lost_disk_is_replaced_by_the_newest_backup_and_every_client_comes_back_and_is_told_the_truth() {
    let dir = tempfile::tempdir().unwrap();
    let (data, backups) = (dir.path().join("data"), dir.path().join("backups"));
    let mut hub = Hub::start_on(&data, &["--store-rotate-bytes", "1MiB", "--stream-retry", "100ms"]);
    let (stop, away, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)), Arc::default());
    let publishers = TOPICS.map(|topic| publisher(hub.address, topic, Arc::clone(&stop), Arc::clone(&count)));
    let from = |query, topics| reader(hub.address, query, topics, None);
    let live = [
        (from("topic=jobs/0&from=earliest", 1), &TOPICS[..1]),
        (from("topic=jobs/*&from=earliest", 3), &TOPICS[..]),
        (from("topic=**&from=earliest", 3), &TOPICS[..]),
    ];
    let behind = reader(hub.address, "topic=jobs/1&from=earliest", 1, Some(Arc::clone(&away)));

    // The timer has made some backups; a reader has left before the last one.
    wait_for(&count, 60);
    backup(&hub, &backups);
    away.store(true, Ordering::SeqCst);
    wait_for(&count, 60);
    let newest = backup(&hub, &backups);
    let backed_up = seq(newest["id"].as_str().unwrap());
    wait_for(&count, 90);

    // The disk is lost.
    hub.kill();
    std::fs::remove_dir_all(&data).unwrap();
    // 1. The newest backup is whole.
    let (code, found) = verify(&backups);
    assert_eq!(code, 0, "{found}");
    // 2. It is restored, and the store is sound.
    assert!(restore(&backups, &data).contains(newest["id"].as_str().unwrap()));
    // 3. The hub is started. Clients come back by themselves.
    let hub = hub.again();
    wait_for(&count, 60);
    away.store(false, Ordering::SeqCst);
    wait_for(&count, 30);
    stop.store(true, Ordering::SeqCst);

    let acknowledged: Vec<Acknowledged> = publishers.into_iter().map(|one| one.join().unwrap()).collect();
    let log = log(&hub);
    let given = live.map(|(reader, topics)| (reader.join().unwrap(), topics));
    let behind = behind.join().unwrap();
    judge_log(&log, &acknowledged, backed_up);
    for (given, topics) in &given {
        judge_reader(given, topics, &log, backed_up);
    }
    judge_reader(&behind, &TOPICS[1..2], &log, backed_up);
    assert!(behind.contains(&Given::Gap("lost".into())) && !behind.contains(&Given::Gap("ahead".into())), "{behind:?}");
    // 4. The next backup is of the new hub.
    assert!(backup(&hub, &backups)["reused_bytes"].as_u64().is_some());
    assert_eq!(verify(Path::new(&backups)).0, 0);
}

/// What the backup had is there, once and with its id; what was acknowledged after it is gone; what came after the restore
/// is there. No id was given out twice.
fn judge_log(log: &BTreeMap<u64, (String, String)>, acknowledged: &[Acknowledged], backed_up: u64) {
    let mut ids = BTreeMap::new();
    let (mut kept, mut lost, mut new) = (0, 0, 0);
    for (id, data) in acknowledged.iter().flatten() {
        let at = seq(id);
        if let Some(before) = ids.insert(at, data) {
            panic!("{id} was given out for {before} and {data}");
        }
        let found = log.get(&at);
        let is_after = at > backed_up + (1 << 40);
        if at <= backed_up || is_after {
            assert_eq!(found, Some(&(id.clone(), data.clone())), "missing");
            if is_after { new += 1 } else { kept += 1 }
        } else {
            assert_eq!(found, None, "it was after the backup");
            lost += 1;
        }
    }
    assert!(kept >= 100 && lost >= 60 && new >= 60, "{kept} kept, {lost} lost, {new} new");
    let data: Vec<_> = log.values().map(|(_, data)| data).filter(|data| *data != LAST).collect();
    let mut once = data.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), data.len(), "an event is there twice");
}

/// It was given every event of the log in order, once since it was told that it was ahead, and was told of the loss.
fn judge_reader(given: &[Given], topics: &[&str], log: &BTreeMap<u64, (String, String)>, backed_up: u64) {
    let is_mine = |data: &str| data == LAST || topics.iter().any(|topic| data.starts_with(&format!("{topic} ")));
    // What it was given since it was told to begin again.
    let begin = given.iter().rposition(|one| *one == Given::Gap("ahead".into()));
    let events: Vec<(&str, &str)> = given[begin.map_or(0, |at| at + 1)..]
        .iter()
        .filter_map(|one| match one {
            Given::Event(id, data) => Some((&**id, &**data)),
            _ => None,
        })
        .collect();
    assert!(events.windows(2).all(|pair| seq(pair[0].0) < seq(pair[1].0)), "in order and once");
    let mine = log.values().filter(|(_, data)| is_mine(data) && data != LAST);
    let want: Vec<&str> = mine.map(|(id, _)| &**id).collect();
    let got: Vec<&str> = events.iter().filter(|(_, data)| *data != LAST).map(|(id, _)| *id).collect();
    assert_eq!(got, want);
    // With which cursor did it come back to the restored hub?
    let restored_at =
        given.iter().position(|one| matches!(one, Given::Event(id, _) if seq(id) > backed_up + (1 << 40)));
    let came_with = given[..restored_at.unwrap()].iter().rev().find_map(|one| match one {
        Given::Connected(cursor) => cursor.as_deref().map(seq),
        _ => None,
    });
    let was_further = came_with.is_some_and(|cursor| cursor > backed_up && cursor < backed_up + (1 << 40));
    assert_eq!(begin.is_some(), was_further, "told `ahead` if it was: {came_with:?}");
    assert!(given.contains(&Given::Gap("lost".into())), "and that events are lost");
}
