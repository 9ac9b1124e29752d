//! Readers like EventSources behind a load balancer: each connection may be to another hub, with the id of the last event.

use std::{collections::HashSet, io, net::SocketAddr, rc::Rc, time::Duration};

use fastrand::Rng;
use gapless::event::{
    EventId, Filter, Selection, TopicName,
    sse_parser::{Parser, SseBlock},
};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    history::{Finish, Item, ReaderLog, TopicIndex},
    http::{self, Outcome, encoded},
    world::World,
};

/// Number of readers.
pub(crate) const READERS: usize = 200;

/// Longest block of a stream.
const BLOCK: usize = 64 << 10;

/// A reader of a topic that nobody uses looks for another one after this long.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Reader {
    world: Rc<World>,
    random: Rng,
    filters: Vec<String>,
    /// Events come with their topic.
    json: bool,
    /// It reads a topic of one owner, to its end.
    is_follower: bool,
    /// Topics whose last event it received.
    ends: HashSet<TopicIndex>,
    /// Number of last events that it must receive; `None` until they are known.
    wanted_ends: Option<usize>,
    log: ReaderLog,
    /// What an EventSource would send as `Last-Event-ID`.
    last_id: Option<EventId>,
    retry: Duration,
    /// Since when it has received nothing that counts.
    silent: Instant,
    state: String,
}

/// Why a connection ended.
enum Left {
    /// It has everything, or was told that nothing follows.
    Done(Finish),
    /// A load balancer's doing: the next connection follows at once.
    Moved,
    /// By the hub or by an error: the next connection follows after `retry`.
    Ended,
}

/// Starts all readers. Each ends with the log of what it was sent.
pub(crate) fn start(world: &Rc<World>, random: &mut Rng) -> JoinSet<Vec<ReaderLog>> {
    let mut readers = JoinSet::new();
    for n in 0..READERS {
        let (world, mut random) = (Rc::clone(world), random.fork());
        if n % 16 == 15 {
            readers.spawn_local(follow_closing_topics(world, random, n));
        } else {
            let filters = selection(&world, &mut random, n);
            readers.spawn_local(async move { vec![Reader::new(world, random, n, filters).run().await] });
        }
    }
    readers
}

fn selection(world: &World, random: &mut Rng, n: usize) -> Vec<String> {
    let one = world.name(*random.choice(&world.shared).expect("topics"));
    let prefix = &world.prefix;
    match n % 20 {
        0 => vec![format!("{prefix}/**")],
        1 => vec![format!("{prefix}/s/*")],
        2 => vec![format!("{prefix}/c/*"), one],
        3 => vec![format!("{prefix}/o/**"), one],
        4 => vec![format!("{prefix}/r/*"), format!("{prefix}/b/*"), one],
        5 => vec![format!("{prefix}/*/3"), one],
        6..10 => {
            let all = [&world.shared[..], &world.conditional, &world.short, &world.brief].concat();
            let count = random.usize(2..7);
            random.choose_multiple(all, count).into_iter().map(|topic| world.name(topic)).collect()
        }
        10..12 => vec![world.name(*random.choice(&world.conditional).expect("topics"))],
        12 => vec![world.name(*random.choice(&world.short).expect("topics"))],
        13 => vec![world.name(*random.choice(&world.brief).expect("topics"))],
        _ => vec![one],
    }
}

/// Reads one topic after the other of those that are closed soon, each until 204 says that it is complete.
async fn follow_closing_topics(world: Rc<World>, mut random: Rng, n: usize) -> Vec<ReaderLog> {
    let mut logs = Vec::new();
    while !world.is_over() {
        let newest = world.coming.borrow().last().cloned();
        let Some(name) = newest else {
            world.rest(Duration::from_millis(100)).await;
            continue;
        };
        let mut reader = Reader::new(Rc::clone(&world), random.fork(), n, vec![name]);
        reader.is_follower = true;
        logs.push(reader.run().await);
        world.rest(Duration::from_millis(random.u64(..2_000))).await;
    }
    logs
}

impl Reader {
    fn new(world: Rc<World>, mut random: Rng, n: usize, filters: Vec<String>) -> Self {
        let (json, from_now) = (random.bool(), random.u8(..4) == 0);
        let log = ReaderLog {
            name: format!("reader {n} of {}", filters.join(", ")),
            wants: HashSet::new(),
            from_now,
            items: Vec::new(),
            finish: Finish::All,
        };
        let (retry, silent) = (Duration::from_secs(3), Instant::now());
        let state = "not connected yet".into();
        Self {
            world,
            random,
            filters,
            json,
            is_follower: false,
            ends: HashSet::new(),
            wanted_ends: None,
            log,
            last_id: None,
            retry,
            silent,
            state,
        }
    }

