//! The event loop: one thread and one poll for all sockets.

use std::{
    collections::VecDeque,
    io::{Read, Write},
    net,
    ops::Range,
    sync::Arc,
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
    topics::{LoadTopics, Wants},
    watch::{ProgressWatch, STALL_TIMEOUT, clock},
};
use crate::progress::WorkProgress;

/// Longest wait for sockets: a stall is noticed late by a tenth at most.
const MAX_WAIT: Duration = Duration::from_secs(STALL_TIMEOUT.as_secs() / 10);

/// Streams that connect at the same time. Below the size of a server's accept queue (tokio's has 1024): beyond that the
/// kernel retries after a second, and that would be measured.
const MAX_CONNECTING: usize = 500;

/// First token of a publisher; the tokens of streams are below.
const PUBLISHER_TOKENS: usize = 1 << 30;

/// How often a run tells how far it is, in milliseconds.
const REPORT_MS: u64 = 100;

/// Longest sleep when an event is due in less than a millisecond, the resolution of the poll: events that arrive during
/// the sleep are noticed late by this much at most.
const MAX_SLEEP: Duration = Duration::from_micros(100);

/// A load on one server, or on several that serve the same log: publishers, streams, and the tally of their events.
pub struct Load {
    /// The servers, at least one; all of one dialect.
    targets: Vec<Target>,
    topics: LoadTopics,
    /// Sources of each topic: the number of its publishers.
    sources_per_topic: usize,
    poll: Poll,
    created: Instant,
    buffer: Vec<u8>,
    streams: Vec<LoadStream>,
    /// Streams that are to connect.
    queue: VecDeque<usize>,
    /// Streams that are connecting.
    connecting: usize,
    publishers: Vec<LoadPublisher>,
    tally: LoadTally,
    /// Streams that reconnected and have not received all they missed.
    behind: usize,
    /// When they started to reconnect, in nanoseconds.
    returned: u64,
    /// When the last of them had caught up, in nanoseconds.
    caught_up: Option<u64>,
    /// Told how far the load is, if somebody asks.
    progress: Option<Arc<WorkProgress>>,
}

impl Load {
    /// A load on `target`. Creates the topics if the server's protocol needs that.
    ///
    /// # Errors
    /// When a topic cannot be created, or the system refuses an event queue.
    pub fn new(target: Target, topics: LoadTopics) -> Result<Self, LoadError> {
        Self::over(vec![target], topics)
    }

    /// A load on several servers of one log: publishers and streams are spread over them in turn.
    ///
    /// # Errors
    /// As [`Load::new`].
    ///
    /// # Panics
    /// Without a server.
    pub fn over(targets: Vec<Target>, topics: LoadTopics) -> Result<Self, LoadError> {
        assert!(!targets.is_empty(), "a load needs a server");
        let sources_per_topic = topics.publishers.div_ceil(topics.names.len());
        let (count, publishers) = (topics.names.len(), topics.publishers);
        // The publishers of a topic are as far apart as there are topics.
        let publisher = |source: usize| (source / sources_per_topic + source % sources_per_topic * count) % publishers;
        let tally = LoadTally::new(count * sources_per_topic, publishers, publisher);
        let load = Self {
            sources_per_topic,
            poll: Poll::new().map_err(LoadError::Poll)?,
            created: Instant::now(),
            buffer: vec![0; 64 << 10],
            streams: Vec::new(),
            queue: VecDeque::new(),
            connecting: 0,
            publishers: Vec::new(),
            tally,
            behind: 0,
            returned: 0,
            caught_up: None,
            progress: None,
            targets,
            topics,
        };
        load.create()?;
        Ok(load)
    }

