//! A straightforward hub: axum's `Sse` over a broadcast channel for each topic, with its keepalive.
//!
//! It keeps nothing, and a stream that falls 1,024 events behind loses some without notice.

#![expect(clippy::disallowed_types, reason = "std's mutex, as anyone would write it")]

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    extract::{Query, State},
    response::sse::{Event, KeepAlive, Sse},
    routing::{get, post},
};
use tokio::{net::TcpSocket, sync::broadcast};
use tokio_stream::{Stream, StreamExt, wrappers::BroadcastStream};

/// Events that a topic holds for its slow readers.
const CAPACITY: usize = 1024;

#[derive(Default)]
struct Hub {
    topics: Mutex<HashMap<String, broadcast::Sender<(u64, String)>>>,
    seq: AtomicU64,
}

impl Hub {
    fn topic(&self, name: &str) -> broadcast::Sender<(u64, String)> {
        let mut topics = self.topics.lock().expect("nobody panics");
        match topics.get(name) {
            Some(sender) => sender.clone(),
            None => topics.entry(name.to_owned()).or_insert_with(|| broadcast::channel(CAPACITY).0).clone(),
        }
    }
}

type Asked = Query<HashMap<String, String>>;

async fn publish(State(hub): State<Arc<Hub>>, Query(query): Asked, data: String) -> String {
    let seq = hub.seq.fetch_add(1, Ordering::Relaxed) + 1;
    // It is no error that there are no subscribers.
    let _ = hub.topic(&query["topic"]).send((seq, data));
    format!("{{\"id\":\"naiv-{seq}\"}}")
}

async fn events(
    State(hub): State<Arc<Hub>>,
    Query(query): Asked,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = BroadcastStream::new(hub.topic(&query["topic"]).subscribe());
    let events =
        events.filter_map(Result::ok).map(|(seq, data)| Ok(Event::default().id(format!("naiv-{seq}")).data(data)));
    Sse::new(events).keep_alive(KeepAlive::default())
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let listener = socket.listen(4096)?;
    println!("naive_axum listening on http://{}", listener.local_addr()?);
    let app = Router::new().route("/publish", post(publish)).route("/events", get(events));
    axum::serve(listener, app.with_state(Arc::default())).await
}
