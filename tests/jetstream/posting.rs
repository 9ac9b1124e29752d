//! One publish, from its first attempt to a receipt or to the end of its attempts.

use std::{net::SocketAddr, time::Duration};

use fastrand::Rng;
use gapless::event::EventId;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    history::{Expect, Number, Publish},
    http::{self, Answer, Outcome, encoded},
    world::World,
};

/// A publish under a key ends without a receipt after this long: far longer than any fault of a script and its healing.
const PATIENCE: Duration = Duration::from_secs(150);

/// What a publish asks for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wish {
    pub(crate) events: Vec<Number>,
    pub(crate) key: Option<String>,
    pub(crate) expect: Option<Expect>,
    /// The body has the data as it is; otherwise it is JSON. Of one event only.
    pub(crate) raw: bool,
}

/// How a publish ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    Stored(Vec<EventId>),
    /// 412, with the topic's last id.
    NotLast(Option<EventId>),
    /// Refused, and nothing was published; the problem's code.
    Refused(String),
    Unknown,
}

/// Publishes once, or under a key until there is an answer that tells the outcome, each time at a hub chosen by chance.
pub(crate) async fn publish(world: &World, random: &mut Rng, wish: &Wish) -> Fate {
    let publish = world.begin(Publish { events: wish.events.clone(), expect: wish.expect, ..Publish::default() });
    let until = Instant::now() + PATIENCE;
    loop {
        let fate = attempt(world, random, wish, publish).await;
        match &fate {
            Fate::Unknown => world.unknown(publish),
            Fate::NotLast(last) => world.refused(publish, *last),
            Fate::Stored(ids) => {
                world.acknowledged(publish, ids.clone());
                if wish.key.is_some() && random.u8(..4) == 0 {
                    again(world, random, wish, publish).await;
                }
            }
            Fate::Refused(_) => {}
        }
        let ended = match &fate {
            Fate::Stored(_) | Fate::NotLast(_) => true,
            Fate::Refused(code) => ["topic-closed", "idempotency-conflict"].contains(&&**code),
            Fate::Unknown => false,
        };
        if ended || wish.key.is_none() {
            return fate;
        }
        if Instant::now() > until {
            world.odd(format!("publish {publish} has no receipt after {PATIENCE:?}"));
            return fate;
        }
        sleep(Duration::from_millis(random.u64(20..400))).await;
    }
}

/// The same request again, somewhere else: the same receipt, if there is an answer.
async fn again(world: &World, random: &mut Rng, wish: &Wish, publish: usize) {
    match attempt(world, random, wish, publish).await {
        Fate::Stored(ids) => world.acknowledged(publish, ids),
        Fate::NotLast(_) => world.odd(format!("publish {publish} has a receipt, and its repetition got 412")),
        Fate::Refused(code) if code == "topic-closed" => {
            world.odd(format!("publish {publish} has a receipt, and its repetition got {code}"));
        }
        Fate::Refused(_) | Fate::Unknown => {}
    }
}

async fn attempt(world: &World, random: &mut Rng, wish: &Wish, publish: usize) -> Fate {
    let (hub, address) = world.any_hub(random);
    // Often shorter than an election, so that fates are unknown and repetitions overlap with what they repeat.
    let limit = Duration::from_millis(random.u64(1_000..8_000));
    let outcome = send(world, address, wish, limit).await;
    let (fate, met) = match outcome {
        Outcome::NotSent(error) => (Fate::Refused("not-sent".into()), error),
        Outcome::Unknown(error) => (Fate::Unknown, error),
        Outcome::Answered(answer) => (judge(world, wish, &answer), answer.status.to_string()),
    };
    world.attempt(publish, &format!("hub {hub}: {met}, {fate:?}"));
    fate
}

async fn send(world: &World, hub: SocketAddr, wish: &Wish, limit: Duration) -> Outcome {
    let mut headers = Vec::new();
    let condition = wish.expect.map(|expect| match expect {
        Expect::Nothing => "\"none\"".to_owned(),
        Expect::Last(id) => format!("\"{id}\""),
    });
    headers.extend(wish.key.as_deref().map(|key| ("idempotency-key", key)));
    headers.extend(condition.as_deref().map(|condition| ("if-match", condition)));
    let (target, content_type, body) = request(world, wish);
    headers.push(("content-type", content_type));
    http::request(hub, "POST", &target, &headers, body.into_bytes(), limit).await
}

fn request(world: &World, wish: &Wish) -> (String, &'static str, String) {
    let ledger = world.ledger();
    match wish.events[..] {
        [number] if wish.raw => {
            let event = ledger.sent[number];
            let close = if event.close { "&close=true" } else { "" };
            let topic = encoded(&ledger.topics[event.topic].name);
            (format!("/publish?topic={topic}{close}"), "text/plain", ledger.data(number).into())
        }
        ref numbers => {
            let envelopes: Vec<Value> = numbers.iter().map(|number| envelope(world, *number)).collect();
            ("/publish".into(), "application/json", Value::from(envelopes).to_string())
        }
    }
}

/// An event as JSON.
pub(crate) fn envelope(world: &World, number: Number) -> Value {
    let ledger = world.ledger();
    let event = ledger.sent[number];
    let topic = &ledger.topics[event.topic].name;
    if event.close {
        json!({ "topic": topic, "data": ledger.data(number), "close": true })
    } else {
        json!({ "topic": topic, "data": ledger.data(number) })
    }
}

/// What an answer tells of the outcome.
fn judge(world: &World, wish: &Wish, answer: &Answer) -> Fate {
    let json = &answer.json;
    match (answer.status, json["code"].as_str().unwrap_or_default()) {
        (200, _) => receipts(world, wish, json).map_or_else(
            || {
                world.odd(format!("{wish:?} got a receipt that is none: {json}"));
                Fate::Unknown
            },
            Fate::Stored,
        ),
        (412, "precondition-failed") => Fate::NotLast(http::id(&json["last_id"])),
        (409, code @ "topic-closed")
        | (429, code @ ("over-capacity" | "rate-limited"))
        | (503, code @ "draining")
        | (507, code @ "storage-full") => Fate::Refused(code.into()),
        (503, "store-unavailable") => Fate::Unknown,
        _ => {
            world.odd(format!("{wish:?} got {}: {json}", answer.status));
            Fate::Unknown
        }
    }
}

fn receipts(world: &World, wish: &Wish, json: &Value) -> Option<Vec<EventId>> {
    let one = std::slice::from_ref(json);
    let receipts = json["events"].as_array().map_or(one, |receipts| receipts);
    if receipts.len() != wish.events.len() {
        return None;
    }
    receipts.iter().zip(&wish.events).map(|(receipt, number)| receipt_id(world, receipt, *number)).collect()
}

/// The id in the receipt of an event; `None` unless it is one of its topic.
pub(crate) fn receipt_id(world: &World, receipt: &Value, number: Number) -> Option<EventId> {
    let ledger = world.ledger();
    let topic = &ledger.topics[ledger.sent[number].topic].name;
    (receipt["topic"] == topic.as_str()).then(|| http::id(&receipt["id"]))?
}