    async fn run(mut self) -> ReaderLog {
        let finish = loop {
            let (at, hub) = self.world.any_hub(&mut self.random);
            let left = match self.connection(at, hub).await {
                Ok(left) => left,
                Err(error) => {
                    self.state = format!("hub {at}: {error}");
                    Left::Ended
                }
            };
            match left {
                Left::Done(finish) => break finish,
                Left::Moved => {
                    let away = if self.random.u8(..10) == 0 { self.random.u64(..4_000) } else { 0 };
                    self.world.rest(Duration::from_millis(away)).await;
                }
                Left::Ended => sleep(self.retry.mul_f64(0.5 + self.random.f64() / 2.0)).await,
            }
            if let Some(finish) = self.is_late() {
                break finish;
            }
        };
        self.log.finish = finish;
        self.log.wants = self.wants();
        self.log
    }

    /// The topics of the ledger that it asks for.
    fn wants(&self) -> HashSet<TopicIndex> {
        let filters = self.filters.iter().map(|text| Filter::new(text).expect("a filter"));
        let selection = Selection::new(filters).expect("a selection");
        let wanted = |name: &str| selection.matches(&TopicName::new(name).expect("a topic"));
        let ledger = self.world.ledger();
        (0..ledger.topics.len()).filter(|topic| wanted(&ledger.topics[*topic].name)).collect()
    }

    /// Has it waited too long?
    fn is_late(&self) -> Option<Finish> {
        let silent = self.silent.elapsed();
        if self.is_follower {
            return (self.world.is_over() || silent > PATIENCE).then_some(Finish::Stopped);
        }
        self.world
            .is_late(silent)
            .then(|| Finish::Late(format!("has nothing for {silent:?} after {:?}: {}", self.last_id, self.state)))
    }

    /// Whether it has the last event of every topic that has one.
    fn has_all(&mut self) -> bool {
        if !self.world.is_over() || self.is_follower {
            return false;
        }
        let wanted = self.wanted_ends.unwrap_or_else(|| {
            let wants = self.wants();
            self.world.markers().keys().filter(|topic| wants.contains(topic)).count()
        });
        self.wanted_ends = Some(wanted);
        self.ends.len() == wanted
    }

    async fn connection(&mut self, at: usize, hub: SocketAddr) -> io::Result<Left> {
        let cursor = self.last_id.map(|id| id.to_string());
        let mut headers = vec![("accept", "text/event-stream")];
        headers.extend(cursor.as_deref().map(|cursor| ("last-event-id", cursor)));
        let opened =
            timeout(Duration::from_secs(10), http::open(hub, "GET", &self.target(), &headers, http::full(""))).await;
        let mut open = opened.map_err(|_| io::ErrorKind::TimedOut)??;
        let status = open.response.status().as_u16();
        if status != 200 && status != 204 {
            self.log.items.push(Item::Odd(format!("status {status} of hub {at}: an EventSource would stop")));
            return Ok(Left::Ended);
        }
        self.log.items.push(Item::Connected { hub: at, cursor: self.last_id });
        self.state = format!("connected to hub {at}");
        if status == 204 {
            return Ok(Left::Done(Finish::All));
        }
        let keepalive =
            open.response.headers().get("stream-keepalive").and_then(|value| value.to_str().ok()?.parse().ok());
        let silence = 3 * Duration::from_secs(keepalive.unwrap_or(15));
        let mut parser = Parser::new(BLOCK);
        let moves = Instant::now() + Duration::from_millis(self.random.u64(200..20_000));
        loop {
            if self.has_all() {
                return Ok(Left::Done(Finish::All));
            }
            // An end in mid-stream, and so in mid-event at times. Nobody moves when all is over.
            if Instant::now() >= moves && !self.world.is_over() {
                return Ok(Left::Moved);
            }
            if self.is_late().is_some() {
                self.state = format!("connected to hub {at}; {}", self.what_the_hub_says(hub).await);
                return Ok(Left::Ended);
            }
            let wait = if self.world.is_over() { silence } else { silence.min(moves - Instant::now()) };
            let frame = match timeout(wait, open.response.body_mut().frame()).await {
                Ok(frame) => frame.ok_or(io::ErrorKind::UnexpectedEof)?.map_err(io::Error::other)?,
                Err(_) if wait < silence => continue,
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            };
            let mut blocks = Vec::new();
            parser.push(frame.data_ref().map_or(&[][..], |data| data), |block| blocks.push(block));
            for block in blocks {
                match block {
                    Ok(block) => self.take(block),
                    Err(error) => self.log.items.push(Item::Odd(error.to_string())),
                }
            }
            if self.random.u16(..200) == 0 {
                let slow = Duration::from_millis(self.random.u64(..800));
                self.world.rest(slow).await;
            }
        }
    }

