//! A hub.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::{
    ClientError,
    delivery::WINDOW,
    publish::{Data, NewEvent, Publish, PublishOptions, Receipt, Sender, array, receipt, receipts},
    requests::{
        HubClient,
        address::HubAddress,
        connector::HubConnector,
        credential::{Credential, TokenFailure},
    },
    stream::PublishStream,
    subscribe::Subscribe,
};

/// A hub with one credential. Cheap to clone. It connects when something is sent.
#[derive(Clone)]
pub struct Hub {
    sender: Sender,
}

/// What a [`Hub`] is made of.
#[must_use = "`build` makes the hub"]
pub struct HubBuilder {
    url: String,
    token: TokenSource,
    ca: Option<PathBuf>,
    insecure_token: bool,
}

enum TokenSource {
    Nothing,
    Text(String),
    File(PathBuf),
    Credential(Credential),
}

impl Hub {
    /// The hub at `url`, without a token: `http://`, `https://`, or `unix:/` and the path of its socket.
    ///
    /// # Errors
    /// When it is not the URL of a hub, or, for https, this machine trusts no certificates.
    pub fn new(url: &str) -> Result<Self, ClientError> {
        Self::builder(url).build()
    }

    /// The hub at `url`, with options.
    pub fn builder(url: &str) -> HubBuilder {
        HubBuilder { url: url.into(), token: TokenSource::Nothing, ca: None, insecure_token: false }
    }

    /// Subscribes to topics and patterns.
    pub fn subscribe<T: Into<String>>(&self, topics: impl IntoIterator<Item = T>) -> Subscribe {
        Subscribe::new(Arc::clone(&self.sender.client), topics.into_iter().map(Into::into).collect())
    }

    /// Publishes one event.
    pub fn publish(&self, event: impl Into<NewEvent>) -> Publish<Receipt> {
        self.publishing(event.into().encode(), receipt)
    }

    /// Publishes several events as one commit: all or nothing, in order.
    pub fn publish_batch(&self, events: impl IntoIterator<Item = NewEvent>) -> Publish<Vec<Receipt>> {
        let envelopes: Result<Vec<_>, _> = events.into_iter().map(|event| event.encode()).collect();
        self.publishing(envelopes.map(|envelopes| array(envelopes.iter())), receipts)
    }

    /// Opens a stream of events to one topic, such as tokens. Each of its batches is tried for 9 minutes. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the system has no random numbers for its keys.
    pub fn stream(&self, topic: impl Into<String>) -> Result<PublishStream, ClientError> {
        self.stream_for(topic, WINDOW)
    }

    /// As [`stream`](Self::stream), with another time for each batch. It must be shorter than the hub remembers keys.
    ///
    /// # Errors
    /// As [`stream`](Self::stream).
    pub fn stream_for(&self, topic: impl Into<String>, give_up_after: Duration) -> Result<PublishStream, ClientError> {
        PublishStream::open(self.sender.clone(), topic.into(), give_up_after)
    }

    fn publishing<T>(
        &self,
        body: Result<bytes::Bytes, ClientError>,
        read: fn(&crate::delivery::Delivered) -> Result<T, ClientError>,
    ) -> Publish<T> {
        Publish { sender: self.sender.clone(), body, options: PublishOptions::default(), read }
    }
}

impl<T: Into<String>, D: Into<Data>> From<(T, D)> for NewEvent {
    /// A topic and data.
    fn from((topic, data): (T, D)) -> Self {
        Self::new(topic, data)
    }
}

impl HubBuilder {
    /// A bearer token.
    pub fn token(self, token: impl Into<String>) -> Self {
        Self { token: TokenSource::Text(token.into()), ..self }
    }

    /// The file of a token, which is read for each request, so that it can be replaced.
    pub fn token_file(self, file: impl Into<PathBuf>) -> Self {
        Self { token: TokenSource::File(file.into()), ..self }
    }

    /// A function that gets a token. It is called for the first request, and again when the hub answers 401: once, then 401 is
    /// an error.
    pub fn token_function<F, R>(self, function: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<String, TokenFailure>> + Send + 'static,
    {
        let function = Arc::new(move || Box::pin(function()) as _);
        Self { token: TokenSource::Credential(Credential::function(function)), ..self }
    }

    /// Trusts the certificates in this PEM file in addition to the system's.
    pub fn ca(self, file: impl Into<PathBuf>) -> Self {
        Self { ca: Some(file.into()), ..self }
    }

    /// Sends the token unencrypted, over http:// to another machine.
    pub fn insecure_token(self) -> Self {
        Self { insecure_token: true, ..self }
    }

    /// The hub. Reads the files of the token and of the certificates; does not connect.
    ///
    /// # Errors
    /// When the URL, the token, the certificates or the proxy of the environment cannot be used.
    pub fn build(self) -> Result<Hub, ClientError> {
        let credential = match self.token {
            TokenSource::Nothing => Credential::none(),
            TokenSource::Text(token) => Credential::fixed("the hub", token.as_bytes())?,
            TokenSource::File(file) => Credential::file(&file)?,
            TokenSource::Credential(credential) => credential,
        };
        let address = HubAddress::parse(&self.url)?;
        let connector = HubConnector::new(&address, self.ca.as_deref().map(Path::new))?;
        let client = HubClient::of(&self.url, &address, connector, credential, self.insecure_token)?;
        Ok(Hub { sender: Sender { client: Arc::new(client), idle: Arc::default() } })
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sender.client.fmt(f)
    }
}
