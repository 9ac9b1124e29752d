//! Every write's fate becomes known, and a hub that leads no more writes nothing.

use super::*;

#[test]
fn a_hub_that_was_followed_by_another_writes_nothing_more() {
    let mut bench = StreamBench::new("fenced");
    bench.commit(&[("a", "one")]);
    let next = bench.follower();
    let late = bench.prepared(&[("a", "late")]);
    assert!(try_to_lead(&bench.thread, &bench.nats, &next));
    let last = bench.run(bench.nats.stream()).expect("a stream").last;
    assert!(matches!(bench.store.commit(&late), Err(StoreError::Fenced)));
    assert!(matches!(bench.store.room(), Err(StoreError::Fenced)));
    assert!(matches!(bench.store.commit(&late), Err(StoreError::Fenced)), "and does not ask again");
    assert_eq!(bench.run(bench.nats.stream()).expect("a stream").last, last);
    // The same when the record that replaced its position was replaced itself.
    assert!(try_to_lead(&bench.thread, &bench.nats, &next));
    bench.store.lead(last - 1);
    assert!(matches!(bench.store.commit(&late), Err(StoreError::Fenced)));
}

#[test]
fn a_commit_at_another_position_than_the_next_is_refused() {
    let mut bench = StreamBench::new("position");
    let late = bench.prepared(&[("a", "late")]);
    bench.commit(&[("b", "one")]);
    assert!(matches!(bench.store.commit(&late), Err(StoreError::NotNow(_))));
    bench.commit(&[("a", "two")]);
}

/// A paused leader of the stream answers nothing; its write is stored or not, and the next leader decides.
#[test]
fn a_write_without_an_answer_is_stored_once() {
    let cluster = Arc::new(NatsCluster::start());
    let mut bench = StreamBench::over(cluster, "fate");
    bench.commit(&[("a", "one")]);
    let leader = bench.cluster.stream_leader("FATE");
    let events = [("a", "two"), ("b", "three"), ("a", "four")];
    for round in 0..2 {
        let commit = bench.prepared(&events);
        // In the first round before the write, in the second one while writes are under way.
        if round == 0 {
            bench.cluster.pause(leader);
        }
        std::thread::scope(|scope| {
            let written = scope.spawn(|| bench.store.commit(&commit));
            std::thread::sleep(Duration::from_secs(6));
            bench.cluster.go_on(leader);
            written.join().expect("no panic").expect("stored");
        });
        bench.committed(&commit, &events);
    }
    let follower = bench.follower();
    let (key, tail, _) = bench.topics["a"];
    let read = follower.topic_events((key, &topic("a")), Seq(0), tail, ReadLimit { events: 99, bytes: 9999 });
    let data: Vec<_> = read.expect("read").iter().map(|stored| stored.event.new.data.text().into_owned()).collect();
    assert_eq!(data, ["one", "two", "four", "two", "four"]);
    assert_eq!(follower.last(), bench.store.last());
}

/// The leader of the stream that takes the first attempt is paused, and every server refuses messages of this size.
#[test]
fn a_write_without_an_answer_that_is_refused_from_then_on_is_in_doubt() {
    let cluster = Arc::new(NatsCluster::start());
    let mut bench = StreamBench::over(cluster, "doubtful");
    bench.commit(&[("a", "one")]);
    let leader = bench.cluster.stream_leader("DOUBTFUL");
    let commit = bench.prepared(&[("a", "two")]);
    let config = bench.run(bench.nats.stream()).expect("a stream").config;
    let bounded = StreamConfig { max_msg_size: 1, ..config.clone() };
    bench.run(bench.nats.update_stream(&bounded)).expect("changed");
    bench.cluster.pause(leader);
    let written = bench.store.commit(&commit);
    bench.cluster.go_on(leader);
    assert!(matches!(written, Err(StoreError::Doubtful(_))), "{written:?}");
    assert!(matches!(bench.store.commit(&commit), Err(StoreError::Fenced)), "it leads no more");
    bench.cluster.wait_healthy();
    bench.run(bench.nats.update_stream(&config)).expect("changed back");
    let next = bench.follower();
    assert!(try_to_lead(&bench.thread, &bench.nats, &next), "the next one decides, and nothing was stored");
}

#[test]
fn a_closed_store_waits_for_no_fate() {
    let cluster = Arc::new(NatsCluster::start());
    let mut bench = StreamBench::over(cluster, "closed");
    bench.commit(&[("a", "one")]);
    let commit = bench.prepared(&[("a", "two")]);
    for node in 0..3 {
        bench.cluster.pause(node);
    }
    std::thread::scope(|scope| {
        let written = scope.spawn(|| bench.store.commit(&commit));
        std::thread::sleep(Duration::from_millis(500));
        assert!(!written.is_finished());
        bench.store.stop();
        let written = written.join().expect("no panic");
        assert!(matches!(written, Err(StoreError::Failed(_) | StoreError::NotNow(_))), "{written:?}");
    });
    for node in 0..3 {
        bench.cluster.go_on(node);
    }
}
