use super::*;
use crate::engine::jetstream::nats::{
    LiveItem, NatsError,
    stream::{LEASE, TRANSIT},
};

/// Waits for a state of the connection.
async fn until(nats: &Nats, connected: bool) {
    let mut changes = nats.connected_changes();
    let reached = changes.wait_for(|state| *state == connected);
    tokio::time::timeout(WAIT, reached).await.expect("the client notices").unwrap();
}

/// Writes until it succeeds; the position that it reached.
async fn insist(nats: &Nats, mut last: u64) -> u64 {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        match nats.write(vec![event(format!("{}.e.insist", nats.prefix()), "x")], last, Duration::from_secs(2)).await {
            Ok(seq) => return seq,
            // An earlier attempt was stored after all.
            Err(WriteError::WrongLast) => last = nats.stream().await.map_or(last, |state| state.last),
            Err(WriteError::Unknown(_) | WriteError::NotNow(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(error) => panic!("{error:?}"),
        }
        assert!(Instant::now() < deadline, "no leader");
    }
}

#[tokio::test]
async fn a_client_whose_server_is_killed_goes_on_at_another_one() {
    let mut cluster = NatsCluster::start();
    let nats = with_stream(&cluster, "moved").await;
    let mut live = nats.live().await.unwrap();
    let server = nats.server().name;
    nats.reconnect().await;
    assert!(nats.is_connected());
    assert_ne!(nats.server().name, server, "a forced reconnect goes elsewhere");
    let server = nats.server().name;
    cluster.kill(NatsCluster::index_of(&server));
    until(&nats, false).await;
    let began = Instant::now();
    until(&nats, true).await;
    eprintln!("connected again after {:?}", began.elapsed());
    assert_ne!(nats.server().name, server);
    assert_eq!(insist(&nats, 0).await, 1);
    let first = tokio::time::timeout(WAIT, live.next()).await.unwrap().unwrap();
    assert!(matches!(first, LiveItem::Lagged), "{first:?}");
}

#[tokio::test]
async fn a_server_that_answers_nothing_is_told_from_one_that_does() {
    let cluster = NatsCluster::start();
    let nats = with_stream(&cluster, "silent").await;
    let patience = Duration::from_millis(400);
    assert!(tokio::time::timeout(Duration::from_secs(2), nats.silence(patience)).await.is_err(), "it answers");
    cluster.pause(NatsCluster::index_of(&nats.server().name));
    assert_eq!(nats.silence(patience).await, NatsError::Silent);
}

#[tokio::test]
async fn a_write_that_a_paused_leader_swallowed_is_unknown_and_its_fate_can_be_found() {
    let cluster = NatsCluster::start();
    let mut config = config(cluster.urls(), "fate");
    let nats = with_stream(&cluster, "fate").await;
    assert_eq!(nats.write(vec![event("fate.e.a", "one")], 0, WAIT).await, Ok(1));
    let leader = cluster.stream_leader("FATE");
    config.servers = vec![cluster.url(leader)];
    let there = Nats::connect(&config).await.unwrap();
    cluster.pause(leader);
    let short = Duration::from_millis(500);
    let alone = there.write(vec![event("fate.e.a", "swallowed")], 1, short).await;
    assert!(matches!(alone, Err(WriteError::Unknown(_))), "{alone:?}");
    let batch = there.write(events("fate", 20), 1, short).await;
    assert!(matches!(batch, Err(WriteError::Unknown(_))), "{batch:?}");
    // Another server and another leader, in the meantime.
    until(&there, false).await;
    until(&there, true).await;
    assert_ne!(NatsCluster::index_of(&there.server().name), leader);
    let reached = insist(&there, 1).await;
    cluster.go_on(leader);
    cluster.wait_healthy();
    // One of the three was stored at 2, and nothing of the others.
    let deadline = Instant::now() + WAIT;
    let second = loop {
        // The old leader answers as one until it hears of the election.
        if let Ok(Some(second)) = there.leader_message(2).await {
            break second;
        }
        assert!(Instant::now() < deadline, "nothing is stored at 2");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let stored = if second.batch.is_some() { 21 } else { 2 };
    let state = there.stream().await.unwrap();
    eprintln!("stored at 2: {:?}, reached {reached}, last {}", second.payload, state.last);
    assert!(reached == 2 || reached == stored + 1 || reached == stored, "{reached}");
    assert_eq!(state.last, reached);
}

/// The replica that is silent may have been elected by the other one, and the leader not have heard of it.
#[tokio::test]
async fn where_a_replica_is_silent_the_end_is_certain_when_the_others_have_answered_since() {
    let cluster = NatsCluster::start();
    let mut config = config(cluster.urls(), "since");
    let nats = with_stream(&cluster, "since").await;
    assert_eq!(nats.write(vec![event("since.e.a", "one")], 0, WAIT).await, Ok(1));
    let leader = cluster.stream_leader("SINCE");
    config.servers = vec![cluster.url(leader)];
    let there = Nats::connect(&config).await.unwrap();
    let deadline = Instant::now() + WAIT;
    while there.end_if_certain().await != Ok(Some(1)) {
        assert!(Instant::now() < deadline, "all replicas run: {:?}", there.stream().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let silent = (leader + 1) % 3;
    cluster.pause(silent);
    tokio::time::sleep(LEASE + Duration::from_millis(500)).await;
    assert_eq!(there.end_if_certain().await, Ok(None), "{:?}", there.stream().await);
    let began = Instant::now();
    assert_eq!(there.end().await, Ok(1));
    assert!(began.elapsed() >= TRANSIT, "{:?}: before a replica can have answered", began.elapsed());
    cluster.go_on(silent);
}

#[tokio::test]
async fn a_leader_that_hears_of_no_other_replica_answers_and_is_not_believed() {
    let cluster = NatsCluster::start();
    let mut config = config(cluster.urls(), "alone");
    let nats = with_stream(&cluster, "alone").await;
    assert_eq!(nats.write(vec![event("alone.e.a", "one")], 0, WAIT).await, Ok(1));
    assert_eq!(nats.end().await, Ok(1));
    let leader = cluster.stream_leader("ALONE");
    config.servers = vec![cluster.url(leader)];
    let there = Nats::connect(&config).await.unwrap();
    let others = [(leader + 1) % 3, (leader + 2) % 3];
    for node in others {
        cluster.pause(node);
    }
    tokio::time::sleep(LEASE + Duration::from_millis(500)).await;
    // It answers for 10 s, and another one is elected after 4 s where the others are not stopped but elsewhere.
    assert!(there.end().await.is_err());
    assert_eq!(there.stream().await.unwrap().last, 1);
    for node in others {
        cluster.go_on(node);
    }
    cluster.wait_healthy();
    let deadline = Instant::now() + WAIT;
    while there.end().await != Ok(1) {
        assert!(Instant::now() < deadline, "it is not believed again: {:?}", there.stream().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
