//! Subscriptions: items of topics, across connections.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use form_urlencoded::Serializer;
use futures_core::{FusedStream, Stream};
use parking_lot::Mutex;
use serde::Serialize;

use crate::{
    ClientError,
    follow::{Followed, Follower},
    items::{Item, decode},
    requests::HubClient,
    sse_parser::{ParseError, SseBlock},
    store::CursorStore,
};

/// When the cursor moves past an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delivery {
    /// After the consumer is done with it, that is when it asks for the next one: an item at which it fails comes again.
    #[default]
    AtLeastOnce,
    /// Before the consumer gets it.
    AtMostOnce,
}

/// What the connection does.
#[derive(Debug)]
#[non_exhaustive]
pub enum Status<'a> {
    /// A request is sent.
    Connecting,
    /// The stream is open.
    Open,
    /// It waits for so long before the next request.
    Waiting {
        /// How long.
        delay: Duration,
        /// Why; `None` after a stream that ended in order.
        reason: Option<&'a ClientError>,
    },
}

type OnStatus = Box<dyn FnMut(Status<'_>) + Send>;

/// How to subscribe: [`Hub::subscribe`](crate::Hub::subscribe) makes one, [`start`](Self::start) begins.
#[must_use = "it does nothing before `start`"]
pub struct Subscribe {
    client: Arc<HubClient>,
    topics: Vec<String>,
    from: Option<String>,
    since: Option<String>,
    cursor: Option<String>,
    store: Option<Arc<dyn CursorStore>>,
    delivery: Delivery,
    on_status: Option<OnStatus>,
}

impl Subscribe {
    pub(crate) fn new(client: Arc<HubClient>, topics: Vec<String>) -> Self {
        let (from, since, cursor, store) = (None, None, None, None);
        Self { client, topics, from, since, cursor, store, delivery: Delivery::default(), on_status: None }
    }

    /// Where to start without a cursor: `earliest`, `now` (the default), `last:100`, or after an id.
    pub fn from(self, position: impl Into<String>) -> Self {
        Self { from: Some(position.into()), ..self }
    }

    /// In place of [`from`](Self::from): a time (RFC 3339), or an age as `10m`.
    pub fn since(self, time: impl Into<String>) -> Self {
        Self { since: Some(time.into()), ..self }
    }

    /// The id after which to resume. It wins over the store's.
    pub fn cursor(self, id: impl Into<String>) -> Self {
        Self { cursor: Some(id.into()), ..self }
    }

    /// Where the cursor is kept.
    pub fn store(self, store: impl CursorStore + 'static) -> Self {
        Self { store: Some(Arc::new(store)), ..self }
    }

    /// When the cursor moves past an item.
    pub fn delivery(self, delivery: Delivery) -> Self {
        Self { delivery, ..self }
    }

    /// Tells what the connection does.
    pub fn on_status(self, told: impl FnMut(Status<'_>) + Send + 'static) -> Self {
        Self { on_status: Some(Box::new(told)), ..self }
    }

    /// Begins. Nothing is sent before the first item is asked for.
    #[must_use]
    pub fn start(self) -> Subscription {
        let Self { client, topics, from, since, cursor, store, delivery, on_status } = self;
        let (target, body) = request(&topics, from.as_deref(), since.as_deref());
        let shown = Arc::new(Mutex::new(cursor.clone()));
        let rules = SubscriptionRules {
            client,
            follower: Follower::new(target, body, cursor),
            blocks: VecDeque::new(),
            store,
            delivery,
            done: None,
            asked: false,
            shown: Arc::clone(&shown),
            on_status,
        };
        Subscription { state: SubscriptionState::Idle(Box::new(rules)), cursor: shown }
    }
}

/// Longest query in a URL, in bytes; longer lists of topics go into a body. Proxies and servers take 4 to 8 KiB of head.
const MAX_QUERY: usize = 2000;

/// The target, and the body of a `POST`. Always with envelopes: they have topic and time.
fn request(topics: &[String], from: Option<&str>, since: Option<&str>) -> (String, Option<Bytes>) {
    #[derive(Serialize)]
    struct SubscribeBody<'a> {
        topics: &'a [String],
        format: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        since: Option<&'a str>,
    }
    let mut query = Serializer::new(String::new());
    query.append_pair("format", "json");
    query.extend_pairs(from.map(|from| ("from", from)));
    query.extend_pairs(since.map(|since| ("since", since)));
    query.extend_pairs(topics.iter().map(|topic| ("topic", topic)));
    let query = query.finish();
    if query.len() <= MAX_QUERY {
        return (format!("/events?{query}"), None);
    }
    let body = SubscribeBody { topics, format: "json", from, since };
    ("/events".into(), Some(serde_json::to_vec(&body).expect("texts").into()))
}

/// Items of topics, across connections: a [`Stream`], which ends when no more events can come, or with an error that no retry can
/// change. Needs a tokio runtime.
///
/// Nothing is read ahead but what came in the same read: a slow consumer makes the hub wait. Dropping it closes the connection.
pub struct Subscription {
    state: SubscriptionState,
    cursor: Arc<Mutex<Option<String>>>,
}

enum SubscriptionState {
    Idle(Box<SubscriptionRules>),
    Busy(SubscriptionStep),
    Ended,
}

/// The wait for the next item. It keeps what it has when a consumer's wait is cancelled.
type SubscriptionStep =
    Pin<Box<dyn Future<Output = (Box<SubscriptionRules>, Result<Option<Item>, ClientError>)> + Send>>;

impl Subscription {
    /// The next item; `None` when no more can come. Cancel safe: no item is lost.
    ///
    /// # Errors
    /// What no retry can change. It is the last item then.
    pub async fn next(&mut self) -> Option<Result<Item, ClientError>> {
        poll_fn(|context| self.poll(context)).await
    }

    /// The id after which it resumes; `None` before the hub has told one.
    #[must_use]
    pub fn cursor(&self) -> Option<String> {
        self.cursor.lock().clone()
    }

    /// Moves the cursor past the last item, as asking for the next one does: before a consumer leaves that is done with it.
    ///
    /// # Errors
    /// The store's.
    pub async fn acknowledge(&mut self) -> Result<(), ClientError> {
        match &mut self.state {
            SubscriptionState::Idle(rules) => rules.settle().await,
            // It was settled when the next one was asked for, or is being settled.
            SubscriptionState::Busy(_) | SubscriptionState::Ended => Ok(()),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Item, ClientError>>> {
        let mut step = match std::mem::replace(&mut self.state, SubscriptionState::Ended) {
            SubscriptionState::Ended => return Poll::Ready(None),
            SubscriptionState::Busy(step) => step,
            SubscriptionState::Idle(mut rules) => Box::pin(async move {
                let item = rules.next().await;
                (rules, item)
            }),
        };
        let Poll::Ready((rules, item)) = step.as_mut().poll(context) else {
            self.state = SubscriptionState::Busy(step);
            return Poll::Pending;
        };
        let item = item.transpose();
        if matches!(item, Some(Ok(_))) {
            self.state = SubscriptionState::Idle(rules);
        }
        Poll::Ready(item)
    }
}

impl Stream for Subscription {
    type Item = Result<Item, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(context)
    }
}

impl FusedStream for Subscription {
    fn is_terminated(&self) -> bool {
        matches!(self.state, SubscriptionState::Ended)
    }
}

/// The rules of a subscription.
struct SubscriptionRules {
    client: Arc<HubClient>,
    follower: Follower,
    /// What has come and is not taken yet.
    blocks: VecDeque<Result<SseBlock, ParseError>>,
    store: Option<Arc<dyn CursorStore>>,
    delivery: Delivery,
    /// The cursor after the item that the consumer has.
    done: Option<String>,
    /// Whether the store was asked.
    asked: bool,
    /// The cursor, for the consumer.
    shown: Arc<Mutex<Option<String>>>,
    on_status: Option<OnStatus>,
}

impl SubscriptionRules {
    async fn next(&mut self) -> Result<Option<Item>, ClientError> {
        self.settle().await?;
        self.ask_store().await?;
        loop {
            while let Some(block) = self.blocks.pop_front() {
                let block = block.map_err(|error| ClientError::NotAHub(error.to_string()))?;
                let item = decode(&block)?;
                match (item, self.delivery) {
                    (None, _) => self.advance(block.id).await?,
                    (Some(item), Delivery::AtLeastOnce) => {
                        self.done = block.id;
                        return Ok(Some(item));
                    }
                    (Some(item), Delivery::AtMostOnce) => {
                        self.advance(block.id).await?;
                        return Ok(Some(item));
                    }
                }
            }
            match self.follower.next(&self.client).await? {
                Followed::Blocks(blocks) => self.blocks.extend(blocks),
                Followed::Complete => return Ok(None),
                Followed::Connecting => self.tell(Status::Connecting),
                Followed::Open => self.tell(Status::Open),
                Followed::Waiting(delay, reason) => self.tell(Status::Waiting { delay, reason: reason.as_ref() }),
            }
        }
    }

    fn tell(&mut self, status: Status<'_>) {
        if let Some(told) = &mut self.on_status {
            told(status);
        }
    }

    /// Moves the cursor past the item that the consumer has: it is done with it.
    async fn settle(&mut self) -> Result<(), ClientError> {
        let done = self.done.take();
        self.advance(done).await
    }

    async fn ask_store(&mut self) -> Result<(), ClientError> {
        if self.asked {
            return Ok(());
        }
        if let (None, Some(store)) = (self.follower.cursor(), &self.store)
            && let Some(cursor) = store.get().await.map_err(ClientError::Store)?
        {
            *self.shown.lock() = Some(cursor.clone());
            self.follower.set_cursor(cursor);
        }
        self.asked = true;
        Ok(())
    }

    async fn advance(&mut self, cursor: Option<String>) -> Result<(), ClientError> {
        let Some(cursor) = cursor.filter(|cursor| !cursor.is_empty()) else { return Ok(()) };
        self.follower.set_cursor(cursor.clone());
        *self.shown.lock() = Some(cursor.clone());
        match &self.store {
            Some(store) => store.set(&cursor).await.map_err(ClientError::Store),
            None => Ok(()),
        }
    }
}