    fn create(&self) -> Result<(), LoadError> {
        let target = &self.targets[0];
        let failed = |reason| LoadError::Connect { address: target.address, reason };
        for topic in &self.topics.names {
            let Some(request) = target.dialect.create(target, topic) else { return Ok(()) };
            let mut socket = net::TcpStream::connect(target.address).map_err(failed)?;
            socket.set_read_timeout(Some(STALL_TIMEOUT)).map_err(failed)?;
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

    /// Tells `progress` how far the load is from now on: streams that are open, then the milliseconds of a run.
    pub fn report_to(&mut self, progress: Arc<WorkProgress>) {
        self.progress = Some(progress);
    }

    /// Opens `count` streams, the `n`th for `wants(n)`, and waits until each has a response. Streams are numbered from
    /// 0 in the order of these calls.
    ///
    /// # Errors
    /// When one is refused, or no stream gets a response within ten seconds.
    pub fn subscribe(&mut self, count: usize, wants: impl Fn(usize) -> Wants) -> Result<(), LoadError> {
        let servers = self.targets.len();
        self.subscribe_at(count, wants, |stream| stream % servers)
    }

    /// The same, with the stream of each number at the server whose index `server` returns.
    ///
    /// # Errors
    /// As [`Load::subscribe`].
    pub fn subscribe_at(
        &mut self,
        count: usize,
        wants: impl Fn(usize) -> Wants,
        server: impl Fn(usize) -> usize,
    ) -> Result<(), LoadError> {
        for n in 0..count {
            let wants = wants(n);
            let sources = wants.topics.start * self.sources_per_topic..wants.topics.end * self.sources_per_topic;
            let sources = self.tally.stream(sources.start, sources.len(), wants.from == StartAt::Earliest);
            self.queue.push_back(self.streams.len());
            self.streams.push(LoadStream::new(wants, server(self.streams.len()), sources));
        }
        let (mut missing, mut since) = (count, Instant::now());
        if let Some(progress) = &self.progress {
            progress.begin("opening streams", count as u64);
        }
        while missing > 0 {
            self.poll_once(Some(Duration::from_millis(100)))?;
            let now = self.queue.len() + self.connecting;
            if now < missing {
                if let Some(progress) = &self.progress {
                    progress.add((missing - now) as u64);
                }
                (missing, since) = (now, Instant::now());
            } else if since.elapsed() > STALL_TIMEOUT {
                return Err(LoadError::Late { missing, seconds: STALL_TIMEOUT.as_secs() });
            }
        }
        Ok(())
    }

    /// Publishes according to `traffic`, and waits until every event is acknowledged and received by every stream that
    /// reads. After ten seconds without progress the missing events count as lost.
    ///
    /// # Errors
    /// When a connection breaks or is refused. Lost, duplicated and reordered events are not errors: see
    /// [`LoadOutcome::faults`].
    pub fn run(&mut self, traffic: &LoadPlan) -> Result<LoadOutcome, LoadError> {
        self.tally.reset();
        self.caught_up = None;
        for index in 0..self.topics.publishers {
            let token = Token(PUBLISHER_TOKENS + index);
            let target = &self.targets[index % self.targets.len()];
            self.publishers.push(LoadPublisher::connect(target, traffic.form, self.poll.registry(), token)?);
        }
        let mut schedule = Schedule::new(traffic, &self.topics, self.sources_per_topic, self.now());
        let mut watch = ProgressWatch::new(&self.tally);
        let mut reported = 0;
        if let Some(progress) = &self.progress {
            progress.begin("publishing", u64::try_from(traffic.time.as_millis()).unwrap_or(u64::MAX));
        }
        let outcome = loop {
            self.report_run(&mut reported, schedule.started_at);
            let due = schedule.publish(self.now(), &mut self.publishers, &mut self.tally)?;
            let is_idle = self.tally.outstanding == 0 && self.tally.unacknowledged == 0;
            if schedule.done && is_idle && self.queue.is_empty() && self.connecting == 0 {
                break Ok(());
            }
            if let Err(error) = self.poll_once(Some(due.map_or(MAX_WAIT, |due| due.min(MAX_WAIT)))) {
                break Err(error);
            }
            if !watch.has_progress(&self.tally) && schedule.done {
                break Ok(());
            }
        };
        let elapsed = watch.last.duration_since(self.created).saturating_sub(Duration::from_nanos(schedule.started_at));
        let finished = self.publishers.iter_mut().try_for_each(LoadPublisher::finish);
        self.publishers.clear();
        outcome.and(finished)?;
        self.count_lost();
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

    /// Tells how far a run is that began at `begun`, every tenth of a second. `reported` is how many milliseconds were
    /// told.
    fn report_run(&self, reported: &mut u64, begun: u64) {
        let Some(progress) = &self.progress else { return };
        let elapsed = (self.now() - begun) / 1_000_000;
        if elapsed >= *reported + REPORT_MS {
            progress.add(elapsed - *reported);
            *reported = elapsed;
            let LoadTally { published, delivered, .. } = &self.tally;
            progress.step(format!("{published} events, {delivered} deliveries"));
        }
    }

    /// Waits until every stream that reads has received all events published so far. Returns the faults since the last
    /// run began.
    ///
    /// # Errors
    /// When a connection breaks.
    pub fn settle(&mut self) -> Result<DeliveryFaults, LoadError> {
        let mut watch = ProgressWatch::new(&self.tally);
        while self.tally.outstanding > 0 && watch.has_progress(&self.tally) {
            self.poll_once(Some(MAX_WAIT))?;
        }
        self.count_lost();
        Ok(self.tally.faults)
    }

    /// Reads for `time` without publishing. Returns the faults since the last run began, for instance events that were
    /// not published to a stream.
    ///
    /// # Errors
    /// When a connection breaks.
    pub fn listen(&mut self, time: Duration) -> Result<DeliveryFaults, LoadError> {
        let start = Instant::now();
        while let Some(left) = time.checked_sub(start.elapsed()) {
            self.poll_once(Some(left))?;
        }
        Ok(self.tally.faults)
    }

    /// Deliveries since the last run began.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.tally.delivered
    }

    /// Closes the connections of `streams`, all at once. Nothing is expected by them until they reconnect.
    pub fn leave(&mut self, streams: Range<usize>) {
        for stream in &mut self.streams[streams] {
            stream.disconnect(&mut self.tally);
        }
    }

    /// Reconnects `streams`, which have left, with the ids they received last, as fast as they can, during the calls
    /// that follow. [`LoadOutcome::caught_up`] reports how long it took.
    pub fn come_back(&mut self, streams: Range<usize>) {
        self.behind += streams.len();
        self.queue.extend(streams);
        self.returned = self.now();
    }

    /// Makes `streams` stop reading. Call it when no event is in flight.
    pub fn stall(&mut self, streams: Range<usize>) {
        for stream in &mut self.streams[streams] {
            stream.stall(&mut self.tally);
        }
    }

    /// Makes stalled `streams` read again.
    ///
    /// # Errors
    /// When the server has closed one.
    pub fn wake(&mut self, streams: Range<usize>) -> Result<(), LoadError> {
        let clock = clock(self.created);
        for stream in &mut self.streams[streams] {
            stream.resume(&mut self.tally);
            stream.read(self.targets[0].dialect, &mut self.buffer, &mut self.tally, false, &clock)?;
        }
        Ok(())
    }

    fn count_lost(&mut self) {
        if self.tally.outstanding > 0 {
            for stream in self.streams.iter_mut().filter(|stream| stream.progress.is_reading) {
                self.tally.count_lost(stream.sources, &mut stream.progress);
            }
        }
    }

    /// Nanoseconds since the load was created.
    fn now(&self) -> u64 {
        clock(self.created)()
    }

    /// Waits for ready sockets, for `wait` at most, and serves them.
    fn poll_once(&mut self, wait: Option<Duration>) -> Result<(), LoadError> {
        while self.connecting < MAX_CONNECTING
            && let Some(index) = self.queue.pop_front()
        {
            let address = self.targets[self.streams[index].server].address;
            self.streams[index].connect(address, self.poll.registry(), Token(index))?;
            self.connecting += 1;
        }
        // The poll has a resolution of a millisecond and rounds up.
        let precise = wait.filter(|wait| *wait < Duration::from_millis(1));
        let mut events = Events::with_capacity(MAX_POLL_EVENTS);
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
            std::thread::sleep(wait.min(MAX_SLEEP));
        }
        for event in &events {
            let Token(token) = event.token();
            if let Some(index) = token.checked_sub(PUBLISHER_TOKENS) {
                // `None`: a publisher of an earlier run.
                let Some(publisher) = self.publishers.get_mut(index) else { continue };
                if event.is_writable() {
                    publisher.flush()?;
                }
                if event.is_readable() {
                    let clock = clock(self.created);
                    publisher.read(self.targets[0].dialect, &mut self.buffer, &mut self.tally, &clock)?;
                }
            } else {
                self.serve(token, event.is_read_closed())?;
            }
        }
        Ok(())
    }

    /// Serves stream `index`, whose socket is ready.
    fn serve(&mut self, index: usize, closed: bool) -> Result<(), LoadError> {
        let stream = &mut self.streams[index];
        let target = &self.targets[stream.server];
        if stream.phase == StreamPhase::Connecting {
            let topics: Vec<&str> = stream.wants.select.iter().map(String::as_str).collect();
            let request = target.dialect.subscribe(target, &topics, stream.wants.from, stream.cursor());
            stream.send_request(target.address, &request)?;
        }
        if !matches!(stream.phase, StreamPhase::Requested | StreamPhase::Open) {
            return Ok(());
        }
        let (phase, behind) = (stream.phase, stream.progress.behind);
        let clock = clock(self.created);
        stream.read(target.dialect, &mut self.buffer, &mut self.tally, closed, &clock)?;
        let opened = phase == StreamPhase::Requested && stream.phase == StreamPhase::Open;
        self.connecting -= usize::from(opened);
        if (opened || behind > 0) && stream.phase == StreamPhase::Open && stream.progress.behind == 0 && self.behind > 0
        {
            self.behind -= 1;
            if self.behind == 0 {
                self.caught_up = Some(clock());
            }
        }
        Ok(())
    }
}

/// Ready sockets served by one poll.
const MAX_POLL_EVENTS: usize = 1024;
