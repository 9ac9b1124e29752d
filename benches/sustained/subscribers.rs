//! Subscribers that disconnect, reconnect, read slowly, and check every event they receive.

use std::{collections::HashMap, fmt::Write as _, io, rc::Rc, time::Duration};

use gapless::event::{EventId, sse_parser::Parser};
use serde_json::Value;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep, sleep_until},
};

use crate::{
    wire::Chunks,
    world::{CHURNING, Told, World, bump},
};

/// Number of streams.
pub(crate) const STREAMS: usize = 1000;
/// Receive buffer of a slow client's socket: small, so that the hub notices the stall.
const SMALL: u32 = 16 << 10;
/// Longest block of a stream; a longer one is an error.
const BLOCK: usize = 16 << 10;

/// How a client behaves.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Stays connected and reads; its deliveries are timed.
    Steady,
    /// Disconnects at random, and reconnects later with its cursor.
    Restless,
    /// Stops reading for a while, sometimes for longer than the hub's write timeout.
    Slow,
}

pub(crate) struct Subscriber {
    world: Rc<World>,
    kind: Kind,
    query: String,
    cursor: EventId,
    rng: fastrand::Rng,
    /// By topic: the event that must come next.
    next: HashMap<usize, u64>,
    /// By topic: a gap came and no event since; whether one must follow.
    gaps: HashMap<usize, bool>,
}

/// Why a stream ended.
enum Left {
    /// Everything was received, and nothing more will come.
    Done,
    /// The client disconnected, for this long.
    Away(Duration),
    /// The hub ended it.
    Cut,
}

impl Subscriber {
    /// The `n`th of [`STREAMS`], after the first event of every topic.
    pub(crate) fn new(world: &Rc<World>, n: u64, cursor: EventId) -> Self {
        let mut rng = fastrand::Rng::with_seed(10_000 + n);
        let count = world.topics.len();
        let topics: Vec<usize> = match n % 20 {
            // A pattern: all topics of a kind, some 130 events a second.
            0 => {
                let from = rng.usize(..3) * CHURNING;
                (from..from + CHURNING).collect()
            }
            1 | 2 => rng.choose_multiple(0..count, 5),
            _ => vec![rng.usize(..count)],
        };
        let mut query = String::new();
        if topics.len() == CHURNING {
            let kind = world.topics[topics[0]].name.rsplit_once('/').expect("three segments").0;
            write!(query, "topic={kind}/*").expect("memory");
        } else {
            for topic in &topics {
                write!(query, "topic={}&", world.topics[*topic].name).expect("memory");
            }
        }
        // Every other pattern is slow, because patterns receive enough events to fall behind.
        let kind = match n % 40 {
            0 | 1 => Kind::Slow,
            _ if n % 5 == 3 => Kind::Steady,
            _ => Kind::Restless,
        };
        let next = topics.into_iter().map(|topic| (topic, 1)).collect();
        Self { world: Rc::clone(world), kind, query, cursor, rng, next, gaps: HashMap::new() }
    }

    /// Subscribes until the soak is over and everything has been received.
    pub(crate) async fn listen(mut self) {
        loop {
            let left = match self.stream().await {
                Ok(left) => left,
                // The hub resets a stream whose client does not read.
                Err(_) => Left::Cut,
            };
            match left {
                Left::Done => return,
                Left::Away(time) => {
                    bump(&self.world.found.reconnects, 1);
                    self.sleep(time).await;
                }
                Left::Cut => {
                    bump(&self.world.found.cut, 1);
                    let time = Duration::from_millis(self.rng.u64(50..500));
                    self.sleep(time).await;
                }
            }
        }
    }

    /// Sleeps; returns early when the soak is over.
    async fn sleep(&self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until && !self.world.over.get() {
            sleep(until.duration_since(Instant::now()).min(Duration::from_secs(1))).await;
        }
    }

