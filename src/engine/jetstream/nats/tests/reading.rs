use super::*;
use crate::engine::jetstream::nats::{LiveItem, Range, Stored};

/// Pages until the messages are read that the test has written: a replica may be behind.
async fn read_all(nats: &Nats, filter: &str, max: usize, count: usize) -> Vec<Stored> {
    let (mut messages, mut from) = (Vec::new(), 1);
    while messages.len() < count {
        let range = Range { filter: filter.into(), from, max, max_bytes: 1 << 20 };
        let page = nats.range(range).await.unwrap();
        assert!(page.messages.len() <= max);
        let Some(last) = page.messages.last() else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        from = last.seq + 1;
        messages.extend(page.messages);
    }
    messages
}

#[tokio::test]
async fn pages_bring_every_message_of_a_filter_once_in_order() {
    let cluster = NatsCluster::shared();
    let nats = with_stream(&cluster, "pages").await;
    let subject = |index: usize| format!("pages.e.{}.{index}", if index.is_multiple_of(10) { "tens" } else { "other" });
    for group in 0..5 {
        let messages = (0..1000).map(|index| event(subject(group * 1000 + index), "x")).collect();
        assert_eq!(nats.write(messages, group as u64 * 1000, WAIT).await, Ok(group as u64 * 1000 + 1000));
    }
    let all = read_all(&nats, "pages.>", 700, 5000).await;
    assert!(all.iter().map(|message| message.seq).eq(1..=5000));
    let tens = read_all(&nats, "pages.e.tens.*", 64, 500).await;
    assert!(tens.iter().map(|message| message.seq).eq((0..500).map(|index| index * 10 + 1)));
    let one = read_all(&nats, "pages.e.other.4321", 10, 1).await;
    assert_eq!((one.len(), one[0].seq), (1, 4322));
    let empty = Range { filter: "pages.e.nothing".into(), from: 1, max: 10, max_bytes: 1 };
    let page = nats.range(empty).await.unwrap();
    assert_eq!((page.messages.len(), page.pending), (0, 0));
    let small = Range { filter: "pages.>".into(), from: 11, max: 10_000, max_bytes: 1 };
    let page = nats.range(small).await.unwrap();
    assert_eq!(page.messages.iter().map(|message| message.seq).collect::<Vec<_>>(), [11]);
    assert!(page.pending > 0);
    assert_eq!(nats.message(17).await.unwrap().unwrap().subject, "pages.e.other.16");
    assert!(nats.message(6000).await.unwrap().is_none());
}

#[tokio::test]
async fn loading_brings_the_newest_message_of_10_000_subjects() {
    let cluster = NatsCluster::shared();
    let nats = with_stream(&cluster, "load").await;
    assert_eq!(nats.last_per_subject("load.>", true, |_| panic!("there is none")).await, Ok(0));
    let mut last = 0;
    for group in 0..12 {
        let messages = (0..1000).map(|index| event(format!("load.e.t{}", (group * 1000 + index) % 10_000), "payload"));
        last = nats.write(messages.collect(), last, WAIT).await.unwrap();
    }
    let mut seen = Vec::new();
    let reached = nats.last_per_subject("load.e.>", true, |stored| seen.push(stored)).await;
    assert_eq!((reached, seen.len()), (Ok(12_000), 10_000));
    // The first 2,000 subjects were written twice.
    assert!(seen.iter().map(|stored| stored.seq).eq(2001..=12_000));
    assert_eq!(seen[0].subject, "load.e.t2000");
    assert_eq!(seen[9_999].subject, "load.e.t1999");
    assert!(seen.iter().all(|stored| stored.payload.is_empty() && stored.headers.get("Gl") == Some("1 t=5")));
    let mut payloads = Vec::new();
    let reached = nats.last_per_subject("load.e.t7", false, |stored| payloads.push(stored.payload)).await;
    assert_eq!((reached, payloads), (Ok(10_008), vec![Bytes::from_static(b"payload")]));
    // A deletion that was lost is the server's after 30 s.
    let deadline = Instant::now() + WAIT + Duration::from_secs(30);
    while !consumers(&nats).await.is_empty() {
        assert!(Instant::now() < deadline, "a consumer is left behind");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn consumers(nats: &Nats) -> Vec<String> {
    let path = format!("CONSUMER.NAMES.{}", nats.stream_name());
    let names: serde_json::Value = nats.api(&path, &serde_json::json!({})).await.unwrap();
    serde_json::from_value(names["consumers"].clone()).unwrap_or_default()
}

#[tokio::test]
async fn loading_begins_again_when_its_consumer_is_gone() {
    let cluster = NatsCluster::shared();
    let nats = with_stream(&cluster, "again").await;
    // More than two requests bring.
    for group in 0..10 {
        let messages = (0..1000).map(|index| event(format!("again.e.t{}", group * 1000 + index), ""));
        nats.write(messages.collect(), group * 1000, WAIT).await.unwrap();
    }
    // On a thread of its own, because `each` blocks this one.
    let delete = |config| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let other = Nats::connect(&config).await.unwrap();
            let name = consumers(&other).await.pop().unwrap();
            let path = format!("CONSUMER.DELETE.AGAIN.{name}");
            let deleted: serde_json::Value = other.api(&path, &serde_json::json!({})).await.unwrap();
            assert_eq!(deleted["success"], true);
        });
    };
    let config = config(cluster.urls(), "again");
    let mut seen = Vec::new();
    let reached = nats.last_per_subject("again.e.>", true, |stored| {
        if seen.is_empty() {
            std::thread::scope(|scope| scope.spawn(|| delete(config.clone())).join().unwrap());
        }
        seen.push(stored.seq);
    });
    assert_eq!(reached.await, Ok(10_000));
    assert!(seen.len() > 10_000, "it has not begun again");
    assert!(seen[seen.len() - 10_000..].iter().copied().eq(1..=10_000));
}

