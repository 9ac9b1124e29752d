//! NATS servers that are away: all of them, or the one that a hub is connected to.

use std::{net::SocketAddr, time::Duration};

use http_body_util::BodyExt as _;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    cluster::over_jetstream,
    http::{self, Open, Outcome},
    hubs::{HubPlace, Hubs},
    nats_cluster::NatsCluster,
    site::{NODES, STREAM},
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
