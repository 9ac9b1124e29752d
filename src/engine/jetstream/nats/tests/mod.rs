//! Against the real server: three nodes on loopback.

use std::time::Duration;

use bytes::Bytes;

use super::{Nats, NatsConfig, NatsCredentials, Outgoing, StreamSettings};
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
    let state = nats.create_stream(&StreamSettings { replicas: 3, max_bytes: None }).await.unwrap();
    assert_eq!(state.last, 0);
    nats
}

fn event(subject: impl Into<String>, payload: impl Into<Bytes>) -> Outgoing {
    Outgoing { subject: subject.into(), headers: vec![("Gl", "1 t=5".into())], payload: payload.into() }
}

fn events(prefix: &str, count: usize) -> Vec<Outgoing> {
    (0..count).map(|index| event(format!("{prefix}.e.t{}", index % 16), format!("data {index}"))).collect()
}
