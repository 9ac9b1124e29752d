//! Publishing.

use std::{pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::{
    Method,
    header::{self, HeaderMap, HeaderValue},
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{
    ClientError,
    connection::{HubConnection, HubRequest, KeptConnection},
    delivery::{Delivered, GiveUp, RetryRules, Undelivered, WINDOW, deliver},
    requests::HubClient,
};

/// The data of an event.
#[derive(Debug, Clone)]
pub enum Data {
    /// A text, which is published as it is.
    Text(String),
    /// JSON, whose text is published.
    Json(Box<RawValue>),
}

impl Data {
    /// `value` as JSON.
    ///
    /// # Errors
    /// When JSON cannot express it.
    pub fn json(value: &(impl Serialize + ?Sized)) -> Result<Self, ClientError> {
        Ok(Self::Json(serde_json::value::to_raw_value(value)?))
    }
}

impl From<&str> for Data {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Data {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<serde_json::Value> for Data {
    fn from(value: serde_json::Value) -> Self {
        Self::json(&value).expect("a value is JSON")
    }
}

impl Serialize for Data {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::Json(json) => json.serialize(serializer),
        }
    }
}

/// An event to publish.
#[derive(Debug, Clone, Serialize)]
#[must_use = "it is published by `Hub::publish` or `Hub::publish_batch`"]
pub struct NewEvent {
    topic: String,
    data: Data,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    close: bool,
}

impl NewEvent {
    /// An event of `topic` without a name.
    pub fn new(topic: impl Into<String>, data: impl Into<Data>) -> Self {
        Self { topic: topic.into(), data: data.into(), event: None, retry: None, close: false }
    }

    /// Its name.
    pub fn event(self, name: impl Into<String>) -> Self {
        Self { event: Some(name.into()), ..self }
    }

    /// How long its readers shall wait before they reconnect. Counted in milliseconds.
    pub fn retry(self, delay: Duration) -> Self {
        Self { retry: Some(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)), ..self }
    }

    /// It is the topic's last event.
    pub fn close(self) -> Self {
        Self { close: true, ..self }
    }

    pub(crate) fn encode(&self) -> Result<Bytes, ClientError> {
        Ok(serde_json::to_vec(self)?.into())
    }
}

/// The event is durable.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Receipt {
    /// Its topic.
    pub topic: String,
    /// Its id.
    pub id: String,
    /// RFC 3339, in UTC.
    pub time: String,
    /// The open streams that it goes to.
    pub subscribers: u64,
}

#[derive(Deserialize)]
struct Receipts {
    events: Vec<Receipt>,
}

/// One publish. Awaiting it sends it, again and again with the same `Idempotency-Key`, until its outcome is known: after a
/// failure of the network, and when the hub asks to wait. Dropping the future leaves open whether it was published.
#[must_use = "nothing is sent before it is awaited"]
pub struct Publish<T> {
    pub(crate) sender: Sender,
    pub(crate) body: Result<Bytes, ClientError>,
    pub(crate) options: PublishOptions,
    pub(crate) read: fn(&Delivered) -> Result<T, ClientError>,
}

/// Where publishes go.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) client: Arc<HubClient>,
    /// A connection that is not in use.
    pub(crate) idle: Arc<Mutex<Option<KeptConnection>>>,
}

#[derive(Clone)]
pub(crate) struct PublishOptions {
    pub(crate) key: Option<String>,
    pub(crate) if_match: Option<String>,
    pub(crate) give_up_after: Duration,
}

impl Default for PublishOptions {
    fn default() -> Self {
        Self { key: None, if_match: None, give_up_after: WINDOW }
    }
}

impl<T> Publish<T> {
    /// The `Idempotency-Key` in place of a random one.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.options.key = Some(key.into());
        self
    }

    /// Publishes only if this id is the topic's last one; with `none` only if the topic has no event.
    pub fn if_match(mut self, id: impl Into<String>) -> Self {
        self.options.if_match = Some(id.into());
        self
    }

    /// How long to try. It must be shorter than the hub remembers keys, `publish.idempotency_window`: 9 minutes where that is the
    /// default of 10.
    pub fn give_up_after(mut self, time: Duration) -> Self {
        self.options.give_up_after = time;
        self
    }

    async fn send(self) -> Result<T, ClientError> {
        let mut connection = HubConnection::with(&self.sender.client, self.sender.idle.lock().take());
        let outcome = publish(&mut connection, self.body?, &self.options, self.read).await;
        *self.sender.idle.lock() = connection.into_kept();
        outcome
    }
}

impl<T: Send + 'static> IntoFuture for Publish<T> {
    type Output = Result<T, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// Publishes a body, and reads the response by `read`.
pub(crate) async fn publish<T>(
    connection: &mut HubConnection<'_, crate::requests::connector::HubConnector>,
    body: Bytes,
    options: &PublishOptions,
    read: fn(&Delivered) -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    let key = options.key.clone().map_or_else(random_key, Ok)?;
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("idempotency-key", plain(&key, "a key has a character that no header may have")?);
    if let Some(id) = &options.if_match {
        headers
            .insert(header::IF_MATCH, plain(&format!("\"{id}\""), "if_match has a character that no header may have")?);
    }
    let request = HubRequest { method: Method::POST, target: "/publish".into(), headers, body };
    let rules = RetryRules { give_up: GiveUp::After(options.give_up_after), awaits_first: true };
    let undelivered = |Undelivered { cause, is_uncertain }| {
        if is_uncertain { ClientError::Uncertain { key: key.clone(), cause: Box::new(cause) } } else { cause }
    };
    let delivered = deliver(connection, &request, rules, |_, _| {}).await.map_err(undelivered)?;
    read(&delivered).map_err(|cause| undelivered(Undelivered { cause, is_uncertain: delivered.was_uncertain }))
}

/// A value for a header. One that cannot be sent is an error of the caller, not of the network.
fn plain(text: &str, wrong: &'static str) -> Result<HeaderValue, ClientError> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    HeaderValue::from_str(text).ok().filter(|_| is_plain).ok_or(ClientError::Option(wrong))
}

/// A random key.
///
/// # Errors
/// When the system has no random numbers.
pub fn random_key() -> Result<String, ClientError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| ClientError::Random(error.into()))?;
    Ok(format!("gapless-{:032x}", u128::from_be_bytes(random)))
}

pub(crate) fn receipt(delivered: &Delivered) -> Result<Receipt, ClientError> {
    parse(delivered, "its response to a publish is not a receipt")
}

pub(crate) fn receipts(delivered: &Delivered) -> Result<Vec<Receipt>, ClientError> {
    let receipts: Receipts = parse(delivered, "its response to a batch is not a list of receipts")?;
    Ok(receipts.events)
}

fn parse<T: DeserializeOwned>(delivered: &Delivered, wrong: &str) -> Result<T, ClientError> {
    let parsed = Some(&delivered.body).filter(|_| delivered.is_json).map(|body| serde_json::from_slice(body));
    match parsed {
        Some(Ok(parsed)) => Ok(parsed),
        _ => Err(ClientError::NotAHub(wrong.into())),
    }
}

/// The body of a batch: a JSON array, also for a single event.
pub(crate) fn array<'a>(envelopes: impl Iterator<Item = &'a Bytes>) -> Bytes {
    let mut body = vec![b'['];
    for (at, envelope) in envelopes.enumerate() {
        if at > 0 {
            body.push(b',');
        }
        body.extend_from_slice(envelope);
    }
    body.push(b']');
    body.into()
}
