//! Publishers of every kind, which continue whatever happens to the hubs.

use std::{rc::Rc, time::Duration};

use fastrand::Rng;
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    history::{Expect, TopicIndex},
    http::{self, Outcome, encoded},
    lines,
    posting::{Fate, Wish, publish},
    world::{BRIEF_KEEPS, SHORT_KEEPS, World},
};

/// What a publisher does all the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One event a request, without a key: its fate may be unknown.
    Single,
    /// An array without a key, to several topics.
    Batch,
    /// Events and arrays with a key, until there is a receipt.
    Keyed,
    /// A stream of lines with receipts.
    Lines,
    /// One or more events on a condition, half of them with a key.
    Conditional,
    /// Topics of its own: published to, closed, some deleted.
    Owner,
}

/// 32 publishers.
const KINDS: [(Kind, usize); 6] =
    [(Kind::Single, 7), (Kind::Batch, 5), (Kind::Keyed, 8), (Kind::Lines, 3), (Kind::Conditional, 5), (Kind::Owner, 4)];

/// For a request about a topic, and between its repetitions.
const SETTING: Duration = Duration::from_secs(5);
const REPEAT: Duration = Duration::from_millis(300);

/// A request about a topic is repeated for so long.
const PATIENCE: Duration = Duration::from_secs(150);

pub(crate) struct Publisher {
    pub(crate) world: Rc<World>,
    pub(crate) random: Rng,
    name: String,
    /// Longest pause between two publishes.
    pause: Duration,
    keys: u64,
}

/// Starts all publishers; each pauses for up to `pause` after each publish. They end when [`World::publishing`] is false and
/// their last publish has a receipt.
pub(crate) fn start(world: &Rc<World>, random: &mut Rng, pause: Duration) -> JoinSet<()> {
    let mut publishers = JoinSet::new();
    for (kind, count) in KINDS {
        for n in 0..count {
            let name = format!("{kind:?}-{n}");
            let publisher = Publisher { world: Rc::clone(world), random: random.fork(), name, pause, keys: 0 };
            publishers.spawn_local(publisher.run(kind));
        }
    }
    publishers
}

/// Sets the retention of the short and the brief topics. The hubs serve.
pub(crate) async fn set_retention(world: &World, random: &mut Rng) {
    let short = retain(world, random, &world.short, &json!({ "max_events": SHORT_KEEPS })).await;
    let brief = retain(world, random, &world.brief, &json!({ "max_age": BRIEF_KEEPS })).await;
    assert!(short && brief, "the retention cannot be set");
}

/// From now on the brief topics keep their events, so that each reader is sent the last one.
pub(crate) async fn keep_brief_topics(world: &World, random: &mut Rng) {
    retain(world, random, &world.brief, &json!({ "max_age": null })).await;
}

async fn retain(world: &World, random: &mut Rng, topics: &[TopicIndex], retention: &Value) -> bool {
    let settings = json!({ "retention": retention }).to_string();
    for topic in topics {
        if !about(world, random, "PUT", *topic, &settings, &[200]).await {
            return false;
        }
    }
    true
}

impl Publisher {
    async fn run(mut self, kind: Kind) {
        while self.world.publishing.get() {
            match kind {
                Kind::Single => self.once(1).await,
                Kind::Batch => {
                    let count = self.random.usize(2..8);
                    self.once(count).await;
                }
                Kind::Keyed => {
                    let count = if self.random.bool() { 1 } else { self.random.usize(2..20) };
                    let wish = Wish { key: Some(self.key()), ..self.wish(count) };
                    publish(&self.world, &mut self.random, &wish).await;
                }
                Kind::Lines => lines::pour(&mut self).await,
                Kind::Conditional => self.compare_and_publish().await,
                Kind::Owner => self.own_topic().await,
            }
            self.pause().await;
        }
    }

    pub(crate) async fn pause(&mut self) {
        sleep(self.pause.mul_f64(self.random.f64())).await;
    }

    pub(crate) fn key(&mut self) -> String {
        self.keys += 1;
        format!("{}-{}-{}", self.world.prefix, self.name, self.keys)
    }

    /// A topic that any publisher may use; a short one now and then, a brief one seldom.
    pub(crate) fn any_topic(&mut self) -> TopicIndex {
        let topics = match self.random.u16(..400) {
            0 => &self.world.brief,
            1..60 => &self.world.short,
            60..80 => &self.world.conditional,
            _ => &self.world.shared,
        };
        *self.random.choice(topics).expect("topics")
    }

