//! Hubs, of which each may come to lead, over a network that drops, repeats, delays and reorders messages, and a log with
//! fencing.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    mem,
    time::{Duration, Instant},
};

use fastrand::Rng;

use super::{
    SMALL, append,
    log::{Record, Table, epoch, receipt},
    topic, undecided,
};
use crate::engine::jetstream::forward::{
    FollowerSession, HubId, LeaderSessions, Unit, UnitResult, UnitTicket,
    codec::{ForwardRequest, FrameReader},
};
use crate::{
    engine::{AppendError, ExpectedLast, IdempotencyKey, TopicChange},
    event::{EventId, NewEvent, Seq},
};

const HUBS: usize = 3;
const STEPS: usize = 500;

struct Job {
    unit: Unit,
    origin: Origin,
}

enum Origin {
    Own(Caller),
    /// Of a follower, with its number there.
    Forwarded(UnitTicket, u64),
}

/// A write on its way.
struct Write {
    expected: usize,
    records: Vec<Record>,
}

/// The state of a leader's write.
enum Writing {
    Sent(Write),
    /// It has arrived: whether it was stored.
    Decided(bool),
}

struct Lead {
    sessions: LeaderSessions,
    queue: VecDeque<Job>,
    /// The commit in progress.
    commit: Option<Commit>,
}

/// The write, its jobs with their results, and the table when it is stored.
type Commit = (Writing, Vec<(Job, UnitResult)>, Table);

struct Hub {
    id: HubId,
    process: u64,
    table: Table,
    session: FollowerSession<Caller>,
    lead: Option<Lead>,
}

struct Packet {
    at: Instant,
    to: usize,
    bytes: Vec<u8>,
}

/// Results by kind.
#[derive(Debug, Default)]
struct Counts {
    done: u64,
    refused: u64,
    /// Refused because no leader took it in time.
    late: u64,
    /// Refused by a leader whose answer is lost.
    lost: u64,
    /// Skipped by the feed, perhaps.
    doubtful: u64,
}

struct World {
    rng: Rng,
    now: Instant,
    healed: bool,
    log: Vec<Record>,
    /// Writes of processes that have died.
    orphans: Vec<Write>,
    hubs: Vec<Hub>,
    packets: Vec<Packet>,
    processes: u64,
    calls: u64,
    /// Calls without a result.
    open: BTreeMap<Caller, Unit>,
    /// Calls with their results.
    ended: Vec<(Caller, Unit, UnitResult)>,
    counts: Counts,
}

