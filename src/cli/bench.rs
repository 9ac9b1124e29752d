//! `gapless bench`: what a hub carries, here and now, and whether it keeps what it promises meanwhile.
//!
//! The load generator is the one of the repository's own benches, [`crate::load`].

use std::{
    fmt::Write as _,
    io,
    net::{SocketAddr, ToSocketAddrs},
    time::Duration,
};

use bytes::Bytes;
use clap::value_parser;
use http_body_util::Empty;
use hyper::{Method, header::HeaderMap};
use serde_json::json;

use super::{
    CliError,
    client::{Connector, HubArgs, HubClient},
    output::{self, print_line},
};
use crate::{
    lifecycle::descriptors,
    load::{
        DeliveryFaults, Dialect, Load, LoadError, LoadMode, LoadOutcome, LoadPlan, LoadTopics, PublishMode,
        dialect::{AuthorizationHeader, Target},
        generator::Wants,
    },
};

/// What to load it with.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Everything is published to topics of its own, bench/<random>/…, which are deleted in the end. Each
stream must hear each event of its topic once and in order, or the exit code is 1. On the machine of
the hub the load takes its share of the processors.

  gapless bench                                  64 events on their way, until all have heard them
  gapless bench --rate 500 --subscribers 5000    500 events a second, whatever becomes of them
  gapless bench --subscribers 0 --publishers 8   publishing alone")]
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
    /// Data of an event
    #[arg(long, value_name = "N", default_value = "256", value_parser = value_parser!(u32).range(16..=1 << 20))]
    bytes: u32,
    /// Events a second, of all publishers together; latencies count from when each is due
    #[arg(long, value_name = "N", conflicts_with = "window", value_parser = value_parser!(u32).range(1..=10_000_000))]
    rate: Option<u32>,
    /// Events of each publisher on their way, until every stream has heard them
    #[arg(long, value_name = "N", default_value = "64", value_parser = value_parser!(u32).range(1..=100_000))]
    window: u32,
    /// Time to publish for
    #[arg(long, value_name = "N", default_value = "10", value_parser = value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// Publish each event with a request of its own, instead of as lines of one
    #[arg(long)]
    post: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    hub: HubArgs,
}

/// Loads the hub and prints what came of it.
///
/// # Errors
/// When the hub cannot be reached or refuses, and when an event was lost, doubled or reordered.
pub async fn run(args: BenchArgs) -> Result<(), CliError> {
    let hub = HubClient::reach_plainly(&args.hub)?;
    let connections = (args.subscribers + args.publishers) as usize;
    if let Some(fits) = descriptors::make_room(connections) {
        return Err(CliError::Descriptors { wanted: connections, fits });
    }
    let topics = args.topics();
    // It does nothing else meanwhile, so that nothing else is in its figures.
    let authorization = hub.credential().show()?;
    let outcome = target(&hub).and_then(|mut target| {
        target.authorization =
            authorization.as_ref().and_then(|value| value.to_str().ok()).map(AuthorizationHeader::new);
        load(&args, target, &topics)
    });
    clean(&hub, &topics).await;
    let outcome = outcome.map_err(|error| CliError::from_load(error, &args.hub.url))?;
    let text = if args.json { args.json(&outcome) } else { args.table(&outcome) };
    print_line(&mut output::stdout(), text.as_bytes())?;
    if outcome.faults.none() { Ok(()) } else { Err(CliError::Faults(outcome.faults)) }
}

fn load(args: &BenchArgs, target: Target, topics: &LoadTopics) -> Result<LoadOutcome, LoadError> {
    let mut load = Load::new(target, topics.clone())?;
    let count = topics.names.len();
    load.subscribe(args.subscribers as usize, |n| Wants::topic(topics, n % count))?;
    load.run(&LoadPlan {
        events: u64::MAX,
        time: Duration::from_secs(args.seconds.into()),
        pace: args.rate.map_or(LoadMode::Window(args.window), |rate| LoadMode::Rate(rate.into())),
        bytes: args.bytes as usize,
        form: if args.post { PublishMode::Requests } else { PublishMode::Lines },
    })
}

fn target(hub: &HubClient<Connector>) -> Result<Target, LoadError> {
    let (name, authority, base) = hub.place();
    let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let failed = |reason| LoadError::Connect { address: nowhere, reason };
    let address = name.to_socket_addrs().map_err(failed)?.next();
    let address = address.ok_or_else(|| failed(io::Error::new(io::ErrorKind::NotFound, "no such host")))?;
    Ok(Target {
        address,
        authority: authority.into(),
        base: base.into(),
        dialect: Dialect::Gapless,
        authorization: None,
    })
}

/// Deletes the topics; a hub that cannot does not make the figures wrong.
async fn clean(hub: &HubClient<Connector>, topics: &LoadTopics) {
    for topic in &topics.names {
        let target = format!("/topics/{topic}");
        let deleted = hub.send(Method::DELETE, &target, HeaderMap::new(), Empty::<Bytes>::new()).await;
        if let Err(error) = deleted {
            // Nothing was published, or nobody is there: the run has said so.
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
        let DeliveryFaults { lost, doubled, reordered, stray, told } = outcome.faults;
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
            "faults": { "lost": lost, "doubled": doubled, "reordered": reordered, "stray": stray, "told": told },
        })
        .to_string()
    }

    fn table(&self, outcome: &LoadOutcome) -> String {
        let pace = match self.rate {
            Some(rate) => format!("{rate} events/s"),
            None => format!("{} on their way", self.window),
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
