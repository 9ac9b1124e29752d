//! NATS JetStream without a hub: the same events, published and read by async-nats in this process.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use async_nats::jetstream::{
    self,
    consumer::{DeliverPolicy, pull},
    stream::{Config, StorageType},
};
use bytes::Bytes;
use hdrhistogram::Histogram;
use tokio::task::spawn_local;
use tokio_stream::StreamExt as _;

use crate::{
    BYTES, TOPICS,
    cluster::{SERVERS, Site},
    support,
};

/// The stream; its subjects are `plain.>`.
const STREAM: &str = "PLAIN";

/// Between the start of a reader and what it is to read.
const SETTLED: Duration = Duration::from_millis(300);

/// What a run of publishes has shown.
pub(crate) struct Published {
    pub(crate) events: u64,
    pub(crate) seconds: f64,
    /// Until the acknowledgement, in nanoseconds.
    pub(crate) acks: Histogram<u64>,
    /// Until a reader at another server has it, in nanoseconds; empty without one.
    pub(crate) heard: Histogram<u64>,
}

/// Makes the stream, with three replicas, in files.
pub(crate) fn create(site: &Site) {
    support::block_on(async {
        let config = Config {
            name: STREAM.into(),
            subjects: vec!["plain.>".into()],
            num_replicas: SERVERS,
            storage: StorageType::File,
            allow_direct: true,
            ..Config::default()
        };
        connected(site.cluster.url(0)).await.get_or_create_stream(config).await.expect("it is made");
    });
}

async fn connected(url: String) -> jetstream::Context {
    jetstream::new(async_nats::connect(url).await.expect("it accepts"))
}

/// Publishes for `time` with `waiting` in flight. With `is_heard`, an ordered consumer at another server reads them.
pub(crate) fn publish(site: &Site, waiting: usize, time: Duration, is_heard: bool) -> Published {
    support::block_on(async {
        let (context, created) = (connected(site.cluster.url(0)).await, Instant::now());
        let heard = Rc::new(RefCell::new(histogram()));
        let reader = is_heard.then(|| spawn_local(hear(site.cluster.url(SERVERS - 1), created, Rc::clone(&heard))));
        tokio::time::sleep(SETTLED).await;
        let (acks, events, begun) = (Rc::new(RefCell::new(histogram())), Rc::new(Cell::new(0)), Instant::now());
        let publisher = |first: usize| {
            let (context, acks, events) = (context.clone(), Rc::clone(&acks), Rc::clone(&events));
            async move {
                let mut topic = (first..).map(|n| format!("plain.jobs.{}", n % TOPICS));
                while begun.elapsed() < time {
                    let sent = created.elapsed();
                    let data = Bytes::from(support::payload(nanos(sent), BYTES));
                    let subject = topic.next().expect("it has no end");
                    context.publish(subject, data).await.expect("sent").await.expect("acknowledged");
                    acks.borrow_mut().saturating_record(nanos(created.elapsed().saturating_sub(sent)));
                    events.set(events.get() + 1);
                }
            }
        };
        for publisher in (0..waiting).map(|first| spawn_local(publisher(first))).collect::<Vec<_>>() {
            publisher.await.expect("it ends");
        }
        let seconds = begun.elapsed().as_secs_f64();
        if let Some(reader) = reader {
            while heard.borrow().len() < events.get() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            reader.abort();
        }
        Published { events: events.get(), seconds, acks: acks.take_out(), heard: heard.take_out() }
    })
}

async fn hear(url: String, created: Instant, heard: Rc<RefCell<Histogram<u64>>>) {
    let stream = connected(url).await.get_stream(STREAM).await.expect("it is there");
    let config = pull::OrderedConfig { deliver_policy: DeliverPolicy::New, ..pull::OrderedConfig::default() };
    let mut messages = stream.create_consumer(config).await.expect("made").messages().await.expect("begun");
    while let Some(message) = messages.next().await {
        let message = message.expect("the cluster is whole");
        let text = std::str::from_utf8(&message.payload[..16]).expect("digits");
        let sent = u64::from_str_radix(text, 16).expect("digits");
        heard.borrow_mut().saturating_record(nanos(created.elapsed()).saturating_sub(sent));
    }
}

/// Publishes `events` to one subject, some hundred in flight.
pub(crate) fn fill(site: &Site, subject: &'static str, events: u64) {
    support::block_on(async {
        let (context, left) = (connected(site.cluster.url(0)).await, Rc::new(Cell::new(events)));
        let publisher = || {
            let (context, left) = (context.clone(), Rc::clone(&left));
            async move {
                while let Some(now) = left.get().checked_sub(1) {
                    left.set(now);
                    let data = Bytes::from(support::payload(now, BYTES));
                    context.publish(subject, data).await.expect("sent").await.expect("acknowledged");
                }
            }
        };
        for publisher in (0..256).map(|_| spawn_local(publisher())).collect::<Vec<_>>() {
            publisher.await.expect("it ends");
        }
    });
}

/// Lets `readers` read `events` of a subject, each by an ordered consumer of its own, all at once.
pub(crate) fn replay(site: &Site, subject: &'static str, readers: usize, events: u64) {
    support::block_on(async {
        let reader = |index: usize| {
            let url = site.cluster.url(index % SERVERS);
            async move {
                let stream = connected(url).await.get_stream(STREAM).await.expect("it is there");
                let config = pull::OrderedConfig { filter_subject: subject.into(), ..pull::OrderedConfig::default() };
                let mut messages = stream.create_consumer(config).await.expect("made").messages().await.expect("begun");
                for _ in 0..events {
                    messages.next().await.expect("more").expect("the cluster is whole");
                }
            }
        };
        for reader in (0..readers).map(|index| spawn_local(reader(index))).collect::<Vec<_>>() {
            reader.await.expect("it ends");
        }
    });
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).expect("less than 584 years")
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(1_000_000_000_000, 3).expect("bounds that fit")
}

/// Takes what tasks have shared.
trait TakeOut {
    fn take_out(&self) -> Histogram<u64>;
}

impl TakeOut for Rc<RefCell<Histogram<u64>>> {
    fn take_out(&self) -> Histogram<u64> {
        self.replace(histogram())
    }
}
