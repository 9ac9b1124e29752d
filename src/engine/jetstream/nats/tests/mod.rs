//! Against the real server: three nodes on loopback.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Nats, NatsConfig, NatsCredentials, Outgoing, StreamSettings, WriteError};
use crate::engine::jetstream::nats_cluster::NatsCluster;

mod failures;
mod login;
mod reading;
mod writing;

/// For a write on a busy machine: elections take up to 10 s.
const WAIT: Duration = Duration::from_secs(15);

/// What a client of the cluster needs, with a stream of its own.
fn config(urls: Vec<String>, name: &str) -> NatsConfig {
    NatsConfig {
        servers: urls,
        credentials: NatsCredentials::None,
        roots: None,
        client_name: "gapless test".into(),
        stream: name.to_uppercase().into(),
        prefix: name.into(),
    }
}

/// A client of the cluster, with a stream of three replicas that was created for it.
async fn with_stream(cluster: &NatsCluster, name: &str) -> Nats {
    let nats = Nats::connect(&config(cluster.urls(), name)).await.unwrap();
    created(&nats, None).await;
    nats
}

/// Creates the stream, and waits until the server of the client knows where its leader is.
async fn created(nats: &Nats, max_bytes: Option<u64>) {
    let settings = StreamSettings { replicas: 3, max_bytes };
    let deadline = Instant::now() + Duration::from_secs(30);
    let state = loop {
        match nats.create_stream(&settings).await {
            Ok(state) => break state,
            // In its first seconds a cluster may elect another meta leader.
            Err(error) => assert!(Instant::now() < deadline, "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(state.last, 0);
    let probe = || event(format!("{}.probe", nats.prefix()), "");
    while let Err(error) = nats.write(vec![probe()], 1_000_000, WAIT).await {
        match error {
            WriteError::WrongLast => return,
            WriteError::NotNow(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            error => panic!("{error:?}"),
        }
    }
}

fn event(subject: impl Into<String>, payload: impl Into<Bytes>) -> Outgoing {
    Outgoing { subject: subject.into(), headers: vec![("Gl", "1 t=5".into())], payload: payload.into() }
}

fn events(prefix: &str, count: usize) -> Vec<Outgoing> {
    (0..count).map(|index| event(format!("{prefix}.e.t{}", index % 16), format!("data {index}"))).collect()
}
