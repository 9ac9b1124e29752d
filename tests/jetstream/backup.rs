//! What `nats stream backup` and `nats stream restore` do, by the API that they use.

use std::time::Duration;

use async_nats::Client;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_stream::StreamExt as _;

/// For the next piece of a backup.
const PIECE: Duration = Duration::from_secs(10);

/// What a backup keeps of a stream.
pub(crate) struct Backup {
    config: Value,
    state: Value,
    pieces: Vec<Bytes>,
}

impl Backup {
    /// Backs a stream up.
    pub(crate) async fn of(client: &Client, stream: &str) -> Self {
        let subject = client.new_inbox();
        let mut arriving = client.subscribe(subject.clone()).await.unwrap();
        let about = api(client, &format!("STREAM.SNAPSHOT.{stream}"), &json!({ "deliver_subject": subject })).await;
        let mut pieces = Vec::new();
        loop {
            let piece = timeout(PIECE, arriving.next()).await.unwrap().unwrap();
            if piece.payload.is_empty() {
                assert!(piece.status.is_none_or(|status| status.as_u16() == 204), "{piece:?}");
                return Self { config: about["config"].clone(), state: about["state"].clone(), pieces };
            }
            pieces.push(piece.payload);
            if let Some(reply) = piece.reply {
                client.publish(reply, Bytes::new()).await.unwrap();
            }
        }
    }

    /// Restores the stream, which must not be there.
    pub(crate) async fn restore(&self, client: &Client) {
        let name = self.config["name"].as_str().unwrap();
        let about = json!({ "config": self.config, "state": self.state });
        let begun = api(client, &format!("STREAM.RESTORE.{name}"), &about).await;
        let subject = begun["deliver_subject"].as_str().unwrap_or_else(|| panic!("{begun}"));
        for piece in &self.pieces {
            let answer = client.request(subject.to_owned(), piece.clone()).await.unwrap().payload;
            assert!(answer.is_empty() || answer.starts_with(b"+"), "{answer:?}");
        }
        let made = client.request(subject.to_owned(), Bytes::new()).await.unwrap().payload;
        let made: Value = serde_json::from_slice(&made).unwrap();
        assert!(made["error"].is_null(), "{made}");
    }
}

/// A request to `$JS.API`, which must succeed.
pub(crate) async fn api(client: &Client, name: &str, body: &Value) -> Value {
    let answer = client.request(format!("$JS.API.{name}"), body.to_string().into()).await.unwrap().payload;
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert!(answer["error"].is_null(), "{name}: {answer}");
    answer
}