    fn wish(&mut self, count: usize) -> Wish {
        let events = (0..count).map(|_| {
            let topic = self.any_topic();
            self.world.event(topic, false)
        });
        let events = events.collect();
        Wish { events, raw: self.random.bool(), ..Wish::default() }
    }

    async fn once(&mut self, count: usize) {
        let wish = self.wish(count);
        publish(&self.world, &mut self.random, &wish).await;
    }

    /// Some rounds of reading a topic's last id and publishing if it is still the last.
    async fn compare_and_publish(&mut self) {
        let topics = if self.random.u8(..4) == 0 { &self.world.shared } else { &self.world.conditional };
        let topic = *self.random.choice(topics).expect("topics");
        let Some(mut expect) = self.last(topic).await else { return };
        for _ in 0..self.random.usize(1..10) {
            if !self.world.publishing.get() {
                return;
            }
            let count = if self.random.u8(..3) == 0 { self.random.usize(2..5) } else { 1 };
            let events = (0..count).map(|_| self.world.event(topic, false)).collect();
            let key = self.random.bool().then(|| self.key());
            let raw = self.random.bool();
            let wish = Wish { events, key, expect: Some(expect), raw };
            expect = match publish(&self.world, &mut self.random, &wish).await {
                Fate::Stored(ids) => Expect::Last(*ids.last().expect("an event")),
                Fate::NotLast(Some(last)) => Expect::Last(last),
                Fate::NotLast(None) => Expect::Nothing,
                Fate::Refused(_) | Fate::Unknown => return,
            };
            self.pause().await;
        }
    }

    /// A topic's last id, as a hub tells it.
    async fn last(&mut self, topic: TopicIndex) -> Option<Expect> {
        let (_, hub) = self.world.any_hub(&mut self.random);
        let target = format!("/topics/{}", encoded(&self.world.name(topic)));
        match http::request(hub, "GET", &target, &[], Vec::new(), SETTING).await {
            Outcome::Answered(answer) if answer.status == 200 => {
                Some(http::id(&answer.json["last_id"]).map_or(Expect::Nothing, Expect::Last))
            }
            Outcome::Answered(answer) if answer.status == 404 => Some(Expect::Nothing),
            _ => None,
        }
    }

    /// Publishes to a topic of its own and closes it; deletes some.
    async fn own_topic(&mut self) {
        self.keys += 1;
        let name = format!("{}/o/{}/{}", self.world.prefix, self.name, self.keys);
        self.world.coming.borrow_mut().push(name.clone());
        self.pause().await;
        let topic = self.world.topic(&name);
        let by_event = self.random.bool();
        let count = self.random.usize(2..8);
        for n in 1..=count {
            let close = by_event && n == count;
            let events = vec![self.world.event(topic, close)];
            let raw = self.random.bool();
            let wish = Wish { events, key: Some(self.key()), raw, ..Wish::default() };
            let Fate::Stored(_) = publish(&self.world, &mut self.random, &wish).await else { return };
            self.pause().await;
        }
        if !by_event && !about(&self.world, &mut self.random, "PUT", topic, "{\"closed\":true}", &[200]).await {
            return;
        }
        self.world.closed(topic);
        if self.random.bool() {
            let wish = Wish { events: vec![self.world.event(topic, false)], raw: true, ..Wish::default() };
            // One that a hub still holds would use a deleted topic's name again.
            if publish(&self.world, &mut self.random, &wish).await == Fate::Unknown {
                return;
            }
        }
        self.pause().await;
        if self.random.u8(..3) == 0 {
            self.world.deletes(topic);
            about(&self.world, &mut self.random, "DELETE", topic, "", &[204, 404]).await;
        }
    }
}

/// Repeats a request about a topic, at any hub, until its status is one of `done`. `false` when time is up.
async fn about(world: &World, random: &mut Rng, method: &str, topic: TopicIndex, body: &str, done: &[u16]) -> bool {
    let target = format!("/topics/{}", encoded(&world.name(topic)));
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let (_, hub) = world.any_hub(random);
        if let Outcome::Answered(answer) = http::request(hub, method, &target, &[], body.into(), SETTING).await {
            if done.contains(&answer.status) {
                return true;
            }
            if ![429, 503, 507].contains(&answer.status) {
                world.odd(format!("{method} {target} got {}: {}", answer.status, answer.json));
                return false;
            }
        }
        sleep(REPEAT).await;
    }
    world.odd(format!("{method} {target} was not answered in {PATIENCE:?}"));
    false
}