/// A call of a process: both numbers rise. Each event's data has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Caller {
    process: u64,
    call: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            rng: Rng::with_seed(seed),
            now: Instant::now(),
            healed: false,
            log: Vec::new(),
            orphans: Vec::new(),
            hubs: Vec::new(),
            packets: Vec::new(),
            processes: 0,
            calls: 0,
            open: BTreeMap::new(),
            ended: Vec::new(),
            counts: Counts::default(),
        };
        for _ in 0..HUBS {
            let hub = world.process();
            world.hubs.push(hub);
        }
        world
    }

    /// A new process of a hub, which knows the log.
    fn process(&mut self) -> Hub {
        self.processes += 1;
        let id = HubId::new(&format!("hub-{}", self.processes)).expect("an id");
        let mut hub = Hub {
            id: id.clone(),
            process: self.processes,
            table: Table::default(),
            session: FollowerSession::new(id, SMALL),
            lead: None,
        };
        for at in 0..self.log.len() {
            feed(&mut hub, self.now, &self.log[at]);
        }
        hub
    }

    fn step(&mut self) {
        let hub = self.rng.usize(..HUBS);
        match self.rng.u32(..100) {
            0..25 => self.call(hub),
            25..45 => (0..3).for_each(|_| self.deliver()),
            45..58 => self.follow(hub),
            58..75 => self.lead(hub),
            75..78 => self.elect(hub),
            78 if self.rng.u32(..3) == 0 => self.crash(hub),
            79 => self.land_orphan(),
            _ => self.poll(hub),
        }
        let pause = match self.rng.u32(..400) {
            0 if self.rng.bool() => 70_000,
            1 => self.rng.u64(..12_000),
            _ => self.rng.u64(..20),
        };
        self.now += Duration::from_millis(pause);
    }

    fn random_event(&mut self, caller: Caller, index: usize) -> NewEvent {
        let name = topic(["a", "b", "c/d"][self.rng.usize(..3)]);
        let mut data = format!("{}/{}/{index}", caller.process, caller.call);
        if self.rng.u32(..20) == 0 {
            data.push_str(&" ".repeat(self.rng.usize(..2500)));
        }
        NewEvent { close: self.rng.u32(..25) == 0, ..NewEvent::new(name, data.as_str()) }
    }

    fn call(&mut self, hub: usize) {
        self.calls += 1;
        let caller = Caller { process: self.hubs[hub].process, call: self.calls };
        let count = self.rng.usize(1..4);
        let mut events: Vec<_> = (0..count).map(|index| self.random_event(caller, index)).collect();
        let name = events[0].topic.clone();
        let unit = match self.rng.u32(..20) {
            0..7 => Unit::Each(events),
            7 => Unit::Configure(name, TopicChange { closed: Some(self.rng.bool()), ..TopicChange::default() }),
            8 => Unit::Delete(name),
            9 => Unit::Remove(name, Seq(1)),
            kind => {
                let mut append = append(mem::take(&mut events));
                if kind > 14 {
                    append.events.truncate(1);
                    let seq = Seq(self.rng.u64(..=self.log.len() as u64));
                    let last = ExpectedLast::Last(EventId { epoch: epoch(), seq });
                    append.expect = Some(if self.rng.bool() { ExpectedLast::Empty } else { last });
                }
                if kind == 10 || kind == 15 {
                    // The same key is that of the same request: of as many events.
                    let count = u8::try_from(append.events.len()).expect("few events");
                    let (key, fingerprint) = ([10 * count + self.rng.u8(..4); 16], [1; 16]);
                    append.key = Some(IdempotencyKey { key, fingerprint, owner: 7 });
                }
                Unit::Append(append)
            }
        };
        self.open.insert(caller, unit.clone());
        let now = self.now;
        let hub = &mut self.hubs[hub];
        match &mut hub.lead {
            Some(lead) => lead.queue.push_back(Job { unit, origin: Origin::Own(caller) }),
            None => hub.session.push(now, undecided(unit, caller, now)),
        }
    }

    fn send(&mut self, to: &HubId, bytes: &[u8]) {
        let Some(to) = self.hubs.iter().position(|hub| hub.id == *to) else { return };
        let copies = if self.healed { 1 } else { [0, 0, 1, 1, 1, 1, 1, 1, 1, 2][self.rng.usize(..10)] };
        for _ in 0..copies {
            let delay = match self.rng.u32(..100) {
                _ if self.healed => 1,
                0 => self.rng.u64(..90_000),
                1..10 => self.rng.u64(..2000),
                _ => self.rng.u64(..20),
            };
            self.packets.push(Packet { at: self.now + Duration::from_millis(delay), to, bytes: bytes.into() });
        }
    }

    fn deliver(&mut self) {
        let due: Vec<_> = (0..self.packets.len()).filter(|at| self.packets[*at].at <= self.now).collect();
        let first = due.first().copied().filter(|_| self.healed);
        if let Some(at) = first.or_else(|| self.rng.choice(due)) {
            let Packet { to, bytes, .. } = self.packets.remove(at);
            self.receive(to, &bytes);
        }
    }

    /// Requests and answers have different subjects in NATS; here, each is tried as what it is not as well.
    fn receive(&mut self, to: usize, bytes: &[u8]) {
        let now = self.now;
        let hub = &mut self.hubs[to];
        let _ = hub.session.message(now, bytes);
        let head = Seq(hub.table.applied as u64);
        let mut answer = None;
        if let Some(lead) = &mut hub.lead {
            if let Ok(handled) = lead.sessions.handle(now, head, bytes) {
                for unit in handled.execute {
                    let origin = Origin::Forwarded(unit.ticket, unit.n);
                    lead.queue.push_back(Job { unit: unit.unit, origin });
                }
                answer = handled.answer;
            }
        } else {
            answer = LeaderSessions::refuse(&hub.id, bytes).ok();
        }
        if let (Some(answer), Some(from)) = (answer, sender(bytes)) {
            self.send(&from, &answer);
        }
    }

    /// The hub applies a record of the log that it does not know.
    fn follow(&mut self, at: usize) {
        let hub = &mut self.hubs[at];
        if hub.lead.as_ref().is_some_and(|lead| lead.commit.is_some()) || hub.table.applied == self.log.len() {
            return;
        }
        let record = &self.log[hub.table.applied];
        if matches!(record, Record::Event { .. }) && !self.healed && self.rng.u32(..100) == 0 {
            hub.table.apply(record);
            hub.session.feed_skipped();
            hub.session.applied(Seq(hub.table.applied as u64));
        } else {
            feed(hub, self.now, record);
        }
        if hub.lead.is_some() {
            assert!(matches!(record, Record::Leader(_)), "the records of a leader end with another leader's");
            self.step_down(at, Vec::new());
        }
    }

    /// The leader's writer does its next step.
    fn lead(&mut self, at: usize) {
        let most = self.rng.usize(1..5);
        let hub = &mut self.hubs[at];
        let Some(lead) = &mut hub.lead else { return };
        match lead.commit.take() {
            None => {
                let (mut table, mut records, mut jobs) = (hub.table.clone(), Vec::new(), Vec::new());
                for job in lead.queue.drain(..most.min(lead.queue.len())) {
                    let tag = |index: usize| match &job.origin {
                        Origin::Own(_) => None,
                        Origin::Forwarded(ticket, n) => {
                            let index = u32::try_from(index).expect("few events");
                            Some((ticket.hub.clone(), *n, index))
                        }
                    };
                    let (more, result) = table.execute(&job.unit, tag);
                    records.extend(more);
                    jobs.push((job, result));
                }
                let write = Write { expected: hub.table.applied, records };
                if write.records.is_empty() {
                    self.written(at, jobs);
                } else {
                    lead.commit = Some((Writing::Sent(write), jobs, table));
                }
            }
            Some((Writing::Sent(write), jobs, table)) => {
                let stored = store(&mut self.log, write);
                lead.commit = Some((Writing::Decided(stored), jobs, table));
            }
            Some((Writing::Decided(true), jobs, table)) => {
                hub.table = table;
                self.written(at, jobs);
            }
            Some((Writing::Decided(false), jobs, _)) => {
                self.step_down(at, jobs.into_iter().map(|(job, _)| job).collect());
            }
        }
    }

    fn written(&mut self, at: usize, jobs: Vec<(Job, UnitResult)>) {
        for (job, result) in jobs {
            let hub = &mut self.hubs[at];
            let head = Seq(hub.table.applied as u64);
            match job.origin {
                Origin::Own(caller) => self.end(at, caller, result),
                Origin::Forwarded(ticket, _) => {
                    hub.lead.as_mut().expect("a leader").sessions.complete(&ticket, &result, head);
                }
            }
        }
    }

    /// A leader's own units become a follower's; those of other hubs are dropped.
    fn step_down(&mut self, at: usize, jobs: Vec<Job>) {
        let hub = &mut self.hubs[at];
        let lead = hub.lead.take().expect("a leader");
        for job in jobs.into_iter().chain(lead.queue) {
            if let Origin::Own(caller) = job.origin {
                hub.session.push(self.now, undecided(job.unit, caller, self.now));
            }
        }
        for (to, bytes) in lead.sessions.step_down() {
            self.send(&to, &bytes);
        }
    }

    fn elect(&mut self, at: usize) {
        let hub = &mut self.hubs[at];
        if hub.lead.is_some() || hub.table.applied < self.log.len() {
            return;
        }
        let record = Record::Leader(hub.id.clone());
        hub.table.apply(&record);
        self.log.push(record);
        let term = Seq(self.log.len() as u64);
        let own = hub.session.promoted(self.now, term).into_iter();
        let queue = own.map(|left| Job { unit: left.unit, origin: Origin::Own(left.reply) }).collect();
        let sessions = LeaderSessions::new(hub.id.clone(), term, SMALL);
        hub.lead = Some(Lead { sessions, queue, commit: None });
    }

    /// The process ends, and its callers with it. A write that it has sent may still arrive.
    fn crash(&mut self, at: usize) {
        let process = self.hubs[at].process;
        self.open.retain(|caller, _| caller.process != process);
        let new = self.process();
        let old = mem::replace(&mut self.hubs[at], new);
        if let Some(Lead { commit: Some((Writing::Sent(write), ..)), .. }) = old.lead {
            self.orphans.push(write);
        }
    }

    fn land_orphan(&mut self) {
        if let Some(write) = self.orphans.pop() {
            store(&mut self.log, write);
        }
    }

    fn poll(&mut self, at: usize) {
        let hub = &mut self.hubs[at];
        let step = hub.session.poll(self.now);
        let mut send = step.send;
        if let Some(lead) = &mut hub.lead {
            send.extend(lead.sessions.flush());
            lead.sessions.drop_idle(self.now);
        }
        for (to, bytes) in send {
            self.send(&to, &bytes);
        }
        for (caller, result) in step.results {
            self.end(at, caller, result);
        }
    }

    /// A caller gets its result.
    fn end(&mut self, at: usize, caller: Caller, result: UnitResult) {
        let unit = self.open.remove(&caller).expect("each caller gets one result");
        let applied = Seq(self.hubs[at].table.applied as u64);
        let seqs: Vec<_> = match &result {
            UnitResult::Append(Ok(receipts)) => receipts.iter().map(|receipt| receipt.seq).collect(),
            UnitResult::Each(Ok(results)) => results.iter().flatten().map(|receipt| receipt.seq).collect(),
            _ => Vec::new(),
        };
        assert!(seqs.iter().all(|seq| *seq <= applied), "what is acknowledged can be read: {result:?} at {applied}");
        self.ended.push((caller, unit, result));
    }

    /// The network and one hub are well until every caller has its result.
    fn heal(&mut self) {
        self.healed = true;
        let since = self.now;
        while !self.open.is_empty() {
            assert!(self.now < since + Duration::from_secs(20), "these wait for ever: {:?}", self.open);
            let newest = self.log.iter().rev().find_map(|record| match record {
                Record::Leader(id) => Some(id.clone()),
                _ => None,
            });
            let leads = |hub: &Hub| hub.lead.is_some() && newest.as_ref() == Some(&hub.id);
            if !self.hubs.iter().any(leads) {
                let at = self.rng.usize(..HUBS);
                self.elect(at);
            }
            for at in 0..HUBS {
                self.lead(at);
                self.follow(at);
                self.poll(at);
                self.deliver();
                self.deliver();
            }
            self.now += Duration::from_millis(5);
        }
    }

    /// Compares what was told with what is in the log.
    fn check(&mut self) {
        let (mut positions, mut newest, mut keys) = (HashMap::new(), HashMap::new(), HashMap::new());
        for (record, position) in self.log.iter().zip(1..) {
            if let Record::Key(key, receipts) = record {
                assert_eq!(keys.insert(key.key, receipts), None, "a key is used once");
            }
            let Record::Event { new, .. } = record else { continue };
            let numbers: Vec<u64> = new.data.text().trim_end().split('/').map(|n| n.parse().expect("ours")).collect();
            let caller = Caller { process: numbers[0], call: numbers[1] };
            let index = usize::try_from(numbers[2]).expect("few events");
            assert_eq!(positions.insert((caller, index), position), None, "{caller:?} {index} is stored once");
            let before = newest.insert(caller.process, (caller, index));
            assert!(before < Some((caller, index)), "{before:?} is before {caller:?} {index}");
        }
        for (caller, unit, result) in &self.ended {
            let events = unit.events();
            let stored: Vec<_> = events
                .iter()
                .enumerate()
                .map(|(index, new)| positions.get(&(*caller, index)).map(|at| receipt(&new.topic, *at)))
                .collect();
            match result {
                UnitResult::Append(Ok(receipts)) if stored.iter().all(Option::is_none) => {
                    let Unit::Append(append) = unit else { panic!("{unit:?}: {result:?}") };
                    assert_eq!(keys.get(&append.key.expect("not stored").key), Some(&receipts), "{caller:?}");
                }
                UnitResult::Append(Ok(receipts)) => {
                    assert_eq!(stored, receipts.iter().cloned().map(Some).collect::<Vec<_>>(), "{caller:?}");
                }
                UnitResult::Each(Ok(results)) => {
                    for (stored, result) in stored.into_iter().zip(results) {
                        match result {
                            Ok(receipt) => assert_eq!(stored.as_ref(), Some(receipt), "{caller:?}"),
                            Err(AppendError::Unavailable { .. }) => self.counts.doubtful += 1,
                            Err(AppendError::Closed { .. }) => assert_eq!(stored, None, "{caller:?}"),
                            Err(error) => panic!("{caller:?}: {error}"),
                        }
                    }
                }
                _ if matches!(result.error(), Some(AppendError::Unavailable { .. })) => {}
                _ => assert!(stored.iter().all(Option::is_none), "{caller:?} was told {result:?}, and it is stored"),
            }
            match result.error() {
                None => self.counts.done += 1,
                Some(AppendError::NotNow { reason }) if reason.contains("lost") => self.counts.lost += 1,
                Some(AppendError::NotNow { .. }) => self.counts.late += 1,
                Some(AppendError::Unavailable { reason }) => {
                    assert!(reason.contains("may have been"), "{caller:?}: {reason}");
                    self.counts.doubtful += 1;
                }
                Some(_) => self.counts.refused += 1,
            }
        }
    }
}

