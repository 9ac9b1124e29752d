//! One round: publishers and readers while a script breaks things, then the reconciliation, and the verdict.

use std::{
    collections::HashMap,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use fastrand::Rng;
use gapless::event::EventId;
use serde_json::Value;
use tokio::{task::LocalSet, time::timeout};

use crate::{
    checker::{Rule, Verdict, Violation, check},
    history::{Fate, History, HubLog, Item, TopicIndex},
    http::{self, Outcome, encoded},
    posting::{Wish, publish},
    publishers, readers,
    script::Script,
    site::Site,
    world::World,
};

/// For the publishers' last publishes, after the last fault has healed: their own patience and a repetition.
const LAST_PUBLISHES: Duration = Duration::from_secs(200);

/// For the readers to read to the end: their own patience and a connection.
const LAST_READS: Duration = Duration::from_mins(3);

/// Of one request of the reconciliation, and its repetitions.
const REQUEST: Duration = Duration::from_secs(10);
const TRIES: usize = 30;

/// Events of a page at most.
const PAGE: usize = 1000;

/// What a round is.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// First segment of its topics.
    pub(crate) prefix: String,
    pub(crate) script: Script,
    /// Longest pause of a publisher between two publishes.
    pub(crate) pause: Duration,
    /// A reader that has nothing to read for so long, when all has healed, is late: longer than what healing may take.
    pub(crate) late: Duration,
}

/// Runs a round through `addresses`, which are those of the site's hubs, or of proxies before them.
pub(crate) fn run(site: &mut Site, addresses: &[SocketAddr], plan: &Plan) -> Verdict {
    println!("GAPLESS_SEED={}, topics {}/…", plan.seed, plan.prefix);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, round(site, addresses, plan))
}

async fn round(site: &mut Site, addresses: &[SocketAddr], plan: &Plan) -> Verdict {
    let mut random = Rng::with_seed(plan.seed);
    let world = Rc::new(World::new(addresses, &plan.prefix, plan.late));
    site.hubs.ready().await.expect("before the first fault");
    publishers::set_retention(&world, &mut random).await;
    let mut publishers = publishers::start(&world, &mut random, plan.pause);
    let mut readers = readers::start(&world, &mut random);
    plan.script.run(site).await;
    let healed = Instant::now();
    let mut stuck = Vec::new();
    if let Err(error) = site.hubs.ready().await {
        println!("{error}\n{}", site.node_logs());
        stuck.push(error);
    } else {
        println!("all hubs are ready {:.1?} after the script", healed.elapsed());
    }
    world.publishing.set(false);
    let ended = timeout(LAST_PUBLISHES, async {
        while let Some(ended) = publishers.join_next().await {
            ended.expect("a publisher's task");
        }
    });
    if ended.await.is_err() {
        stuck.push(format!("{} publishers have not ended", publishers.len()));
    }
    publishers::keep_brief_topics(&world, &mut random).await;
    mark(&world, &mut random).await;
    let mut logs = Vec::new();
    let ended = timeout(LAST_READS, async {
        while let Some(ended) = readers.join_next().await {
            logs.extend(ended.expect("a reader's task"));
        }
    });
    if ended.await.is_err() {
        stuck.push(format!("{} readers have not ended", readers.len()));
    }
    let mut history = History { readers: logs, ..History::default() };
    for (hub, address) in world.hubs() {
        let mut found = HubLog { hub, ..HubLog::default() };
        if let Err(error) = log(&world, &mut found, address).await {
            stuck.push(format!("the log of hub {hub} cannot be read to its end: {error}"));
        }
        history.logs.push(found);
    }
    let ledger = world.ledger();
    history.topics.clone_from(&ledger.topics);
    history.sent.clone_from(&ledger.sent);
    history.publishes.clone_from(&ledger.publishes);
    let mut verdict = check(&history);
    verdict.violations.extend(stuck.into_iter().map(|detail| Violation { rule: Rule::Finished, detail }));
    verdict.violations.extend(ledger.odd.iter().map(|odd| Violation { rule: Rule::Odd, detail: odd.clone() }));
    println!("{}", verdict.figures);
    verdict
}

