//! Several hubs behind one proxy, as `deploy/nginx.hubs.conf` and `deploy/haproxy.hubs.cfg` set it up. Where nothing else is
//! said, each hub has a log of its own, which shows where each request went.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use crate::{
    proxy::{Kind, Proxy},
    support::{
        PATIENCE, eventually,
        hub::Hub,
        wire::{self, Answer},
    },
};

fn hubs() -> [Hub; 3] {
    [(); 3].map(|()| Hub::start())
}

fn over(hubs: &[Hub; 3], kind: Kind) -> Proxy {
    Proxy::over(hubs.each_ref().map(|hub| hub.address), kind)
}

/// Events that a hub has taken.
fn taken(hub: &Hub) -> u64 {
    hub.stats()["events"]["in_total"].as_u64().unwrap()
}

/// A request that may be repeated, a publish that may not, and one that its key makes repeatable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    Get,
    Post,
    KeyedPost,
}

impl Request {
    fn send(self, proxy: &Proxy, n: usize) -> Answer {
        let key = format!("key-{n}");
        let headers = [("content-type", "text/plain"), ("idempotency-key", &*key)];
        match self {
            Self::Get => wire::request(proxy.address, "GET", "/topics", &[], b""),
            Self::Post => wire::request(proxy.address, "POST", "/publish?topic=t", &headers[..1], b"x"),
            Self::KeyedPost => wire::request(proxy.address, "POST", "/publish?topic=t", &headers, b"x"),
        }
    }
}

