//! Hubs over one stream, where something is not as it should be.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    JetStreamConfig, JetStreamEngine, JetStreamError, NatsConfig, NatsCredentials,
    contract::{NoObserver, make_stream, opened, until},
    feed::StreamFeed,
    link::PATIENCE,
    nats::{Nats, NatsError, Outgoing, WriteError},
    nats_cluster::NatsCluster,
    nats_thread::NatsThread,
    wire::{EpochRecord, StreamSubjects},
};
use crate::{
    engine::{
        Admin as _, Append, AppendError, Engine as _, ExpectedLast, Log as _, MetadataChange, Observer, ReadFrom,
        TopicChange,
        contract::{event, plain, request, short, status, topic, wait},
        log::LogConfig,
    },
    event::{Epoch, Event, EventId, Metadata, Seq, TopicName},
};

/// A stream of its own in the shared cluster.
struct Bench {
    cluster: Arc<NatsCluster>,
    config: JetStreamConfig,
    thread: NatsThread,
    nats: Nats,
}

impl Bench {
    fn new(name: &str) -> Self {
        Self::over(NatsCluster::shared(), name)
    }

    fn over(cluster: Arc<NatsCluster>, name: &str) -> Self {
        let nats = NatsConfig {
            servers: cluster.urls(),
            credentials: NatsCredentials::None,
            roots: None,
            client_name: name.into(),
            stream: name.to_uppercase().into(),
            prefix: name.into(),
        };
        make_stream(&nats);
        let config = JetStreamConfig { nats, hub: "hub".into(), address: "".into(), max_batch: 1000 };
        let thread = NatsThread::start().expect("a thread");
        let nats = thread.handle.block_on(Nats::connect(&config.nats)).expect("a cluster");
        Self { cluster, config, thread, nats }
    }

    fn open(&self) -> Arc<JetStreamEngine> {
        self.observed(&(Arc::new(NoObserver) as _))
    }

    fn observed(&self, observer: &Arc<dyn Observer>) -> Arc<JetStreamEngine> {
        opened(&self.config, &LogConfig::fixture(), observer).expect("a stream in order")
    }

    fn leading(&self) -> Arc<JetStreamEngine> {
        let engine = self.open();
        until("the hub leads", || engine.leads());
        engine
    }

    fn last(&self) -> u64 {
        let began = Instant::now();
        loop {
            match self.thread.handle.block_on(self.nats.stream()) {
                Err(NatsError::NoAnswer(_)) if began.elapsed() < Duration::from_secs(20) => {}
                stream => return stream.expect("a stream").last,
            }
        }
    }

    /// Stores messages as another hub would.
    fn write(&self, messages: &[Outgoing]) -> u64 {
        let (last, began) = (self.last(), Instant::now());
        loop {
            let write = self.nats.write(messages.to_vec(), last, Duration::from_secs(5));
            match self.thread.handle.block_on(write) {
                // The leader of a new stream may not be known everywhere yet.
                Err(WriteError::NotNow(_)) if began.elapsed() < Duration::from_secs(10) => {
                    thread::sleep(Duration::from_millis(100));
                }
                written => return written.expect("stored"),
            }
        }
    }

    fn event(&self, headers: &str) -> Outgoing {
        let subject = StreamSubjects::new(&self.config.nats.prefix).event(&topic("a"));
        Outgoing { subject, headers: vec![("Gl", headers.into())], payload: Bytes::from_static(b"data") }
    }

    /// The record of an epoch, of a stream created then.
    fn epoch(&self, epoch: Epoch, created: &str) -> Outgoing {
        let mut headers = EpochRecord { epoch, created: created.into() }.headers();
        headers.push(("Nats-Rollup", "sub".into()));
        let subject = StreamSubjects::new(&self.config.nats.prefix).epoch();
        Outgoing { subject, headers, payload: Bytes::new() }
    }
}

#[test]
fn a_feed_that_begins_again_within_a_write_brings_the_whole_write() {
    let bench = Bench::new("again");
    let first = bench.last();
    for _ in 0..2 {
        bench.write(&vec![bench.event("1 k=1 t=5"); 600]);
    }
    let subjects = StreamSubjects::new(&bench.config.nats.prefix);
    bench.thread.handle.block_on(async {
        let mut feed = StreamFeed::after(&bench.nats, &subjects, first).await.expect("a subscription");
        let writes = feed.next(PATIENCE).await.expect("read");
        assert_eq!((writes.len(), writes[0].messages.len()), (1, 600), "a page ends within the second write");
        // The next read fails: another feed begins.
        let mut feed = StreamFeed::after(&bench.nats, &subjects, feed.returned()).await.expect("a subscription");
        let writes = feed.next(PATIENCE).await.expect("read");
        assert_eq!((writes.len(), writes[0].messages.len()), (1, 600));
    });
}