    /// One stream, from its request to its end.
    async fn stream(&mut self) -> io::Result<Left> {
        let mut socket = self.connect().await?;
        let ask = format!(
            "GET /events?{} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nLast-Event-ID: {}\r\n\r\n",
            self.query, self.cursor
        );
        socket.write_all(ask.as_bytes()).await?;
        let (mut chunks, mut parser, mut buffer) = (Chunks::default(), Parser::new(BLOCK), vec![0; 16 << 10]);
        // Steady clients never disconnect; the others do after about half a minute.
        let mut stop = Instant::now() + Duration::from_millis(self.rng.u64(1_000..60_000));
        loop {
            if self.world.over.get() && self.has_all() {
                return Ok(Left::Done);
            }
            let tick = Instant::now() + Duration::from_secs(1);
            let may_stop = self.kind != Kind::Steady && !self.world.over.get();
            let read = tokio::select! {
                ready = socket.readable() => { ready?; socket.try_read(&mut buffer) }
                () = sleep_until(if may_stop { stop.min(tick) } else { tick }) => Err(io::ErrorKind::WouldBlock.into()),
            };
            match read {
                Ok(0) => return Ok(Left::Cut),
                Ok(read) => {
                    let mut blocks = Vec::new();
                    let body = chunks.feed(&buffer[..read]);
                    parser.push(&body, |block| blocks.push(block));
                    for block in blocks {
                        match block {
                            Ok(block) => self.take(&block.event, block.data.as_deref(), block.id.as_deref()),
                            Err(error) => self.world.found.mistake(|| format!("a stream cannot be read: {error}")),
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if may_stop && Instant::now() >= stop {
                if self.kind == Kind::Restless {
                    // Mostly short, sometimes longer than any topic keeps its events.
                    let away = if self.rng.u8(..20) == 0 { 90_000 } else { self.rng.u64(0..30_000) };
                    return Ok(Left::Away(Duration::from_millis(away)));
                }
                let time = Duration::from_millis(self.rng.u64(1_000..45_000));
                self.sleep(time).await;
                stop = Instant::now() + Duration::from_millis(self.rng.u64(1_000..10_000));
            }
        }
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        if self.kind == Kind::Slow {
            socket.set_recv_buffer_size(SMALL)?;
        }
        socket.connect(self.world.hub).await
    }

    fn has_all(&self) -> bool {
        self.next.iter().all(|(topic, next)| {
            let all = *next == self.world.topics[*topic].next.get();
            all || self.gaps.get(topic) == Some(&false)
        })
    }

    fn take(&mut self, event: &str, data: Option<&str>, id: Option<&str>) {
        let world = Rc::clone(&self.world);
        let found = &world.found;
        if let Some(id) = id {
            match EventId::parse(id) {
                // A `hub.cursor` event may repeat the cursor.
                Some(id) if id.seq > self.cursor.seq || (event == "hub.cursor" && id.seq == self.cursor.seq) => {
                    self.cursor = id;
                }
                _ => found.mistake(|| format!("id {id} after {}: duplicated or out of order", self.cursor)),
            }
        }
        match (event, data) {
            (_, None) | ("hub.cursor", Some(_)) => {}
            ("", Some(data)) => match Told::read(data).filter(|told| self.next.contains_key(&told.topic)) {
                Some(told) => self.hear(&told),
                None => found.mistake(|| format!("a stray event: {data:.60}")),
            },
            ("hub.gap", Some(gap)) => self.miss(gap),
            (other, Some(data)) => found.mistake(|| format!("{other}: {data}")),
        }
    }

    fn hear(&mut self, told: &Told) {
        let found = &self.world.found;
        bump(&found.delivered, 1);
        let next = self.next.insert(told.topic, told.n + 1).expect("asked for");
        let gap = self.gaps.remove(&told.topic).is_some();
        let topic = &self.world.topics[told.topic].name;
        match (told.n.checked_sub(next), gap) {
            (None, _) => found.mistake(|| format!("{topic}: event {} after {next} was due: duplicated", told.n)),
            (Some(0), false) => {}
            (Some(0), true) => bump(&found.needless, 1),
            (Some(missing), true) => bump(&found.trimmed, missing),
            (Some(missing), false) => {
                found.mistake(|| format!("{topic}: {missing} events before {} lost without a word", told.n));
            }
        }
        if self.kind == Kind::Steady {
            let micros = self.world.now().saturating_sub(told.handed_in).as_micros();
            found.latency.borrow_mut().saturating_record(u64::try_from(micros).unwrap_or(u64::MAX));
        }
    }

    /// Checks a gap: only trimmed events may be missing.
    fn miss(&mut self, gap: &str) {
        let found = &self.world.found;
        let json: Value = serde_json::from_str(gap).unwrap_or_default();
        let name = json["topic"].as_str().unwrap_or_default();
        let topic = self.next.keys().find(|topic| self.world.topics[**topic].name == name).copied();
        match topic {
            Some(topic) if json["reason"] == "trimmed" => {
                bump(&found.gaps, 1);
                self.gaps.insert(topic, !json["resumes_at"].is_null());
            }
            _ => found.mistake(|| format!("a gap that cannot be: {gap}")),
        }
    }
}
