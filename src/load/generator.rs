//! The loop: one thread, one poll, all sockets.

use std::{
    collections::VecDeque,
    io::{Read, Write},
    net,
    ops::Range,
    time::{Duration, Instant},
};

use mio::{Events, Poll, Token};

use super::{
    DeliveryFaults, LoadError, LoadOutcome, LoadPlan,
    dialect::{StartAt, Target},
    publisher::LoadPublisher,
    schedule::Schedule,
    stream::{LoadStream, StreamPhase},
    tally::LoadTally,
};

/// How long nothing may happen, where something must, before it is given up.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Streams on their way at once. Below what a server's queue of new connections has room for (tokio's has 1024): beyond,
/// the kernel lets a client try again after a second, and that would be measured.
const COMING: usize = 500;

/// Publishers' tokens are above this, streams' below.
const PUBLISHERS: usize = 1 << 30;

/// Longest sleep when an event is due in less than the poll can wait (milliseconds): events that arrive meanwhile are
/// noticed so much later.
const NAP: Duration = Duration::from_micros(100);

/// Topics under load, and who publishes to them.
#[derive(Debug, Clone)]
pub struct LoadTopics {
    /// Their names, as they stand in a query: no character that needs an escape.
    pub names: Vec<String>,
    /// Connections that publish. When there are fewer than topics each serves several in turn, when there are more
    /// each topic has several.
    pub publishers: usize,
}

/// What a stream asks for.
#[derive(Debug, Clone)]
pub struct Wants {
    /// Topics or patterns, as asked for.
    pub select: Vec<String>,
    /// The topics these are, as places in [`LoadTopics::names`].
    pub topics: Range<usize>,
    /// Where it begins. A stream that comes back begins after what it has heard.
    pub from: StartAt,
}

/// A server under load: publishers, streams, and the books of what they have heard.
pub struct Load {
    pub(super) target: Target,
    pub(super) topics: LoadTopics,
    /// Sources of each topic.
    pub(super) voices: usize,
    poll: Poll,
    begun: Instant,
    buffer: Vec<u8>,
    streams: Vec<LoadStream>,
    /// Streams that are to connect, and how many are on their way.
    queue: VecDeque<usize>,
    coming: usize,
    pub(super) publishers: Vec<LoadPublisher>,
    pub(super) tally: LoadTally,
    /// Streams that came back and have not heard all they missed, since when, and when the last one had.
    behind: usize,
    returned: u64,
    caught_up: Option<u64>,
}

impl Load {
    /// A load on `target`, which makes the topics first where its protocol wants that.
    ///
    /// # Errors
    /// When a topic cannot be made, or the system has no event queue to spare.
    pub fn new(target: Target, topics: LoadTopics) -> Result<Self, LoadError> {
        let voices = topics.publishers.div_ceil(topics.names.len());
        let (count, publishers) = (topics.names.len(), topics.publishers);
        // A topic's voices are publishers as far apart as there are topics.
        let publisher = |source: usize| (source / voices + source % voices * count) % publishers;
        let tally = LoadTally::new(count * voices, publishers, publisher);
        let load = Self {
            voices,
            poll: Poll::new().map_err(LoadError::Poll)?,
            begun: Instant::now(),
            buffer: vec![0; 64 << 10],
            streams: Vec::new(),
            queue: VecDeque::new(),
            coming: 0,
            publishers: Vec::new(),
            tally,
            behind: 0,
            returned: 0,
            caught_up: None,
            target,
            topics,
        };
        load.create()?;
        Ok(load)
    }

    fn create(&self) -> Result<(), LoadError> {
        let failed = |reason| LoadError::Connect { address: self.target.address, reason };
        for topic in &self.topics.names {
            let Some(request) = self.target.dialect.create(&self.target, topic) else { return Ok(()) };
            let mut socket = net::TcpStream::connect(self.target.address).map_err(failed)?;
            socket.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
            socket.write_all(request.as_bytes()).map_err(failed)?;
            let mut answer = [0; 1024];
            let read = socket.read(&mut answer).map_err(failed)?;
            if !answer.starts_with(b"HTTP/1.1 2") {
                let text = String::from_utf8_lossy(&answer[..read]).into_owned();
                return Err(LoadError::Refused { who: "a new topic", status: 0, text });
            }
        }
        Ok(())
    }

