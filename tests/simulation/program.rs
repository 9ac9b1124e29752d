//! What the threads of an execution do: publish, read, and operate the hub.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Poll,
};

use fastrand::Rng;
use gapless::{
    engine::{
        Append, AppendError, Engine, IdempotencyKey, LocateBy, Log, PageItem, ReadFrom, ReadRequest, TopicChange,
    },
    event::{EventId, NewEvent, Seq, TopicName},
};
use shuttle::{future::block_on, thread};

use crate::{
    SHARDS, TOPICS,
    disk::Failure,
    ledger::{Ledger, log_of, position, seq_of},
    reader::{Begin, Polled, Reader, locate, selection},
    world::{Process, Sizes, World},
};

/// Selections of the readers. Readers with the same one share a feed.
const SELECTIONS: [&[&str]; 6] = [&["a"], &["a", "b"], &["**"], &["b"], &["a"], &["**"]];

/// Tries of a publish that the queue or a full disk refuses.
const TRIES: usize = 20;

/// State that the threads share besides the world.
#[derive(Default)]
struct Progress {
    /// For each shard, whether its readers miss nothing of what is durable now.
    complete: [AtomicBool; SHARDS],
    stop: AtomicBool,
    publishes: AtomicU64,
}

/// Runs the program of a seed. All threads have ended when it returns.
pub(crate) fn run(seed: u64, ledger: &Arc<Ledger>) {
    let mut rng = Rng::with_seed(!seed);
    let world = Arc::new(World::new(Arc::clone(ledger), Sizes::random(&mut rng)));
    let progress = Arc::new(Progress::default());
    let readers: Vec<_> = (0..SHARDS)
        .map(|shard| {
            let (world, progress, rng) = (Arc::clone(&world), Arc::clone(&progress), rng.fork());
            spawn(&format!("readers-{shard}"), move || read(&world, &progress, shard, rng))
        })
        .collect();
    let mut others: Vec<_> = (0..rng.usize(1..4))
        .map(|index| {
            let (world, progress, rng) = (Arc::clone(&world), Arc::clone(&progress), rng.fork());
            spawn(&format!("publisher-{index}"), move || publish(&world, &progress, index, rng))
        })
        .collect();
    let (operated, operator) = (Arc::clone(&world), rng.fork());
    others.push(spawn("operator", move || operate(&operated, operator)));
    for thread in others {
        thread.join().unwrap();
    }
    // A reader that is not woken stays incomplete, and this never returns: the scheduler reports a deadlock.
    world.wait_until(|| progress.complete.iter().all(|complete| complete.load(Ordering::Relaxed)));
    progress.stop.store(true, Ordering::Relaxed);
    world.current().wake_readers();
    for thread in readers {
        thread.join().unwrap();
    }
    read_again(&world);
    world.current().engine.close();
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
    thread::Builder::new().name(name.into()).spawn(run).unwrap()
}

fn topic(index: usize) -> TopicName {
    TopicName::new(TOPICS[index]).unwrap()
}

