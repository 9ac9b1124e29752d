//! NATS servers that are away: all of them, or the one that a hub is connected to.

use std::{net::SocketAddr, time::Duration};

use http_body_util::BodyExt as _;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    cluster::over_jetstream,
    http::{self, Open, Outcome},
    hubs::{HubPlace, Hubs},
    nats_cluster::NatsCluster,
    script::Step,
    site::{NODES, STREAM, Site},
};

/// For what must happen, on a busy machine.
const LIMIT: Duration = Duration::from_mins(1);

/// An open stream of the topic `t`, from its beginning.
struct Stream {
    open: Open,
    text: String,
}

impl Stream {
    async fn of(hub: SocketAddr) -> Self {
        let open = http::open(hub, "GET", "/events?topic=t&from=earliest", &[], http::full("")).await.unwrap();
        assert_eq!(open.response.status(), 200);
        Self { open, text: String::new() }
    }

    /// Reads until this has come, and drops it with what came before.
    async fn until(&mut self, text: &str) {
        let reading = async {
            loop {
                if let Some(at) = self.text.find(text) {
                    self.text.drain(..at + text.len());
                    return;
                }
                let frame = self.open.response.body_mut().frame().await.expect("the stream is open").unwrap();
                self.text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
            }
        };
        timeout(LIMIT, reading).await.unwrap_or_else(|_| panic!("{text:?} has not come"));
    }
}

/// The status, and whether it says when to try again.
async fn publish(hub: SocketAddr, data: String) -> (u16, bool) {
    let publishing = http::open(hub, "POST", "/publish?topic=t", &[], http::full(data));
    let open = timeout(LIMIT, publishing).await.expect("an answer").unwrap();
    (open.response.status().as_u16(), open.response.headers().contains_key("retry-after"))
}