    /// Opens `count` streams, the `n`th of which wants `wants(n)`, and waits until each is answered. They are the next
    /// ones in number: the first is stream 0.
    ///
    /// # Errors
    /// When one is refused, or not answered within ten seconds in which no other was.
    pub fn subscribe(&mut self, count: usize, wants: impl Fn(usize) -> Wants) -> Result<(), LoadError> {
        for n in 0..count {
            let wants = wants(n);
            let sources = wants.topics.start * self.voices..wants.topics.end * self.voices;
            let hears = self.tally.stream(sources.start, sources.len(), wants.from == StartAt::Earliest);
            self.queue.push_back(self.streams.len());
            self.streams.push(LoadStream::new(wants, hears));
        }
        let (mut missing, mut since) = (count, Instant::now());
        while missing > 0 {
            self.turn(Some(Duration::from_millis(100)))?;
            let now = self.queue.len() + self.coming;
            if now < missing {
                (missing, since) = (now, Instant::now());
            } else if since.elapsed() > PATIENCE {
                return Err(LoadError::Late { missing, seconds: PATIENCE.as_secs() });
            }
        }
        Ok(())
    }

    /// Publishes as `traffic` says, and waits until all is acknowledged and heard by every stream that is there and
    /// reads. What is not heard when nothing has happened for ten seconds is lost.
    ///
    /// # Errors
    /// When a connection breaks or is refused. What was lost, doubled or reordered is no error: see [`LoadOutcome::faults`].
    pub fn run(&mut self, traffic: &LoadPlan) -> Result<LoadOutcome, LoadError> {
        self.tally.begin();
        self.caught_up = None;
        for index in 0..self.topics.publishers {
            let token = Token(PUBLISHERS + index);
            self.publishers.push(LoadPublisher::connect(&self.target, traffic.form, self.poll.registry(), token)?);
        }
        let mut schedule = Schedule::new(traffic, &self.topics, self.voices, self.now());
        let mut progress = ProgressWatch::new(&self.tally);
        let outcome = loop {
            let due = schedule.publish(self)?;
            let at_rest = self.tally.due == 0 && self.tally.unacknowledged == 0;
            if schedule.done && at_rest && self.queue.is_empty() && self.coming == 0 {
                break Ok(());
            }
            if let Err(error) = self.turn(Some(due.unwrap_or(PATIENCE / 10))) {
                break Err(error);
            }
            if !progress.made(&self.tally) && schedule.done {
                break Ok(());
            }
        };
        let elapsed = progress.last.duration_since(self.begun).saturating_sub(Duration::from_nanos(schedule.begun));
        let finished = self.publishers.iter_mut().try_for_each(LoadPublisher::finish);
        self.publishers.clear();
        outcome.and(finished)?;
        self.write_off();
        Ok(LoadOutcome {
            published: self.tally.published,
            delivered: self.tally.delivered,
            elapsed,
            latency: self.tally.latency.clone(),
            acks: self.tally.acks.clone(),
            faults: self.tally.faults,
            caught_up: self.caught_up.map(|at| Duration::from_nanos(at - self.returned)),
        })
    }

    /// Waits until every stream that is there has heard all that was ever published, and answers with what went wrong
    /// since the last run began.
    ///
    /// # Errors
    /// When a connection breaks.
    pub fn settle(&mut self) -> Result<DeliveryFaults, LoadError> {
        let mut progress = ProgressWatch::new(&self.tally);
        while self.tally.due > 0 && progress.made(&self.tally) {
            self.turn(Some(PATIENCE / 10))?;
        }
        self.write_off();
        Ok(self.tally.faults)
    }

    /// Listens for `time`, publishes nothing, and answers with what went wrong since the last run began: what streams hear
    /// that was not published to them, for one.
    ///
    /// # Errors
    /// When a connection breaks.
    pub fn listen(&mut self, time: Duration) -> Result<DeliveryFaults, LoadError> {
        let begun = Instant::now();
        while let Some(left) = time.checked_sub(begun.elapsed()) {
            self.turn(Some(left))?;
        }
        Ok(self.tally.faults)
    }