/// The hub applies a record and tells its session.
fn feed(hub: &mut Hub, now: Instant, record: &Record) {
    hub.table.apply(record);
    let position = hub.table.applied;
    match record {
        Record::Event { tag: Some(tag), new } => {
            let (follower, unit, index) = tag;
            if *follower == hub.id {
                hub.session.event_seen(*unit, *index, receipt(&new.topic, position));
            }
        }
        Record::Leader(id) if *id != hub.id => hub.session.leader_seen(now, id.clone(), Seq(position as u64)),
        _ => {}
    }
    hub.session.applied(Seq(position as u64));
}

fn store(log: &mut Vec<Record>, write: Write) -> bool {
    let stored = log.len() == write.expected;
    if stored {
        log.extend(write.records);
    }
    stored
}

/// Where the answer to a request goes: in NATS, its reply subject.
fn sender(request: &[u8]) -> Option<HubId> {
    FrameReader::message(request).ok()?.head::<ForwardRequest>().ok().map(|request| request.from)
}

fn run(seed: u64) -> Counts {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step();
    }
    world.heal();
    world.check();
    world.counts
}

/// `FORWARD_SEEDS=<first>..<end>` for others than these.
#[test]
fn each_unit_is_committed_once_in_order_and_its_caller_told_the_truth() {
    let range = std::env::var("FORWARD_SEEDS").unwrap_or_else(|_| "0..500".into());
    let (first, end) = range.split_once("..").expect("a range");
    let (first, end): (u64, u64) = (first.parse().expect("a number"), end.parse().expect("a number"));
    let mut all = Counts::default();
    for seed in first..end {
        let counts = std::panic::catch_unwind(|| run(seed));
        let counts = counts.unwrap_or_else(|_| panic!("with the seed {seed}"));
        all.done += counts.done;
        all.refused += counts.refused;
        all.late += counts.late;
        all.lost += counts.lost;
        all.doubtful += counts.doubtful;
    }
    println!("{all:?}");
    assert!(all.done > all.late && all.refused > 0, "the hubs do their work: {all:?}");
    assert!(all.doubtful < all.done / 100, "a doubt is rare: {all:?}");
}
