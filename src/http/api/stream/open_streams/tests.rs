//! Orders, pages and ends of open streams, over the shards of a real hub.

use std::{cell::Cell, collections::BTreeSet, rc::Rc, sync::Arc};

use proptest::prelude::*;
use tokio::task::{LocalSet, spawn_local};

use super::*;
use crate::{
    engine::{
        Append,
        log::{LogConfig, LogEngine},
        memory::MemoryStore,
    },
    event::{NewEvent, TopicName},
    http::{
        api::{
            state::{AppState, ShardState},
            stream::{
                mailbox::{StreamMailboxes, Unanswered, answer_questions},
                streams::StreamHandle,
            },
        },
        testing,
    },
    hub::{
        Hub, HubConfig,
        broker::Broker,
        subscription::{Start, Subscription},
    },
};

/// The state of a process with this many cores.
fn app(cores: usize) -> Arc<AppState> {
    let config = HubConfig::fixture();
    let broker = Broker::new(cores, &config);
    let engine = LogEngine::open(MemoryStore::new(), LogConfig::fixture(), Arc::clone(&broker) as _);
    testing::app_of(Hub::new(engine, broker, config), testing::limits())
}

fn shards(app: &Arc<AppState>, cores: usize) -> Vec<Rc<StreamShard>> {
    (0..cores).map(|index| ShardState::new(Arc::clone(app), index).events.stream).collect()
}

/// An open stream that has sent nothing; it ends when this is dropped.
struct Opened {
    record: Rc<StreamRecord>,
    subscription: Subscription,
    _handle: StreamHandle,
}

async fn open(app: &AppState, shard: &StreamShard, topic: &str, start: Start) -> Opened {
    let selection = Selection::new([Filter::new(topic).expect("valid")]).expect("not empty");
    let limit = shard.limit;
    let subscription = shard.hub.subscribe(&selection, start, limit, shard.index).await.expect("readable");
    let (scope, number) = (testing::scope("/events", false), shard.streams.next_number());
    let record = StreamRecord::new(&scope, number, &testing::anyone(app), Some(Encoding::Sse), &subscription);
    let handle = shard.streams.register(subscription.feed(), None, Some(Rc::clone(&record)), None);
    Opened { record, subscription, _handle: handle }
}

fn sent(bytes: u64) -> SentCounts {
    SentCounts { events: 1, bytes }
}

fn query(sort: StreamSort, limit: usize, after: Option<StreamPlace>) -> StreamQuery {
    StreamQuery { filter: StreamFilter::default(), sort, after, limit }
}

fn ids(page: &ShardPage) -> Vec<String> {
    page.streams.iter().map(|stream| stream.place.id.to_string()).collect()
}

async fn publish(app: &AppState, topic: &str, count: usize) {
    let topic = TopicName::new(topic).expect("valid");
    let events = (0..count).map(|_| NewEvent::new(topic.clone(), "x")).collect();
    app.hub.publish(Append { events, expect: None, key: None }).await.expect("published");
}

/// Runs `work` while every core answers.
async fn with_answers<T>(app: &Arc<AppState>, shards: &[Rc<StreamShard>], work: impl Future<Output = T>) -> T {
    let local = LocalSet::new();
    local
        .run_until(async {
            for shard in shards {
                let questions = app.operators.streams.take(shard.index).expect("taken once");
                spawn_local(answer_questions(Rc::clone(shard), questions));
            }
            work.await
        })
        .await
}

/// Every page of a list, as ids, with the totals that they give.
async fn pages(mailboxes: &StreamMailboxes, sort: StreamSort, limit: usize) -> (Vec<String>, BTreeSet<u64>) {
    let (mut all, mut totals, mut after) = (Vec::new(), BTreeSet::new(), None);
    loop {
        let (page, more) = mailboxes.list(query(sort, limit, after)).await.expect("answered");
        assert!(page.streams.len() == limit || !more, "a page that is not the last is full");
        all.extend(ids(&page));
        totals.insert(page.total);
        if !more {
            return (all, totals);
        }
        after = page.streams.last().map(|stream| stream.place);
    }
}