    /// Deliveries since the last run began.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.tally.delivered
    }

    /// Closes the connections of `streams`, all at once. Nothing is owed to them until they come back.
    pub fn leave(&mut self, streams: Range<usize>) {
        for stream in &mut self.streams[streams] {
            stream.leave(&mut self.tally);
        }
    }

    /// Lets `streams`, which have left, come back with the ids of what they heard last, as fast as they can, while what
    /// is called next goes on. [`LoadOutcome::caught_up`] tells how long it took.
    pub fn come_back(&mut self, streams: Range<usize>) {
        self.behind += streams.len();
        self.queue.extend(streams);
        self.returned = self.now();
    }

    /// `streams` stop reading. Call it when nothing is on its way.
    pub fn stall(&mut self, streams: Range<usize>) {
        for stream in &mut self.streams[streams] {
            stream.stall(&mut self.tally);
        }
    }

    /// `streams`, which have stalled, read again.
    ///
    /// # Errors
    /// When the server has cut one.
    pub fn wake(&mut self, streams: Range<usize>) -> Result<(), LoadError> {
        let clock = clock(self.begun);
        for stream in &mut self.streams[streams] {
            stream.wake(&mut self.tally);
            stream.read(self.target.dialect, &mut self.buffer, &mut self.tally, false, &clock)?;
        }
        Ok(())
    }

    fn write_off(&mut self) {
        if self.tally.due > 0 {
            for stream in self.streams.iter_mut().filter(|stream| stream.standing.there) {
                self.tally.give_up(stream.hears, &mut stream.standing);
            }
        }
    }

    /// Nanoseconds since the load began.
    pub(super) fn now(&self) -> u64 {
        clock(self.begun)()
    }

    /// Waits for sockets, `wait` at most, and serves those that are ready.
    fn turn(&mut self, wait: Option<Duration>) -> Result<(), LoadError> {
        while self.coming < COMING
            && let Some(index) = self.queue.pop_front()
        {
            self.streams[index].connect(self.target.address, self.poll.registry(), Token(index))?;
            self.coming += 1;
        }
        // The poll counts in milliseconds and rounds up.
        let precise = wait.filter(|wait| *wait < Duration::from_millis(1));
        let mut events = Events::with_capacity(EVENTS);
        loop {
            match self.poll.poll(&mut events, precise.map_or(wait, |_| Some(Duration::ZERO))) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                other => break other.map_err(LoadError::Poll)?,
            }
        }
        if let Some(wait) = precise
            && events.is_empty()
            && !wait.is_zero()
        {
            std::thread::sleep(wait.min(NAP));
        }
        for event in &events {
            let Token(token) = event.token();
            if let Some(index) = token.checked_sub(PUBLISHERS) {
                // Of a run that is over.
                let Some(publisher) = self.publishers.get_mut(index) else { continue };
                if event.is_writable() {
                    publisher.flush()?;
                }
                if event.is_readable() {
                    let clock = clock(self.begun);
                    publisher.read(self.target.dialect, &mut self.buffer, &mut self.tally, &clock)?;
                }
            } else {
                self.serve(token, event.is_read_closed())?;
            }
        }
        Ok(())
    }

    /// Serves the stream `index`, whose socket has something.
    fn serve(&mut self, index: usize, closed: bool) -> Result<(), LoadError> {
        let stream = &mut self.streams[index];
        if stream.phase == StreamPhase::Coming {
            let topics: Vec<&str> = stream.wants.select.iter().map(String::as_str).collect();
            let request = self.target.dialect.subscribe(&self.target, &topics, stream.wants.from, stream.cursor());
            stream.ask(self.target.address, &request)?;
        }
        if !matches!(stream.phase, StreamPhase::Asked | StreamPhase::Open) {
            return Ok(());
        }
        let (phase, behind) = (stream.phase, stream.standing.behind);
        let clock = clock(self.begun);
        stream.read(self.target.dialect, &mut self.buffer, &mut self.tally, closed, &clock)?;
        let came = phase == StreamPhase::Asked && stream.phase == StreamPhase::Open;
        self.coming -= usize::from(came);
        if (came || behind > 0) && stream.phase == StreamPhase::Open && stream.standing.behind == 0 && self.behind > 0 {
            self.behind -= 1;
            if self.behind == 0 {
                self.caught_up = Some(clock());
            }
        }
        Ok(())
    }
}

/// Sockets served at once.
const EVENTS: usize = 1024;

/// Nanoseconds since `begun`.
fn clock(begun: Instant) -> impl Fn() -> u64 {
    move || u64::try_from(begun.elapsed().as_nanos()).expect("less than 584 years")
}

/// Whether anything still happens.
struct ProgressWatch {
    seen: (u64, u64),
    last: Instant,
}

impl ProgressWatch {
    fn new(tally: &LoadTally) -> Self {
        Self { seen: (tally.delivered, tally.published), last: Instant::now() }
    }

    /// Whether something has happened lately.
    fn made(&mut self, tally: &LoadTally) -> bool {
        let seen = (tally.delivered, tally.published);
        if seen != self.seen {
            (self.seen, self.last) = (seen, Instant::now());
        }
        self.last.elapsed() < PATIENCE
    }
}

impl Wants {
    /// One stream of the `n`th topic of `topics`, from now on.
    #[must_use]
    pub fn topic(topics: &LoadTopics, n: usize) -> Self {
        Self { select: vec![topics.names[n].clone()], topics: n..n + 1, from: StartAt::Now }
    }
}