    fn target(&self) -> String {
        let topics: Vec<String> = self.filters.iter().map(|filter| format!("topic={}", encoded(filter))).collect();
        let from = if self.log.from_now { "now" } else { "earliest" };
        let format = if self.json { "&format=json" } else { "" };
        format!("/events?{}&from={from}{format}", topics.join("&"))
    }

    /// Why it may have nothing, while it is still connected: what the hub knows of the streams of this selection, and what
    /// else it answers to this reader's cursor.
    async fn what_the_hub_says(&self, hub: SocketAddr) -> String {
        let ask = async |target: String| {
            let headers = [("accept", "application/json")];
            match http::request(hub, "GET", &target, &headers, Vec::new(), Duration::from_secs(10)).await {
                Outcome::Answered(answer) => answer.json,
                other => format!("{other:?}").into(),
            }
        };
        let listed = ask(format!("/admin/streams?limit=1000&topic={}", encoded(&self.filters[0]))).await;
        let streams = listed["streams"].as_array().into_iter().flatten();
        let mine: HashSet<String> = self.filters.iter().cloned().collect();
        let topics_of = |stream: &Value| -> HashSet<String> {
            stream["topics"].as_array().into_iter().flatten().filter_map(|topic| Some(topic.as_str()?.into())).collect()
        };
        let same: Vec<String> = streams.filter(|stream| topics_of(stream) == mine).map(Value::to_string).collect();
        let after = self.last_id.map_or_else(String::new, |id| format!("&last_event_id={id}"));
        let page = ask(format!("{}{after}&limit=3", self.target())).await;
        format!("its streams there: {}; a page after its cursor: {page}", same.join(", "))
    }

    /// Takes a block as an EventSource does: an id counts when the block ends.
    fn take(&mut self, block: SseBlock) {
        if let Some(retry) = block.retry {
            self.retry = Duration::from_millis(retry);
        }
        let id = block.id.as_deref().map(EventId::parse);
        if let Some(Some(id)) = id {
            self.last_id = Some(id);
        }
        let Some(data) = block.data else { return };
        let odd = || Item::Odd(format!("{} {data:.200}", block.event));
        let item = match (&*block.event, id) {
            ("hub.cursor", Some(Some(id))) => Item::Cursor(id),
            ("hub.gap" | "hub.end", None) => self.told(&block.event, &data).unwrap_or_else(odd),
            ("", Some(Some(id))) => self.event(id, &data),
            _ => odd(),
        };
        if !matches!(item, Item::Cursor(_)) {
            self.silent = Instant::now();
        }
        self.log.items.push(item);
    }

    fn event(&mut self, id: EventId, data: &str) -> Item {
        let foreign = || Item::Foreign { id: id.to_string(), text: format!("{data:.200}") };
        let ledger = self.world.ledger();
        let number = if self.json {
            let Ok(envelope) = serde_json::from_str::<Value>(data) else { return foreign() };
            if http::id(&envelope["id"]) != Some(id) {
                return foreign();
            }
            let topic = envelope["topic"].as_str();
            envelope["data"].as_str().and_then(|data| ledger.number(Some(topic.unwrap_or_default()), data))
        } else {
            ledger.number(None, data)
        };
        let Some(number) = number else { return foreign() };
        let topic = ledger.sent[number].topic;
        if self.world.markers().get(&topic) == Some(&number) {
            self.ends.insert(topic);
        }
        Item::Event { id, number }
    }

    fn told(&self, event: &str, data: &str) -> Option<Item> {
        let json: Value = serde_json::from_str(data).ok()?;
        let reason = json["reason"].as_str()?;
        let ledger = self.world.ledger();
        let topic = match json["topic"].as_str() {
            Some(name) => Some(ledger.index(name)?),
            None => None,
        };
        Some(if event == "hub.gap" {
            Item::Gap { topic, reason: reason.into() }
        } else {
            Item::End { topic: topic?, deleted: reason == "deleted", last: http::id(&json["last_id"]) }
        })
    }
}