#[test]
fn a_feed_whose_server_hangs_ends_because_the_server_is_silent() {
    let bench = Bench::over(Arc::new(NatsCluster::start()), "hung");
    let subjects = StreamSubjects::new(&bench.config.nats.prefix);
    let last = bench.last();
    bench.thread.handle.block_on(async {
        let mut feed = StreamFeed::after(&bench.nats, &subjects, last).await.expect("a subscription");
        feed.next(PATIENCE).await.expect("it answers");
        bench.cluster.pause(NatsCluster::index_of(&bench.nats.server().name));
        let failed = loop {
            if let Err(error) = feed.next(PATIENCE).await {
                break error;
            }
        };
        assert_eq!(failed, NatsError::Silent, "without that, a read that has no answer would end");
    });
}

#[test]
fn a_hub_that_does_not_understand_the_log_does_not_lead() {
    let bench = Bench::new("outdated");
    let hub = bench.leading();
    bench.write(&[bench.event("3 k=1 t=5 something new")]);
    // It notices with its next write, which waits for a hub that leads.
    drop(hub.append(plain(vec![event("a", "1")])));
    until("it leads no more", || !hub.leads());
    until("it is not ready", || status(&*hub).refusing.is_some());
    let until = Instant::now() + Duration::from_secs(6);
    while Instant::now() < until {
        assert!(!hub.leads(), "it knows not the whole log");
        thread::sleep(Duration::from_millis(20));
    }
    hub.close();
}

#[test]
fn a_refusal_knows_of_what_another_hub_has_written() {
    let bench = Bench::new("refusal");
    let hub = bench.leading();
    let first = wait(hub.append(plain(vec![event("a", "1")]))).expect("accepted")[0].seq;
    let at = bench.write(&[bench.event(&format!("1 k={first} p={first} t=5"))]);
    let on_nothing = Append { expect: Some(ExpectedLast::Empty), ..plain(vec![event("a", "2")]) };
    let refused = wait(hub.append(on_nothing));
    let Err(AppendError::Precondition { last: Some(last) }) = refused else { panic!("{refused:?}") };
    assert_eq!(last.seq.0, at, "{first} was the last one that it had written itself");
    hub.close();
}

#[test]
fn of_two_hubs_one_changes_the_metadata() {
    let bench = Bench::new("metadata");
    let hubs = [bench.leading(), bench.open()];
    let mut present = None;
    for round in 0..20_u8 {
        let answers: Vec<_> = (0..2_u8)
            .map(|hub| {
                let to = Metadata::new(1, &[round, hub]).ok();
                let metadata = Some(MetadataChange { from: present.clone(), to: to.clone() });
                let change = TopicChange { metadata, ..TopicChange::default() };
                let order = usize::from((hub + round) % 2); // the follower first, and last
                (order, hubs[order].configure(topic("a"), change), to)
            })
            .collect();
        let mut won = Vec::new();
        let mut refused = Vec::new();
        for (hub, answer, to) in answers {
            match wait(answer) {
                Ok(state) => {
                    assert_eq!(state.metadata, to);
                    won.push(to);
                }
                Err(AppendError::MetadataChanged { present }) => refused.push(present),
                Err(error) => panic!("{error}"),
            }
            let known = hubs[hub].catalog().topic(&topic("a")).expect("known").metadata;
            assert_ne!(known, present, "who was answered knows it");
        }
        assert_eq!((won.len(), &refused), (1, &won), "in round {round}");
        present = won.remove(0);
    }
    until("both hubs know it", || {
        hubs.iter().all(|hub| hub.catalog().topic(&topic("a")).expect("known").metadata == present)
    });
    for hub in hubs {
        hub.close();
    }
    let again = bench.leading();
    assert_eq!(again.catalog().topic(&topic("a")).expect("known").metadata, present);
    again.close();
}