#[tokio::test]
async fn each_order_with_its_ties_is_the_same_whatever_the_size_of_a_page() {
    let app = app(3);
    let shards = shards(&app, 3);
    // Bytes of the streams of each shard, and how many events they are behind.
    let figures = [[7, 5, 7, 0], [5, 5, 9, 7], [0, 7, 5, 5]];
    let mut open_streams = Vec::new();
    publish(&app, "old", 1).await;
    for (shard, figures) in shards.iter().zip(figures) {
        for (n, bytes) in figures.into_iter().enumerate() {
            let topic = ["a", "b", "old", "b"][n];
            let stream = open(&app, shard, topic, Start::Now).await;
            stream.record.add(sent(bytes));
            open_streams.push(stream);
        }
    }
    publish(&app, "a", 2).await;
    publish(&app, "b", 3).await;
    // Before everything, and the ring begins later: nobody knows how many.
    for shard in &shards[1..] {
        open_streams.push(open(&app, shard, "old", Start::Earliest).await);
    }
    with_answers(&app, &shards, async {
        let mailboxes = &app.operators.streams;
        let expected = [
            (StreamSort::Since, "s0-0 s0-1 s0-2 s0-3 s1-0 s1-1 s1-2 s1-3 s2-0 s2-1 s2-2 s2-3 s1-4 s2-4"),
            (StreamSort::Behind, "s1-4 s2-4 s0-1 s0-3 s1-1 s1-3 s2-1 s2-3 s0-0 s1-0 s2-0 s0-2 s1-2 s2-2"),
            (StreamSort::SentBytes, "s1-2 s0-0 s0-2 s1-3 s2-1 s0-1 s1-0 s1-1 s2-2 s2-3 s0-3 s1-4 s2-0 s2-4"),
        ];
        for (sort, expected) in expected {
            for limit in [1, 2, 3, 5, 13, 14, 15, 1000] {
                let (all, totals) = pages(mailboxes, sort, limit).await;
                // Two streams may begin within a microsecond; then the ids decide.
                assert_eq!(all.join(" "), expected, "{sort:?}, {limit}");
                assert_eq!(totals, BTreeSet::from([14]));
            }
        }
        let (page, _) = mailboxes.list(query(StreamSort::Behind, 1000, None)).await.expect("answered");
        let behind: Vec<_> = page.streams.iter().map(|stream| stream.behind).collect();
        let known = [3, 3, 3, 3, 3, 3, 2, 2, 2, 0, 0, 0].map(Some);
        assert_eq!(behind, [&[None, None], &known[..]].concat());
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_is_open_throughout_is_in_one_page_by_its_beginning_whatever_comes_and_goes() {
    let app = app(2);
    let shards = shards(&app, 2);
    let mut open_streams = Vec::new();
    for n in 0..40 {
        open_streams.push(open(&app, &shards[n % 2], &format!("t{}", n % 5), Start::Now).await);
    }
    with_answers(&app, &shards, async {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let listed = app.operators.streams.list(query(StreamSort::Since, 3, after)).await;
            let (page, more) = listed.expect("answered");
            seen.extend(ids(&page));
            if !more {
                break;
            }
            after = page.streams.last().map(|stream| stream.place);
            // One of those that were listed ends, so that its place is free, and another begins.
            open_streams.remove(0);
            open_streams.push(open(&app, &shards[seen.len() % 2], "t0", Start::Now).await);
            if seen.len() > 200 {
                break;
            }
        }
        let unique: BTreeSet<_> = seen.iter().cloned().collect();
        assert_eq!(unique.len(), seen.len(), "each at most once: {seen:?}");
        for stream in ["s0-19", "s1-19", "s0-15", "s1-10"] {
            assert!(unique.contains(stream), "{stream}: {seen:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_shard_with_many_streams_yields_and_looks_at_each_once() {
    let app = app(1);
    let shards = shards(&app, 1);
    let count = 3 * SLICE;
    let mut open_streams = Vec::new();
    for n in 0..count {
        // Half of them have a feed each.
        let topic = if n % 2 == 0 { "t".into() } else { format!("own/{n}") };
        open_streams.push(open(&app, &shards[0], &topic, Start::Now).await);
    }
    let local = LocalSet::new();
    let turns = Rc::new(Cell::new(0));
    let page = local
        .run_until(async {
            let counted = Rc::clone(&turns);
            spawn_local(async move {
                loop {
                    counted.set(counted.get() + 1);
                    yield_now().await;
                }
            });
            shards[0].list(&query(StreamSort::Since, count, None), || false).await
        })
        .await;
    assert_eq!((page.total, page.streams.len()), (count as u64, count));
    // A feed counts as a stream does.
    assert!(turns.get() >= 3, "others had {} turns", turns.get());
    let abandoned = shards[0].list(&query(StreamSort::Since, count, None), || true).await;
    assert_eq!(abandoned.total, 1, "nobody wants the rest");
}

#[tokio::test]
async fn an_end_is_told_once_and_to_the_streams_that_are_meant() {
    let app = app(2);
    let shards = shards(&app, 2);
    let stream = open(&app, &shards[1], "t", Start::Now).await;
    let other = open(&app, &shards[1], "t", Start::Now).await;
    with_answers(&app, &shards, async {
        let mailboxes = &app.operators.streams;
        for (id, found) in [("s1-0", true), ("s1-0", true), ("s0-0", false), ("s1-2", false), ("s2-0", false)] {
            let id = StreamId::parse(id).expect("an id");
            assert_eq!(mailboxes.end(id).await, Ok(found), "{id}");
        }
        assert_eq!(app.hub.stats().ended_by_operator.get(), 1);
        assert!(stream.record.is_end_requested() && !other.record.is_end_requested());
        assert_eq!(mailboxes.end_all("ann").await, Ok(0));
        assert!(!other.record.is_end_requested(), "it has no holder");
    })
    .await;
    assert_eq!(stream.subscription.progress(), Progress::Live);
}

#[tokio::test(start_paused = true)]
async fn a_core_that_does_not_answer_is_not_waited_for_forever() {
    let app = app(2);
    assert!(matches!(app.operators.streams.list(query(StreamSort::Since, 1, None)).await, Err(Unanswered)));
    drop(app.operators.streams.take(1));
    assert_eq!(app.operators.streams.end(StreamId { shard: 1, number: 0 }).await, Err(Unanswered), "it has ended");
}

proptest! {
    #[test]
    fn an_id_is_its_text(shard in 0..usize::MAX, number: u64, junk in "s?[0-9]{0,3}[-+ ]?[0-9x]{0,3}") {
        let id = StreamId { shard, number };
        prop_assert_eq!(StreamId::parse(&id.to_string()), Some(id));
        if let Some(id) = StreamId::parse(&junk) {
            prop_assert_eq!(StreamId::parse(&id.to_string()), Some(id));
        }
    }
}