/// One hub takes requests and is killed before it answers. Returns the number of requests that were not answered with
/// 200, and asserts that none was carried out twice.
fn failed_when_a_hub_dies(kind: Kind, request: Request) -> usize {
    let mut hubs = hubs();
    let proxy = over(&hubs, kind);
    hubs[0].signal("STOP");
    let (proxy, hub) = (&proxy, &mut hubs[0]);
    let answers: Vec<Answer> = thread::scope(|scope| {
        let sent: Vec<_> = (0..9).map(|n| scope.spawn(move || request.send(proxy, n))).collect();
        // All have arrived: the paused hub's share waits there.
        thread::sleep(Duration::from_millis(700));
        hub.kill();
        sent.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let sound = answers.iter().filter(|answer| answer.status == 200).count();
    if request != Request::Get {
        assert_eq!(taken(&hubs[1]) + taken(&hubs[2]), sound as u64, "{kind:?}: each 200 is one event, and no other is");
    }
    let others = answers.iter().filter(|answer| answer.status != 200);
    others.for_each(|answer| assert_eq!(answer.status, 502, "{}", answer.text()));
    answers.len() - sound
}

/// After a hub has gone, every request goes to the others, and streams are spread over them.
fn a_dead_hub_is_left_out(kind: Kind) {
    let mut hubs = hubs();
    let proxy = over(&hubs, kind);
    hubs[2].kill();
    for n in 0..12 {
        for request in [Request::Get, Request::Post] {
            let answer = request.send(&proxy, n);
            assert_eq!(answer.status, 200, "{kind:?} {request:?}: {}", answer.text());
        }
    }
    let streams: Vec<_> = (0..10).map(|_| wire::watch(proxy.address, "topic=s", None)).collect();
    let open = |hub: &Hub| hub.stats()["subscribers"].as_u64().unwrap();
    eventually("the streams are counted", || open(&hubs[0]) + open(&hubs[1]) == 10);
    assert!(open(&hubs[0]) >= 3 && open(&hubs[1]) >= 3, "{} and {}", open(&hubs[0]), open(&hubs[1]));
    drop(streams);
    hubs[0].kill();
    hubs[1].kill();
    // While no hub answers, an EventSource is told to come back.
    let mut away = wire::open(proxy.address, "GET", "/events?topic=s", &[("accept", "text/event-stream")], b"");
    assert_eq!((away.status, away.rest()), (200, "retry: 3000\n".to_owned()));
    assert!([502, 503].contains(&Request::Get.send(&proxy, 0).status));
}

#[test]
fn nginx_repeats_what_changes_nothing_and_no_publish() {
    assert_eq!(failed_when_a_hub_dies(Kind::NginxHubs, Request::Get), 0);
    assert!(failed_when_a_hub_dies(Kind::NginxHubs, Request::Post) > 0, "the paused hub had some");
}

#[test]
fn haproxy_repeats_what_changes_nothing_and_a_publish_only_by_its_key() {
    assert_eq!(failed_when_a_hub_dies(Kind::HaproxyHubs, Request::Get), 0);
    assert!(failed_when_a_hub_dies(Kind::HaproxyHubs, Request::Post) > 0, "the paused hub had some");
    assert_eq!(failed_when_a_hub_dies(Kind::HaproxyHubs, Request::KeyedPost), 0);
}

#[test]
fn nginx_leaves_a_dead_hub_out() {
    a_dead_hub_is_left_out(Kind::NginxHubs);
}

#[test]
fn haproxy_leaves_a_dead_hub_out() {
    a_dead_hub_is_left_out(Kind::HaproxyHubs);
}

/// A hub without its directory accepts no publish, and serves readers.
#[test]
fn haproxy_asks_whether_a_hub_is_ready_and_uses_any_that_runs_when_none_is() {
    let hubs = hubs();
    let proxy = over(&hubs, Kind::HaproxyHubs);
    let unready = |hub: &Hub| {
        fs::rename(hub.data(), hub.data().with_extension("away")).unwrap();
        eventually("it is not ready", || hub.get("/readyz").status == 503);
    };
    unready(&hubs[0]);
    // Two checks a second apart.
    thread::sleep(Duration::from_millis(3500));
    for n in 0..12 {
        let answer = Request::Post.send(&proxy, n);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!((taken(&hubs[0]), taken(&hubs[1]) + taken(&hubs[2])), (0, 12));

    unready(&hubs[1]);
    unready(&hubs[2]);
    thread::sleep(Duration::from_millis(3500));
    let refused = Request::Post.send(&proxy, 0);
    assert_eq!(refused.status, 503);
    assert!(refused.text().contains("store-unavailable"), "the hub says why: {}", refused.text());
    assert_eq!(wire::watch(proxy.address, "topic=t", None).incoming.status, 200);
}

/// Between tries of a client that was refused.
const PAUSE: Duration = Duration::from_millis(50);

/// Publishes until it is acknowledged.
fn publish(proxy: &Proxy, data: &str) {
    let headers = [("content-type", "text/plain"), ("idempotency-key", data)];
    let begun = Instant::now();
    loop {
        match wire::try_open(proxy.address, "POST", "/publish?topic=t", &headers, data.as_bytes()) {
            Ok(answer) if answer.status == 200 => return,
            Ok(answer) => assert!(answer.status >= 500, "{data}: {}", answer.status),
            Err(_) => {}
        }
        assert!(begun.elapsed() < 2 * PATIENCE, "{data} is not accepted");
        thread::sleep(PAUSE);
    }
}

/// Reads to the event `end`, and comes back as an `EventSource` does. Returns what it was sent, and its connections.
fn read(proxy: &Proxy) -> (Vec<String>, usize) {
    let (mut seen, mut last, mut connections) = (Vec::<String>::new(), None::<String>, 0);
    let mut heard = Instant::now();
    while seen.last().is_none_or(|data| data != "end") {
        assert!(heard.elapsed() < 2 * PATIENCE, "nothing after {:?}", seen.last());
        thread::sleep(PAUSE);
        let Ok(mut stream) = wire::try_watch(proxy.address, "topic=t&from=earliest", last.as_deref()) else { continue };
        if stream.incoming.status != 200 {
            assert!(stream.incoming.status >= 500, "{}", stream.incoming.status);
            continue;
        }
        connections += 1;
        while seen.last().is_none_or(|data| data != "end")
            && let Ok(Some(message)) = stream.try_next()
        {
            assert_eq!(message.event, "message", "{message:?} after {:?}", seen.last());
            seen.push(message.data);
            heard = Instant::now();
        }
        last = stream.last_id().map(Into::into).or(last);
    }
    (seen, connections)
}

/// Ends the publisher, and by its last event the readers, also when the test has failed.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Each of three hubs with one log is killed, while clients publish and read through the proxy.
fn killed_one_after_the_other_hubs_with_one_log_lose_nothing(kind: Kind) {
    let first = Hub::start_over_jetstream();
    let other = || first.again_at("127.0.0.1:0");
    let (second, third) = (other(), other());
    let mut hubs = [first, second, third];
    let proxy = &over(&hubs, kind);
    let (ends, published) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (ends, published) = (&ends, &published);
    thread::scope(|scope| {
        let reading = [(); 2].map(|()| scope.spawn(|| read(proxy)));
        let publishing = scope.spawn(|| {
            while !ends.load(Relaxed) {
                publish(proxy, &published.load(Relaxed).to_string());
                published.fetch_add(1, Relaxed);
            }
            publish(proxy, "end");
        });
        let ending = Ends(ends);
        let goes_on = || {
            let more = published.load(Relaxed) + 20;
            eventually("publishes are accepted", || published.load(Relaxed) >= more);
        };
        for hub in &mut hubs {
            goes_on();
            hub.kill();
            goes_on();
            *hub = hub.again();
            eventually("it is ready", || hub.get("/readyz").status == 200);
        }
        drop(ending);
        publishing.join().unwrap();
        let count = published.load(Relaxed);
        let expected: Vec<String> = (0..count).map(|n| n.to_string()).chain(["end".into()]).collect();
        for reader in reading {
            let (seen, connections) = reader.join().unwrap();
            assert!(seen == expected, "{kind:?}: each of {count} events once, in order; {seen:?}");
            assert!(connections > 1, "its hub was killed");
        }
    });
}

#[test]
fn through_nginx_hubs_with_one_log_lose_nothing_when_each_is_killed() {
    killed_one_after_the_other_hubs_with_one_log_lose_nothing(Kind::NginxHubs);
}

#[test]
fn through_haproxy_hubs_with_one_log_lose_nothing_when_each_is_killed() {
    killed_one_after_the_other_hubs_with_one_log_lose_nothing(Kind::HaproxyHubs);
}