#[test]
fn a_refused_change_knows_of_what_another_hub_has_written() {
    let bench = Bench::new("changed");
    let hub = bench.leading();
    let first = wait(hub.append(plain(vec![event("a", "1")]))).expect("accepted")[0].seq;
    let at = bench.write(&[bench.event(&format!("1 k={first} p={first} t=5"))]);
    let change = TopicChange { expect: Some(ExpectedLast::Empty), ..TopicChange::default() };
    let refused = wait(hub.configure(topic("a"), change));
    let Err(AppendError::Precondition { last: Some(last) }) = refused else { panic!("{refused:?}") };
    assert_eq!(last.seq.0, at, "{first} was the last one that it had written itself");
    hub.close();
}

#[test]
fn only_the_hub_that_leads_counts_removed_events_that_are_still_in_the_stream() {
    let bench = Bench::new("counted");
    let (leading, following) = (bench.leading(), bench.open());
    let receipt = wait(leading.append(plain(vec![event("a", "a secret")]))).expect("accepted").remove(0);
    let id = EventId { epoch: receipt.epoch, seq: receipt.seq };
    let last = || following.catalog().topic(&topic("a")).and_then(|topic| topic.last);
    until("it is known", || last().is_some());
    assert_eq!(wait(leading.remove(topic("a"), id)), Ok(true));
    until("it is counted where it is deleted", || status(&*leading).unscrubbed == 1);
    assert_eq!(status(&*following).unscrubbed, 0);
    leading.close();
    until("the other hub leads, and deletes it", || status(&*following).unscrubbed == 1);
    following.close();
}

#[test]
fn a_hub_that_ends_leaves_what_others_have_sent_it_to_the_next_one() {
    let bench = Bench::new("left");
    let mut leading = bench.leading();
    for round in 0..3 {
        let following = bench.open();
        let publishing = thread::spawn({
            let following = Arc::clone(&following);
            move || -> Vec<_> {
                (0..200).map(|n| wait(following.append(plain(vec![event("a", &format!("{round}.{n}"))])))).collect()
            }
        });
        let events = |hub: &JetStreamEngine| status(hub).events;
        let before = events(&leading);
        until("some are stored", || events(&leading) > before + 20);
        leading.close();
        for (n, result) in publishing.join().expect("no panic").into_iter().enumerate() {
            assert!(result.is_ok(), "{round}.{n}: {result:?}");
        }
        leading = following;
    }
    leading.close();
}

#[test]
fn what_waits_for_a_hub_whose_writes_have_no_answer_is_refused() {
    let bench = Bench::over(Arc::new(NatsCluster::start()), "stuck");
    let hub = bench.leading();
    let append = |data: &str| hub.append(plain(vec![event("a", data)]));
    wait(append("1")).expect("accepted");
    let leader = bench.cluster.stream_leader("STUCK");
    let others = [(leader + 1) % 3, (leader + 2) % 3];
    for node in others {
        bench.cluster.pause(node);
    }
    let under_way = append("2");
    until("its write has no answer", || hub.link.shared().store.waited() > Duration::from_secs(1));
    assert!(matches!(wait(append("3")), Err(AppendError::NotNow { .. })), "it is behind that one");
    assert!(
        matches!(wait(under_way), Err(AppendError::Unavailable { .. })),
        "it is not waited for longer, and may be stored"
    );
    for node in others {
        bench.cluster.go_on(node);
    }
    until("it accepts again", || status(&*hub).refusing.is_none());
    wait(append("4")).expect("accepted");
    let page = wait(hub.read(request(topic("a").into(), ReadFrom::Earliest))).expect("readable");
    assert_eq!(page.items.len(), 3, "{page:?}");
    hub.close();
}

#[test]
fn a_topic_that_another_hub_has_made_is_deleted() {
    let bench = Bench::new("unknown");
    let hub = bench.leading();
    let at = bench.last() + 1;
    bench.write(&[bench.event(&format!("1 k={at} t=5"))]);
    assert_eq!(wait(hub.delete(topic("a"))), Ok(true));
    hub.close();
}

#[test]
fn a_message_that_somebody_else_has_written_takes_none_of_its_neighbours_away() {
    let bench = Bench::new("foreign");
    let hub = bench.leading();
    let at = bench.last() + 1;
    let events = [format!("1 k={at} t=5"), "1 something else".into(), format!("1 k={at} p={at} t=5")];
    bench.write(&events.map(|headers| bench.event(&headers)));
    let own = wait(hub.append(plain(vec![event("a", "1")]))).expect("accepted when it leads again")[0].seq.0;
    let page = wait(hub.read(request(topic("a").into(), ReadFrom::Earliest))).expect("readable");
    assert_eq!(short(&page), [at, at + 2, own].map(|seq| seq.to_string()));
    hub.close();
}