#[tokio::test]
async fn stored_messages_are_republished_in_order_and_positions_show_holes() {
    let cluster = NatsCluster::shared();
    let nats = with_stream(&cluster, "feed").await;
    let mut live = nats.live().await.unwrap();
    let mut next = async || match tokio::time::timeout(WAIT, live.next()).await.unwrap().unwrap() {
        LiveItem::Stored(stored) => stored,
        LiveItem::Lagged => panic!("nothing has happened to the connection"),
    };
    assert_eq!(nats.write(vec![event("feed.e.a", "one")], 0, WAIT).await, Ok(1));
    // The route to the stream's leader may learn of the subscription after the first messages: those are holes.
    let mut at = 1;
    let first = loop {
        tokio::select! {
            stored = next() => break stored,
            () = tokio::time::sleep(Duration::from_millis(100)) => {
                at = nats.write(vec![event("feed.e.a", "again")], at, WAIT).await.unwrap();
            }
        }
    };
    let mut seq = first.seq;
    while seq < at {
        seq = next().await.seq;
    }
    assert_eq!(nats.write(events("feed", 50), at, WAIT).await, Ok(at + 50));
    for (offset, place) in (1..=50).zip(1..) {
        let stored = next().await;
        assert_eq!((stored.seq, stored.batch.unwrap().place), (at + offset, place));
        assert!(stored.subject.starts_with("feed.e.t"));
        assert!(stored.time > 1_700_000_000_000_000_000);
    }
}

#[tokio::test]
async fn a_reader_that_falls_behind_is_told_and_costs_a_bounded_amount() {
    let cluster = NatsCluster::shared();
    let nats = with_stream(&cluster, "slow").await;
    let mut live = nats.live().await.unwrap();
    let mut last = 0;
    for _ in 0..20 {
        last = nats.write(vec![event("slow.e.a", vec![b'x'; 5 << 20])], last, WAIT).await.unwrap();
    }
    let (mut bytes, mut lagged) = (0, false);
    while let Ok(Some(item)) = tokio::time::timeout(Duration::from_secs(1), live.next()).await {
        match item {
            LiveItem::Stored(stored) => bytes += stored.payload.len(),
            LiveItem::Lagged => lagged = true,
        }
    }
    assert!(lagged, "20 messages of 5 MiB do not fit");
    assert!(bytes <= 64 << 20);
    assert_eq!(nats.write(vec![event("slow.e.a", "small")], last, WAIT).await, Ok(21));
    loop {
        if let LiveItem::Stored(stored) = tokio::time::timeout(WAIT, live.next()).await.unwrap().unwrap() {
            assert_eq!(stored.seq, 21);
            break;
        }
    }
}