/// Publishes the last event of each topic that is open to all.
async fn mark(world: &World, random: &mut Rng) {
    let topics = [&world.shared[..], &world.conditional, &world.short, &world.brief].concat();
    let markers: HashMap<TopicIndex, usize> = topics.iter().map(|topic| (*topic, world.event(*topic, false))).collect();
    world.end(markers.clone());
    for (topic, number) in markers {
        let key = Some(format!("{}-marker-{topic}", world.prefix));
        publish(world, random, &Wish { events: vec![number], key, ..Wish::default() }).await;
    }
}

/// The whole log of this round, page by page, and what the hub says of each topic.
async fn log(world: &World, log: &mut HubLog, address: SocketAddr) -> Result<(), String> {
    let newest = newest_receipt(world);
    let target = format!("/events?topic={}&limit={PAGE}", encoded(&format!("{}/**", world.prefix)));
    let mut cursor = "from=earliest".to_owned();
    loop {
        let page = ask(address, &format!("{target}&{cursor}"), 200).await?;
        let events = page["events"].as_array().ok_or("a page without events")?;
        let items = events.iter().map(|event| read(world, event));
        log.items.extend(items);
        let gaps = page["gaps"].as_array().into_iter().flatten();
        log.items.extend(gaps.map(|gap| told(world, gap)));
        let next = page["next"].as_str().ok_or("a page without next")?;
        let through = http::id(&page["next"]).ok_or("next is no id")?;
        // A hub that lags has not the newest yet. A page that is not full ends at its newest.
        if events.len() < PAGE && newest.is_none_or(|newest| newest.epoch != through.epoch || through.seq >= newest.seq)
        {
            break;
        }
        if events.is_empty() && cursor.ends_with(next) {
            return Err(format!("it ends at {next}, and {newest:?} was acknowledged"));
        }
        cursor = format!("wait=5s&last_event_id={next}");
    }
    let topics: Vec<(TopicIndex, String)> = {
        let ledger = world.ledger();
        let there = ledger.topics.iter().enumerate().filter(|(_, topic)| topic.fate != Fate::Deleted);
        there.map(|(topic, facts)| (topic, facts.name.clone())).collect()
    };
    for (topic, name) in topics {
        let facts = match ask(address, &format!("/topics/{}", encoded(&name)), 200).await {
            Ok(facts) => facts,
            Err(error) if error.contains("topic-unknown") => continue, // nothing was stored there
            Err(error) => return Err(error),
        };
        let count = facts["events"].as_u64().ok_or("a topic without its number of events")?;
        log.topics.insert(topic, (http::id(&facts["last_id"]), count));
    }
    Ok(())
}

fn newest_receipt(world: &World) -> Option<EventId> {
    let ledger = world.ledger();
    let receipts = ledger.publishes.iter().filter_map(|publish| publish.receipts.first()?.last().copied());
    receipts.max_by_key(|id| id.seq)
}

async fn ask(address: SocketAddr, target: &str, status: u16) -> Result<Value, String> {
    let mut last = String::new();
    for _ in 0..TRIES {
        match http::request(address, "GET", target, &[("accept", "application/json")], Vec::new(), REQUEST).await {
            Outcome::Answered(answer) if answer.status == status => return Ok(answer.json),
            Outcome::Answered(answer) if answer.status < 429 => return Err(answer.json.to_string()),
            other => last = format!("{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    Err(last)
}

fn read(world: &World, event: &Value) -> Item {
    let ledger = world.ledger();
    let number = event["topic"].as_str().zip(event["data"].as_str());
    let number = number.and_then(|(topic, data)| ledger.number(Some(topic), data));
    match (http::id(&event["id"]), number) {
        (Some(id), Some(number)) => Item::Event { id, number },
        _ => Item::Foreign { id: event["id"].to_string(), text: format!("{event:.300}") },
    }
}

fn told(world: &World, gap: &Value) -> Item {
    let topic = gap["topic"].as_str().and_then(|name| world.ledger().index(name));
    Item::Gap { topic, reason: gap["reason"].as_str().unwrap_or_default().into() }
}