/// Panics at the first event.
#[derive(Default)]
struct Panics(AtomicBool);

impl Observer for Panics {
    fn committed(&self, _: &[Arc<Event>]) {
        assert!(self.0.swap(true, Ordering::SeqCst), "a panic for the test");
    }
    fn skipped(&self, _: Seq) {}
    fn removed(&self, _: &TopicName, _: Seq) {}
    fn lifecycle_changed(&self, _: &TopicName, _: crate::engine::LifecycleChange) {}
    fn epoch_changed(&self, _: crate::event::EventId) {}
}

#[test]
fn another_hub_leads_when_the_leading_one_has_panicked_and_that_one_can_be_closed() {
    let bench = Bench::new("panic");
    let hub = bench.observed(&(Arc::<Panics>::default() as _));
    until("the first hub leads", || hub.leads());
    let other = bench.open();
    assert!(wait(hub.append(plain(vec![event("a", "1")]))).is_err());
    until("the other hub leads", || other.leads());
    wait(other.append(plain(vec![event("a", "2")]))).expect("accepted");
    let closed = thread::spawn(move || hub.close());
    until("the first hub is closed", || closed.is_finished());
    other.close();
}

#[test]
fn a_stream_that_was_made_again_is_noticed_and_refused() {
    let bench = Bench::new("remade");
    let hub = bench.leading();
    wait(hub.append(plain(vec![event("a", "1")]))).expect("accepted");
    // The time at which the stream was created is told apart from 10 s on.
    thread::sleep(Duration::from_secs(11));
    let delete = bench.nats.request("$JS.API.STREAM.DELETE.REMADE", Bytes::new(), Duration::from_secs(5));
    bench.thread.handle.block_on(delete).expect("deleted");
    make_stream(&bench.config.nats);
    let refusal = || status(&*hub).refusing.map(|error| error.to_string()).unwrap_or_default();
    until("it is noticed", || refusal().contains("epoch --renew"));
    let refused = wait(hub.append(plain(vec![event("a", "2")]))).expect_err("refused").to_string();
    assert!(refused.contains("epoch --renew"), "{refused}");
    let all = request(topic("a").into(), ReadFrom::Earliest);
    assert!(wait(hub.read(all)).is_err(), "what the stream has now is of another log");
    hub.close();
}

#[test]
fn a_hub_that_reads_the_record_of_a_new_epoch_accepts_and_reads_nothing_more() {
    let bench = Bench::new("renewed");
    let (leading, following) = (bench.leading(), bench.open());
    let first = wait(leading.append(plain(vec![event("a", "1")]))).expect("accepted").remove(0);
    until("it is applied", || following.head().seq == first.seq);
    let created = bench.thread.handle.block_on(bench.nats.stream()).expect("a stream").created;
    let epoch = Epoch::from_random(7);
    bench.write(&[bench.epoch(epoch, &created)]);
    // The hub that leads notices with its next write.
    drop(leading.append(plain(vec![event("a", "2")])));
    for hub in [&leading, &following] {
        let refusal = || status(&**hub).refusing.map(|error| error.to_string()).unwrap_or_default();
        until("it is noticed", || refusal().contains("epoch was renewed"));
        let refused = wait(hub.append(plain(vec![event("a", "3")]))).expect_err("refused").to_string();
        assert!(refused.contains("restart this hub"), "{refused}");
        let all = request(topic("a").into(), ReadFrom::Earliest);
        assert!(wait(hub.read(all)).is_err(), "its ids are not those of the present epoch");
    }
    let again = bench.leading();
    assert_eq!(again.head().epoch, epoch);
    assert!(!leading.leads() && !following.leads());
    for hub in [leading, following, again] {
        hub.close();
    }
}

#[test]
fn a_stream_whose_epoch_is_of_another_one_is_not_opened() {
    let bench = Bench::new("restored");
    bench.write(&[bench.epoch(Epoch::from_random(7), "2026-01-01T00:00:00Z")]);
    let opened = opened(&bench.config, &LogConfig::fixture(), &(Arc::new(NoObserver) as _));
    let Err(JetStreamError::Unusable(text)) = opened else { panic!("it was opened") };
    assert!(text.contains("gapless jetstream epoch --renew"), "{text}");
}