/// Waits until `path` has this status.
async fn answers(hub: SocketAddr, path: &str, status: u16) {
    let until = Instant::now() + LIMIT;
    loop {
        let answer = http::request(hub, "GET", path, &[], Vec::new(), LIMIT).await;
        if matches!(&answer, Outcome::Answered(answer) if answer.status == status) {
            return;
        }
        assert!(Instant::now() < until, "{path}: {answer:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

#[test]
fn without_nats_streams_stay_open_and_publishes_are_refused_until_it_is_back() {
    run(async {
        let mut cluster = NatsCluster::start();
        let places = over_jetstream(&cluster.urls()).into_iter();
        let hubs = Hubs::start(places.map(|arguments| HubPlace { arguments, ..HubPlace::default() }).collect());
        hubs.ready().await.unwrap();
        let addresses = hubs.addresses();
        let mut streams = Vec::new();
        for hub in &addresses {
            streams.push(Stream::of(*hub).await);
        }
        assert_eq!(publish(addresses[0], "one".into()).await, (200, false));
        for stream in &mut streams {
            stream.until("data: one\n").await;
        }
        (0..NODES).for_each(|node| cluster.kill(node));
        for hub in &addresses {
            answers(*hub, "/readyz", 503).await;
            answers(*hub, "/healthz", 200).await;
            assert_eq!(publish(*hub, "refused".into()).await, (503, true));
        }
        for stream in &mut streams {
            stream.text.clear();
            for _ in 0..3 {
                stream.until(":\n").await;
            }
            assert!(!stream.text.contains("data"), "{}", stream.text);
        }
        (0..NODES).for_each(|node| cluster.restart(node));
        hubs.ready().await.unwrap();
        // Servers that have just started may elect a leader twice.
        let until = Instant::now() + LIMIT;
        while publish(addresses[1], "two".into()).await != (200, false) {
            assert!(Instant::now() < until, "publishes are refused");
        }
        for stream in &mut streams {
            stream.until("data: two\n").await;
        }
    });
}

/// It prints the longest delay of an event.
#[test]
fn a_hub_whose_nats_server_hangs_goes_on_at_another_one() {
    /// For four seconds.
    const EVENTS: usize = 80;
    run(async {
        let cluster = NatsCluster::start();
        drop(over_jetstream(&cluster.urls()));
        let leader = cluster.stream_leader(STREAM);
        let hung = (leader + 1) % NODES;
        let place = |node| HubPlace {
            arguments: ["--engine", "jetstream", "--nats", &cluster.url(node)].map(Into::into).into(),
            ..HubPlace::default()
        };
        let leading = Hubs::start(vec![place(leader)]);
        leading.ready().await.unwrap();
        let following = Hubs::start(vec![place(hung)]);
        following.ready().await.unwrap();
        let mut stream = Stream::of(following.addresses()[0]).await;
        let publisher = leading.addresses()[0];
        assert_eq!(publish(publisher, "0.".into()).await.0, 200);
        stream.until("data: 0.\n").await;
        cluster.pause(hung);
        let publishing = async {
            let mut stored = Vec::new();
            for n in 1..=EVENTS {
                assert_eq!(publish(publisher, format!("{n}.")).await.0, 200);
                stored.push(Instant::now());
                sleep(Duration::from_millis(50)).await;
            }
            stored
        };
        let reading = async {
            let mut came = Vec::new();
            for n in 1..=EVENTS {
                stream.until(&format!("data: {n}.\n")).await;
                came.push(Instant::now());
            }
            came
        };
        let (stored, came) = tokio::join!(publishing, reading);
        let delays = stored.iter().zip(&came).map(|(stored, came)| came.saturating_duration_since(*stored));
        println!("the longest delay of an event: {:?}", delays.max().unwrap_or_default());
        cluster.go_on(hung);
    });
}

/// The hub that is cut off has the event in flight: to the servers when it leads, and to the hub that leads when it does not.
/// Whoever waits is told that it is not known, repeats it elsewhere, and nobody knows the key any more when the hub comes back.
#[test]
fn an_event_is_stored_once_when_its_hub_is_away_for_longer_than_its_key_is_known() {
    const WINDOW: Duration = Duration::from_secs(8);
    let mut site = Site::of_cluster(512, |servers| {
        let window = ["--publish-idempotency-window", "8s"].map(String::from);
        over_jetstream(servers).into_iter().map(|arguments| [&arguments[..], &window[..]].concat()).collect()
    });
    if !site.may_cut() {
        println!("left out: this process may not make network namespaces");
        return;
    }
    run(async {
        site.hubs.ready().await.unwrap();
        let addresses = site.hubs.addresses();
        assert_eq!(publish(addresses[0], "first".into()).await.0, 200);
        let leads = |site: &Site| (0..NODES).rfind(|hub| site.hubs.log(*hub).contains("this hub leads")).unwrap();
        let leading = leads(&site);
        for cut in [(leading + 1) % NODES, leading] {
            let (away, there) = (addresses[cut], addresses[(cut + 1) % NODES]);
            assert_eq!(publish(away, format!("before {cut}")).await.0, 200);
            site.take(&Step::CutHub(cut)).await;
            let key = format!("key-{cut}");
            let keyed = async |hub| {
                let headers = [("idempotency-key", key.as_str())];
                http::request(hub, "POST", "/publish?topic=t", &headers, key.clone().into(), LIMIT).await
            };
            let unknown = keyed(away).await;
            assert!(matches!(&unknown, Outcome::Answered(answer) if answer.status == 503), "{unknown:?}");
            let until = Instant::now() + LIMIT;
            while !matches!(&keyed(there).await, Outcome::Answered(answer) if answer.status == 200) {
                assert!(Instant::now() < until, "publishes are refused");
                sleep(Duration::from_millis(100)).await;
            }
            sleep(WINDOW + Duration::from_secs(2)).await;
            site.take(&Step::Heal).await;
            let until = Instant::now() + LIMIT;
            while publish(away, format!("after {cut}")).await.0 != 200 {
                assert!(Instant::now() < until, "publishes are refused");
                sleep(Duration::from_millis(100)).await;
            }
            sleep(Duration::from_secs(1)).await;
            let page = "/events?topic=t&from=earliest&limit=1000";
            let headers = [("accept", "application/json")];
            let Outcome::Answered(answer) = http::request(there, "GET", page, &headers, Vec::new(), LIMIT).await else {
                panic!("the events cannot be read");
            };
            let events = answer.json["events"].as_array().unwrap();
            let stored = events.iter().filter(|event| event["data"] == key.as_str()).count();
            assert_eq!(stored, 1, "hub {cut}, leading {leading}: {events:?}");
        }
    });
}
