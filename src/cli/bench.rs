//! `gapless bench`: measures a hub's throughput and latency under load, and checks that no event is lost, duplicated or
//! reordered.
//!
//! It uses the load generator of the repository's benches, [`crate::load`].

use std::{
    fmt::Write as _,
    io,
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use clap::value_parser;
use http_body_util::Empty;
use hyper::{Method, header::HeaderMap};
use serde_json::json;

use super::{
    CliError,
    client::{HubArgs, HubClient},
    output::{self, print_line},
    progress::{CountedUnit, ProgressLine, is_drawn},
};
use crate::{
    lifecycle::descriptors,
    load::{
        DeliveryFaults, Load, LoadError, LoadMode, LoadOutcome, LoadPlan, LoadTopics, PeerDialect, PublishMode, Wants,
        dialect::{AuthorizationHeader, Target},
    },
    progress::WorkProgress,
};

/// The load.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The load uses its own topics, bench/<random>/…, and deletes them at the end. Each stream must
receive each event of its topic once and in order, or the exit code is 1. When it runs on the same
machine as the hub, it competes with the hub for the processors.

  gapless bench                                  64 events in flight, until all streams have them
  gapless bench --rate 500 --subscribers 5000    500 events a second, whether they keep up or not
  gapless bench --subscribers 0 --publishers 8   publishing only")]
pub struct BenchArgs {
    /// Streams, spread over the topics
    #[arg(long, value_name = "N", default_value = "1000", value_parser = value_parser!(u32).range(..=1_000_000))]
    subscribers: u32,
    /// Topics
    #[arg(long, value_name = "N", default_value = "1", value_parser = value_parser!(u32).range(1..=10_000))]
    topics: u32,
    /// Connections that publish, spread over the topics
    #[arg(long, value_name = "N", default_value = "1", value_parser = value_parser!(u32).range(1..=1_000))]
    publishers: u32,
    /// Bytes of data of an event
    #[arg(long, value_name = "N", default_value = "256", value_parser = value_parser!(u32).range(16..=1 << 20))]
    bytes: u32,
    /// Events a second of all publishers together; latency counts from when an event is due
    #[arg(long, value_name = "N", conflicts_with = "window", value_parser = value_parser!(u32).range(1..=10_000_000))]
    rate: Option<u32>,
    /// Events in flight of each publisher: those that not every stream has received
    #[arg(long, value_name = "N", default_value = "64", value_parser = value_parser!(u32).range(1..=100_000))]
    window: u32,
    /// Seconds to publish for
    #[arg(long, value_name = "N", default_value = "10", value_parser = value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// Publish each event in its own request, instead of as lines of one request
    #[arg(long)]
    post: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    hub: HubArgs,
}

/// Loads the hub and prints the results.
///
/// # Errors
/// When the hub cannot be reached or refuses, and when an event was lost, duplicated or reordered.
pub async fn run(args: BenchArgs) -> Result<(), CliError> {
    let hub = args.hub.plain_tcp_client()?;
    let connections = (args.subscribers + args.publishers) as usize;
    if let Some(fits) = descriptors::raise_limit(connections) {
        return Err(CliError::Descriptors { wanted: connections, fits });
    }
    let topics = args.topics();
    // The runtime does nothing else while the load runs, so that nothing else affects the figures.
    let authorization = hub.credential().authorization().await?;
    let outcome = target(&hub).and_then(|mut target| {
        target.authorization =
            authorization.as_ref().and_then(|value| value.to_str().ok()).map(AuthorizationHeader::new);
        load(&args, target, &topics)
    });
    delete_topics(&hub, &topics).await;
    let outcome = outcome.map_err(|error| CliError::from_load(error, &args.hub.url))?;
    let text = if args.json { args.json(&outcome) } else { args.table(&outcome) };
    print_line(&mut output::stdout(), text.as_bytes())?;
    if outcome.faults.none() { Ok(()) } else { Err(CliError::Faults(outcome.faults)) }
}

fn load(args: &BenchArgs, target: Target, topics: &LoadTopics) -> Result<LoadOutcome, LoadError> {
    let mut load = Load::new(target, topics.clone())?;
    let count = topics.names.len();
    let progress = Arc::new(WorkProgress::default());
    // Where there is no terminal nothing is drawn, and the generator does no work for it.
    if is_drawn() {
        load.report_to(Arc::clone(&progress));
    }
    let opening = ProgressLine::start(&progress, CountedUnit::Items);
    load.subscribe(args.subscribers as usize, |n| Wants::topic(topics, n % count))?;
    drop(opening);
    let _running = ProgressLine::start(&progress, CountedUnit::Time);
    load.run(&LoadPlan {
        events: u64::MAX,
        time: Duration::from_secs(args.seconds.into()),
        pace: args.rate.map_or(LoadMode::Window(args.window), |rate| LoadMode::Rate(rate.into())),
        bytes: args.bytes as usize,
        form: if args.post { PublishMode::Requests } else { PublishMode::Lines },
    })
}

fn target(hub: &HubClient) -> Result<Target, LoadError> {
    let (name, authority, base) = hub.endpoint();
    let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let failed = |reason| LoadError::Connect { address: nowhere, reason };
    let address = name.to_socket_addrs().map_err(failed)?.next();
    let address = address.ok_or_else(|| failed(io::Error::new(io::ErrorKind::NotFound, "no such host")))?;
    Ok(Target {
        address,
        authority: authority.into(),
        base: base.into(),
        dialect: PeerDialect::Gapless,
        authorization: None,
    })
}

/// Deletes the topics. A failure does not affect the figures, so it is not an error.
async fn delete_topics(hub: &HubClient, topics: &LoadTopics) {
    for topic in &topics.names {
        let target = format!("/topics/{topic}");
        let deleted = hub.send(Method::DELETE, &target, HeaderMap::new(), Empty::<Bytes>::new()).await;
        if let Err(error) = deleted {
            // Nothing was published, or the hub is unreachable, which the result of the load says.
            tracing::debug!(%error, topic, "not deleted");
            return;
        }
    }
}

impl BenchArgs {
    fn topics(&self) -> LoadTopics {
        let run = fastrand::u32(..);
        let names = (0..self.topics).map(|n| format!("bench/{run:08x}/{n}")).collect();
        LoadTopics { names, publishers: self.publishers as usize }
    }

    fn json(&self, outcome: &LoadOutcome) -> String {
        let DeliveryFaults { lost, duplicated, reordered, stray, told } = outcome.faults;
        let ms = |percent| outcome.latency_ms(percent);
        json!({
            "subscribers": self.subscribers,
            "topics": self.topics,
            "publishers": self.publishers,
            "bytes": self.bytes,
            "rate": self.rate,
            "window": if self.rate.is_none() { Some(self.window) } else { None },
            "seconds": outcome.elapsed.as_secs_f64(),
            "published": { "events": outcome.published, "per_s": outcome.published_per_second() },
            "delivered": { "events": outcome.delivered, "per_s": outcome.delivered_per_second() },
            "latency_ms": { "p50": ms(50.0), "p99": ms(99.0), "p999": ms(99.9) },
            "faults": { "lost": lost, "duplicated": duplicated, "reordered": reordered, "stray": stray, "told": told },
        })
        .to_string()
    }

    fn table(&self, outcome: &LoadOutcome) -> String {
        let pace = match self.rate {
            Some(rate) => format!("{rate} events/s"),
            None => format!("{} in flight", self.window),
        };
        let Self { subscribers, topics, publishers, bytes, .. } = self;
        let counted = |count: &u32, what: &str| format!("{count} {what}{}", if *count == 1 { "" } else { "s" });
        let mut text = format!(
            "{}, {}, {}, {bytes} B, {pace}, {:.1} s\n",
            counted(subscribers, "subscriber"),
            counted(topics, "topic"),
            counted(publishers, "publisher"),
            outcome.elapsed.as_secs_f64()
        );
        let mut row = |what: &str, count: u64, rate: f64| {
            writeln!(text, "  {what:<10} {count:>12}  {rate:>12.0} /s").expect("memory");
        };
        row("published", outcome.published, outcome.published_per_second());
        row("delivered", outcome.delivered, outcome.delivered_per_second());
        if !outcome.latency.is_empty() {
            let ms = |percent| outcome.latency_ms(percent);
            writeln!(text, "  latency    p50 {:.2} ms  p99 {:.2} ms  p999 {:.2} ms", ms(50.0), ms(99.0), ms(99.9))
                .expect("memory");
        }
        write!(text, "  {}", outcome.faults).expect("memory");
        text
    }
}