/// Publishes some batches, and checks each receipt.
fn publish(world: &World, progress: &Progress, index: usize, mut rng: Rng) {
    for batch in 0..rng.usize(2..6) {
        let events: Vec<NewEvent> = (0..rng.usize(1..4))
            .map(|event| NewEvent::new(topic(rng.usize(0..TOPICS.len())), &*format!("{index}-{batch}-{event}")))
            .collect();
        let number = progress.publishes.fetch_add(1, Ordering::Relaxed);
        let key = [u8::try_from(number).unwrap(); 16];
        let key = rng.bool().then_some(IdempotencyKey { key, fingerprint: key, owner: 0 });
        for _ in 0..TRIES {
            let process = world.current();
            let log = world.ledger.log();
            let feeds = events
                .iter()
                .flat_map(|event| process.feeds_of(&event.topic).into_iter().map(|feed| (event.topic.clone(), feed)));
            let feeds: Vec<_> = feeds.collect();
            match block_on(process.hub.publish(Append { events: events.clone(), expect: None, key })) {
                Ok(all) => {
                    for (event, acknowledgment) in events.iter().zip(all) {
                        let receipt = acknowledgment.receipt;
                        let at = world.ledger.position(EventId { epoch: receipt.epoch, seq: receipt.seq });
                        world.ledger.acknowledge(at);
                        let durable = world.ledger.durable(at);
                        assert!(durable.is_some_and(|of| of.topic == event.topic), "{at} is not durable");
                        let head = world.ledger.position(process.hub.head());
                        assert!(head >= at, "{at} is acknowledged and after the head, {head}");
                        for (_, feed) in feeds.iter().filter(|(topic, _)| *topic == event.topic) {
                            let newest = feed.newest();
                            let is_pushed = newest >= receipt.seq || world.ledger.log() > log_of(at);
                            assert!(is_pushed, "{at} is acknowledged and in no ring");
                        }
                        match rng.u8(0..8) {
                            0 | 1 => is_readable(world, &process, &receipt.topic, receipt.seq, at),
                            2 => measure(world, &process, &receipt.topic),
                            3 => find_newest(world, &process, &mut rng),
                            _ => {}
                        }
                    }
                    break;
                }
                Err(AppendError::Closed { .. }) => break,
                Err(AppendError::Unavailable { .. }) => {
                    if world.ledger.log() == log {
                        world.wait_for_next(process.number);
                    }
                    if key.is_none() && world.ledger.is_durable(&events[0].data.text()) {
                        break; // it was made durable, and the answer was lost
                    }
                }
                Err(AppendError::Busy | AppendError::Full | AppendError::NotNow { .. }) => thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// A receipt is only given for what can be read.
fn is_readable(world: &World, process: &Process, topic: &TopicName, seq: Seq, at: u64) {
    let from = ReadFrom::After(Seq(seq.0 - 1));
    let request = ReadRequest { selection: topic.clone().into(), from, max_events: 1, max_bytes: 1 << 20 };
    let removed = world.ledger.all_removed();
    let Ok(page) = block_on(process.engine.read(request)) else { return };
    let id = |seq| world.ledger.position(EventId { epoch: page.epoch, seq });
    match page.items.first() {
        Some(PageItem::Event(event)) if id(event.seq) == at => world.ledger.check(at, event, &removed),
        _ if log_of(id(seq)) > log_of(at) => {}
        _ => {
            let durable = world.ledger.durable(at).unwrap();
            assert!(world.ledger.may_be_gone(&durable), "{durable:?} cannot be read: {page:?}");
        }
    }
}

/// What a topic is measured to be agrees with what was acknowledged before.
fn measure(world: &World, process: &Process, topic: &TopicName) {
    let before = world.ledger.known();
    let Ok(view) = block_on(process.hub.measure(topic)) else { return };
    // A process that has ended knows nothing of the next one's events.
    if process.is_alive() {
        let log = view.as_ref().map_or_else(
            || world.ledger.log(),
            |view| log_of(world.ledger.position(EventId { epoch: view.state.epoch, seq: Seq::ZERO })),
        );
        world.ledger.note(&format!("{topic} has {:?} events", view.as_ref().map(|view| view.state.events)));
        world.ledger.check_state(topic, view.map(|view| view.state).as_ref(), log, &before);
    }
}

/// The newest events are found, without those that were removed.
fn find_newest(world: &World, process: &Process, rng: &mut Rng) {
    let (filters, count) = (rng.choice(SELECTIONS).unwrap(), rng.u64(1..5));
    block_on(locate(process, &world.ledger, &selection(filters), LocateBy::Newest(count)));
}

/// Serves the readers of one shard, as the fan-out loop of a core does.
fn read(world: &World, progress: &Progress, shard: usize, mut rng: Rng) {
    let mut readers: Vec<Reader> = (0..rng.usize(1..4))
        .map(|index| {
            let filters = rng.choice(SELECTIONS).unwrap();
            let begin = match rng.u8(0..6) {
                0 | 1 => Begin::Earliest,
                2 => Begin::Newest(rng.u64(1..5)),
                3 => Begin::Since(rng.u64(0..20)),
                _ => Begin::Now,
            };
            Reader::new(&format!("reader-{shard}-{index}"), filters, begin, world.limit(), &world.ledger)
        })
        .collect();
    let report = |readers: &[Reader]| {
        progress.complete[shard].store(readers.iter().all(Reader::is_complete), Ordering::Relaxed);
        world.progressed();
    };
    let mut process = world.current();
    block_on(async {
        while !progress.stop.load(Ordering::Relaxed) {
            if process.number != world.current().number {
                process = world.current();
                readers.iter_mut().for_each(Reader::disconnect);
            }
            let mut unreadable = false;
            for reader in readers.iter_mut().filter(|reader| reader.is_disconnected()) {
                unreadable |= !reader.connect(&process, shard).await;
            }
            if unreadable {
                thread::yield_now(); // until there is a new process
                continue;
            }
            // Before the wait: if all have finished, nothing ends it.
            report(&readers);
            let queue = Arc::clone(&process.hub.broker().shards()[shard]);
            let dirty = {
                let mut changed = pin!(queue.changed());
                poll_fn(|cx| {
                    let mut any = false;
                    for reader in &mut readers {
                        // One that stalls leaves the rest for later.
                        for _ in 0..rng.usize(1..9) {
                            let polled = reader.poll(cx, &process);
                            any |= polled != Polled::Nothing;
                            if polled != Polled::Delivery {
                                break;
                            }
                        }
                    }
                    let woken = changed.as_mut().poll(cx).is_ready();
                    if any || woken { Poll::Ready(woken) } else { Poll::Pending }
                })
                .await
            };
            if dirty {
                let feeds = queue.take(shard);
                for reader in &mut readers {
                    reader.wake(&feeds);
                }
            }
            report(&readers);
            if rng.u8(0..8) == 0 {
                let stalls = rng.usize(0..30);
                (0..stalls).for_each(|_| thread::yield_now());
            }
            readers.iter_mut().filter(|_| rng.u8(0..12) == 0).for_each(Reader::disconnect);
        }
        readers.iter_mut().for_each(Reader::disconnect);
    });
}

/// Changes settings, deletes, removes, replaces the log, restarts and crashes.
fn operate(world: &World, mut rng: Rng) {
    for index in 0..TOPICS.len() {
        if rng.bool() {
            limit(world, &world.current(), topic(index), rng.u64(0..4));
        }
    }
    for _ in 0..rng.usize(0..6) {
        let process = world.current();
        let hub = &process.hub;
        let topic = topic(rng.usize(0..TOPICS.len()));
        match rng.u8(0..14) {
            0 | 1 => limit(world, &process, topic, rng.u64(0..4)),
            2 => {
                world.ledger.note(&format!("delete {topic}"));
                drop(block_on(hub.delete(topic)));
            }
            3..=5 => {
                let head = world.ledger.head();
                let first = position(log_of(head), Seq::ZERO);
                let Some(event) = world.ledger.durable(rng.u64(first..=head)) else { continue };
                world.ledger.note(&format!("remove {}", event.position));
                world.ledger.removing(event.position);
                let id = EventId { epoch: hub.epoch(), seq: seq_of(event.position) };
                if block_on(hub.remove(event.topic, id)).is_ok_and(|is_removed| is_removed) {
                    world.ledger.note(&format!("removed {}", event.position));
                    world.ledger.removed(event.position);
                    block_on(hub.fan_out_barrier());
                    find_newest(world, &process, &mut rng);
                }
            }
            6 => {
                let closed = rng.bool();
                world.ledger.note(&format!("closed {topic} {closed}"));
                drop(block_on(hub.configure(topic, TopicChange { closed: Some(closed), ..TopicChange::default() })));
            }
            7 => hub.sweep(),
            8 => world.restart(false),
            12 => replace_log(world, &process, &mut rng),
            13 => TOPICS.iter().for_each(|name| measure(world, &process, &TopicName::new(name).unwrap())),
            9 => world.restart(true),
            10 => {
                world.ledger.note("the next write fails");
                process.fail_next(if rng.bool() { Failure::Durable } else { Failure::Lost });
                (0..rng.usize(0..50)).for_each(|_| thread::yield_now());
                world.restart(rng.bool());
            }
            _ => {
                world.set_full(true);
                (0..rng.usize(0..50)).for_each(|_| thread::yield_now());
                world.set_full(false);
            }
        }
        (0..rng.usize(0..40)).for_each(|_| thread::yield_now());
    }
    // Whatever was done to the store, its last process serves.
    world.restart(false);
}

fn limit(world: &World, process: &Process, topic: TopicName, most: u64) {
    world.ledger.note(&format!("limit {topic} {most}"));
    world.ledger.limiting(world.ledger.log(), &topic, most);
    drop(block_on(process.hub.configure(topic, at_most(most))));
}

fn at_most(events: u64) -> TopicChange {
    TopicChange { max_events: Some(Some(events)), ..TopicChange::default() }
}

/// Replaces the log by one that has some events already. The engine answers from it before the broker is told.
fn replace_log(world: &World, process: &Process, rng: &mut Rng) {
    let next = process.open_log(world);
    // Often as many as the log before has, so that its positions are the new one's too.
    let head = usize::try_from(seq_of(world.ledger.head()).0).unwrap();
    let count = if rng.bool() { rng.usize(0..4) } else { rng.usize(head.saturating_sub(2)..=head) };
    let data = |event| format!("log-{}-{event}", next.number);
    let events = (0..count).map(|event| NewEvent::new(topic(rng.usize(0..TOPICS.len())), &*data(event))).collect();
    block_on(next.engine.append(Append { events, expect: None, key: None })).unwrap();
    if rng.u8(0..4) == 0 {
        let (topic, most) = (topic(rng.usize(0..TOPICS.len())), rng.u64(0..3));
        world.ledger.limiting(next.number, &topic, most);
        block_on(next.engine.configure(topic, at_most(most))).unwrap();
    }
    let old = world.replace_log(process, &next);
    (0..rng.usize(0..30)).for_each(|_| thread::yield_now());
    process.engine.report();
    old.close();
}

/// Reads every selection from the oldest event, twice: the second time from the cache, as far as it has the pages.
fn read_again(world: &World) {
    let process = world.current();
    for filters in SELECTIONS {
        let mut reader = Reader::new("reader again", filters, Begin::Earliest, world.limit(), &world.ledger);
        block_on(async {
            assert!(reader.connect(&process, 0).await, "the store can be read");
            poll_fn(|cx| {
                while let polled @ (Polled::Delivery | Polled::Unreadable) = reader.poll(cx, &process) {
                    assert_eq!(polled, Polled::Delivery, "the store can be read");
                }
                if reader.is_complete() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        });
        reader.disconnect();
    }
}
