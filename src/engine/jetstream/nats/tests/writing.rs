use super::*;
use crate::engine::jetstream::nats::{BatchMark, StreamConfig};

#[tokio::test]
async fn a_second_writer_is_refused_and_leaves_nothing() {
    let cluster = NatsCluster::shared();
    let (first, second) = (with_stream(&cluster, "fence").await, Nats::connect(&config(cluster.urls(), "fence")).await);
    let second = second.unwrap();
    assert_eq!(first.write(vec![event("fence.e.a", "one")], 0, WAIT).await, Ok(1));
    assert_eq!(second.write(vec![event("fence.e.a", "lost")], 0, WAIT).await, Err(WriteError::WrongLast));
    assert_eq!(second.write(events("fence", 3), 0, WAIT).await, Err(WriteError::WrongLast));
    assert_eq!(first.write(events("fence", 3), 1, WAIT).await, Ok(4));
    assert_eq!(first.write(vec![event("fence.e.b", "five")], 4, WAIT).await, Ok(5));
    let state = first.stream().await.unwrap();
    assert_eq!((state.first, state.last, state.messages), (1, 5, 5));
    let three = first.leader_message(3).await.unwrap().unwrap();
    assert_eq!((three.subject.as_str(), &three.payload[..]), ("fence.e.t1", &b"data 1"[..]));
    assert_eq!(three.headers.get("Gl"), Some("1 t=5"));
    let BatchMark { place, commit, .. } = three.batch.unwrap();
    assert_eq!((place, commit), (2, false));
    assert!(first.leader_message(4).await.unwrap().unwrap().batch.unwrap().commit);
    assert_eq!(first.leader_message(5).await.unwrap().unwrap().batch, None);
    assert!(first.leader_message(6).await.unwrap().is_none());
}

#[tokio::test]
async fn a_batch_has_1000_messages_and_not_1001() {
    let cluster = NatsCluster::shared();
    let nats = with_stream(&cluster, "big").await;
    for count in [1001, 1002, 1500] {
        assert_eq!(nats.write(events("big", count), 0, WAIT).await, Err(WriteError::TooMany), "{count}");
    }
    assert_eq!(nats.stream().await.unwrap().last, 0, "a refused batch uses no positions up");
    assert_eq!(nats.write(events("big", 1000), 0, WAIT).await, Ok(1000));
    // Pipelined: each expects the end of the one before.
    let (second, third) =
        tokio::join!(biased; nats.write(events("big", 700), 1000, WAIT), nats.write(events("big", 1000), 1700, WAIT));
    assert_eq!((second, third), (Ok(1700), Ok(2700)));
}

#[tokio::test]
async fn what_is_too_large_or_malformed_is_refused_before_anything_is_sent() {
    let cluster = NatsCluster::shared();
    let nats = with_stream(&cluster, "large").await;
    let mut batch = events("large", 3);
    batch[1].payload = vec![b'x'; nats.server().max_payload].into();
    assert!(matches!(nats.write(batch, 0, WAIT).await, Err(WriteError::TooLarge(_))));
    let mut batch = events("large", 3);
    batch[2].headers = vec![("Gl", "a\r\nb: c".into())];
    assert!(matches!(nats.write(batch, 0, WAIT).await, Err(WriteError::Refused(_))));
    assert!(matches!(nats.write(vec![], 0, WAIT).await, Err(WriteError::Refused(_))));
    let mut batch = events("large", 3);
    batch[0].payload = vec![b'x'; 4 << 20].into();
    assert_eq!(nats.write(batch, 0, WAIT).await, Ok(3));
}

#[tokio::test]
async fn a_full_stream_refuses_and_takes_again_after_a_purge() {
    let cluster = NatsCluster::shared();
    let nats = Nats::connect(&config(cluster.urls(), "full")).await.unwrap();
    created(&nats, Some(100_000)).await;
    let big = |subject| event(subject, vec![b'x'; 40_000]);
    assert_eq!(nats.write(vec![big("full.e.a"), big("full.e.b")], 0, WAIT).await, Ok(2));
    assert!(matches!(nats.write(vec![big("full.e.c")], 2, WAIT).await, Err(WriteError::Full(_))));
    assert!(matches!(
        nats.write(vec![event("full.e.a", "x"), big("full.e.c")], 2, WAIT).await,
        Err(WriteError::Full(_))
    ));
    assert_eq!(nats.purge("full.e.a", 2).await, Ok(1));
    assert_eq!(nats.write(vec![big("full.e.c")], 2, WAIT).await, Ok(3));
    assert_eq!(nats.delete(2).await, Ok(true));
    assert_eq!(nats.delete(2).await, Ok(false));
    assert_eq!(nats.stream().await.unwrap().messages, 1);
}

#[tokio::test]
async fn a_created_stream_is_as_wanted_and_can_be_updated() {
    let cluster = NatsCluster::shared();
    let nats = with_stream(&cluster, "setup").await;
    let state = nats.stream().await.unwrap();
    let config = StreamConfig { rest: serde_json::Map::new(), ..state.config.clone() };
    let config = serde_json::to_value(config).unwrap();
    let expected = serde_json::json!({
        "name": "SETUP", "subjects": ["setup.>"], "republish": { "src": "setup.>", "dest": "live.setup.>", "headers_only": false },
        "retention": "limits", "storage": "file", "discard": "new", "num_replicas": 3,
        "max_bytes": -1, "max_msgs": -1, "max_msgs_per_subject": -1, "max_msg_size": -1, "max_age": 0,
        "duplicate_window": 100_000_000, "compression": "none",
        "allow_direct": true, "allow_atomic": true, "allow_rollup_hdrs": true, "allow_msg_ttl": true,
        "deny_delete": false, "deny_purge": false,
    });
    assert_eq!(config, expected);
    assert_eq!(state.replicas.len(), 2);
    assert!(state.leader.is_some());
    let other = StreamSettings { replicas: 3, max_bytes: Some(1 << 30) };
    assert!(nats.create_stream(&other).await.is_err(), "it exists with another configuration");
    assert_eq!(nats.update_stream(&nats.wanted_config(&other)).await.unwrap().config.max_bytes, 1 << 30);
    assert_eq!(nats.stream().await.unwrap().created, state.created);
}

#[tokio::test]
async fn rolled_up_and_expiring_messages_are_part_of_a_batch() {
    let cluster = NatsCluster::shared();
    let nats = with_stream(&cluster, "records").await;
    let with = |subject: &str, name, value: &str| {
        let mut message = event(subject, "");
        message.headers.push((name, value.into()));
        message
    };
    let state = || with("records.s.a", "Nats-Rollup", "sub");
    let key = || with("records.k.1", "Nats-TTL", "1");
    assert_eq!(nats.write(vec![event("records.e.a", "x"), state(), key()], 0, WAIT).await, Ok(3));
    assert_eq!(nats.write(vec![state()], 3, WAIT).await, Ok(4));
    assert!(nats.leader_message(2).await.unwrap().is_none(), "the older state is gone");
    assert_eq!(nats.leader_last("records.s.a").await.unwrap().unwrap().seq, 4);
    while nats.leader_last("records.k.1").await.unwrap().is_some() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
