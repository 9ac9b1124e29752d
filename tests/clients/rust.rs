//! LaunchDarkly's eventsource-client, the most actively maintained Rust client.

use std::{sync::Arc, thread};

use eventsource_client::{Client as _, ClientBuilder, SSE};
use launchdarkly_sdk_transport::HyperTransport;
use parking_lot::Mutex;
use tokio_stream::StreamExt;

use crate::story::{Client, Heard, Listener};

#[derive(Default)]
struct RustClient {
    heard: Vec<Heard>,
    stopped: bool,
}

impl Listener for Arc<Mutex<RustClient>> {
    fn heard(&mut self) -> Vec<Heard> {
        self.lock().heard.clone()
    }

    fn stopped(&mut self) -> bool {
        self.lock().stopped
    }
}

/// It always reconnects, and leaves it to its user to stop at 204.
async fn listen(url: &str, told: &Mutex<RustClient>) {
    let client = ClientBuilder::for_url(url).unwrap().build_with_transport(HyperTransport::new().unwrap());
    let mut stream = client.stream();
    while let Some(item) = stream.next().await {
        match item {
            Ok(SSE::Connected(details)) if details.response().status() == 204 => break,
            Ok(SSE::Event(event)) => {
                let id = event.id.unwrap_or_default();
                told.lock().heard.push(Heard { event: event.event_type, id, data: event.data });
            }
            Ok(_) | Err(_) => {}
        }
    }
    told.lock().stopped = true;
}

/// As docs/CLIENTS.md has it.
pub(crate) const NAME: &str = "eventsource-client";

/// Starts it.
pub(crate) fn eventsource_client(url: &str) -> Client {
    let told = Arc::<Mutex<RustClient>>::default();
    let (url, listener) = (url.to_owned(), Arc::clone(&told));
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(listen(&url, &listener));
    });
    Client { name: NAME, listener: Box::new(told) }
}
