//! Several hubs behind one proxy, as `deploy/nginx.hubs.conf` and `deploy/haproxy.hubs.cfg` set it up. Here each hub has a log
//! of its own, which shows where each request went.

use std::{fs, thread, time::Duration};

use crate::{
    proxy::{Kind, Proxy},
    support::{
        eventually,
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
