//! The connection: login, reconnects, and its state.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_nats::{
    Client, ConnectError, ConnectErrorKind, ConnectOptions, Event, HeaderMap, Message, RequestErrorKind,
    connection::State,
};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    sync::{broadcast, watch},
    time::timeout,
};

use super::{
    config::{NatsConfig, NatsCredentials},
    error::NatsError,
    picker::Picker,
};

/// A server that answers nothing is left after two to three of these.
const PING: Duration = Duration::from_secs(1);

/// For TCP, TLS and login with one server. A paused server accepts TCP, and then says nothing.
const ONE_LOGIN: Duration = Duration::from_secs(2);

/// For the first login, with all servers.
const FIRST_LOGIN: Duration = Duration::from_secs(10);

/// Messages that a subscription holds before the client drops further ones. Two pages of [`super::read::MOST`].
const SUBSCRIPTION: usize = 16_384;

/// Commands on their way to the connection: a batch of 1000 messages passes without a wait.
const COMMANDS: usize = 2_048;

/// Permission errors that a slow waiter may fall behind.
const DENIALS: usize = 64;

/// A connection to the cluster, and the names of one stream in it. Cheap to clone. Reconnects by itself, for ever; ends
/// when the last clone is dropped.
#[derive(Clone)]
pub(in crate::engine) struct Nats {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    signals: Arc<Signals>,
    stream: Box<str>,
    prefix: Box<str>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        *self.signals.client.lock() = None;
    }
}

/// What the client tells of itself.
struct Signals {
    /// `None` once nobody uses the connection: the client would keep itself alive.
    client: Mutex<Option<Client>>,
    connected: watch::Sender<bool>,
    /// Changes at each login.
    logins: watch::Sender<()>,
    /// Times that messages of subscriptions may have been missed: lost connections and dropped messages.
    breaks: AtomicU64,
    denials: broadcast::Sender<Arc<str>>,
}

/// A server, as it introduced itself.
#[derive(Clone, Debug)]
pub(in crate::engine) struct ServerFacts {
    pub(in crate::engine) name: String,
    /// As `2.15.1`.
    pub(in crate::engine) version: String,
    /// The largest message, headers included, in bytes.
    pub(in crate::engine) max_payload: usize,
}

impl Nats {
    /// Logs in, at the first of the servers that answers, in random order. Bounded by 10 s.
    ///
    /// # Errors
    /// [`NatsError::Login`] when a server refuses the login, [`NatsError::Setup`] when the configuration cannot be used,
    /// [`NatsError::NoAnswer`] when no server answers. Nothing is repeated in the background.
    pub(in crate::engine) async fn connect(config: &NatsConfig) -> Result<Self, NatsError> {
        let servers = super::picker::addresses(&config.servers)?;
        let signals = Arc::new(Signals::new());
        let picker = Arc::new(Picker::new());
        let options = options(config, &signals, &picker).await?;
        let login = async {
            let mut failed = NatsError::Setup("no NATS server is configured".into());
            for _ in 0..servers.len() {
                match options.clone().connect(servers.as_slice()).await {
                    Ok(client) => return Ok(client),
                    Err(error) => failed = login_error(&error),
                }
                if !matches!(failed, NatsError::NoAnswer(_)) {
                    break;
                }
            }
            Err(failed)
        };
        let client = timeout(FIRST_LOGIN, login)
            .await
            .map_err(|_| NatsError::NoAnswer("no server has completed a login in time".into()))??;
        picker.logged_in();
        *signals.client.lock() = Some(client.clone());
        signals.connected.send_replace(client.connection_state() == State::Connected);
        let inner = Inner { client, signals, stream: config.stream.clone(), prefix: config.prefix.clone() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Whether there is a connection, as far as the client has noticed.
    pub(in crate::engine) fn is_connected(&self) -> bool {
        self.inner.client.connection_state() == State::Connected
    }

    /// The state of [`Nats::is_connected`], and its changes.
    #[cfg(test)]
    pub(in crate::engine) fn connected_changes(&self) -> watch::Receiver<bool> {
        self.inner.signals.connected.subscribe()
    }

    /// Leaves the server, for another one if there is one, and waits for the login there, 3 s at most: what is sent before would be
    /// sent to the old one. Without a connection the client is already looking for a server, and this does nothing.
    pub(in crate::engine) async fn reconnect(&self) {
        if self.is_connected() {
            let mut logins = self.inner.signals.logins.subscribe();
            logins.mark_unchanged();
            // The queue of commands is full while a paused server reads nothing; then the pings end the connection.
            let _ = timeout(PING, self.inner.client.force_reconnect()).await;
            let _ = timeout(ONE_LOGIN, logins.changed()).await;
        }
    }

    /// The server of the connection, or of the last one.
    pub(in crate::engine) fn server(&self) -> ServerFacts {
        let info = self.inner.client.server_info();
        ServerFacts { name: info.server_name, version: info.version, max_payload: info.max_payload }
    }

    /// Messages received so far.
    #[cfg(test)]
    pub(in crate::engine) fn received(&self) -> u64 {
        self.client().statistics().in_messages.load(Ordering::Relaxed)
    }

    pub(super) fn client(&self) -> &Client {
        &self.inner.client
    }

    pub(super) fn stream_name(&self) -> &str {
        &self.inner.stream
    }

    pub(super) fn prefix(&self) -> &str {
        &self.inner.prefix
    }

    /// Grows whenever messages of a subscription may have been missed.
    pub(super) fn breaks(&self) -> u64 {
        self.inner.signals.breaks.load(Ordering::Acquire)
    }

    /// Permission errors from now on.
    pub(super) fn denials(&self) -> Denials {
        Denials(self.inner.signals.denials.subscribe())
    }

    /// A request and its one answer. A status in the answer is the caller's.
    pub(super) async fn ask(
        &self,
        subject: String,
        headers: Option<HeaderMap>,
        payload: Bytes,
        wait: Duration,
    ) -> Result<Message, AskError> {
        let mut denials = self.denials();
        let request = async_nats::Request { payload: Some(payload), headers, timeout: Some(Some(wait)), inbox: None };
        let denied = denials.of(&subject);
        tokio::select! {
            biased;
            answer = self.client().send_request(subject.clone(), request) => answer.map_err(|error| match error.kind() {
                RequestErrorKind::NoResponders => AskError::Nobody,
                RequestErrorKind::InvalidSubject => AskError::Unsendable(format!("{subject:?} is no subject")),
                RequestErrorKind::MaxPayloadExceeded => AskError::TooLarge,
                RequestErrorKind::TimedOut => AskError::Silence(format!("{subject}: nothing for {} ms", wait.as_millis())),
                RequestErrorKind::Other => AskError::Silence(error.to_string()),
            }),
            told = denied => Err(AskError::Denied(told)),
        }
    }
}

/// Why a request has no answer.
#[derive(Debug)]
pub(super) enum AskError {
    /// Nobody has received it.
    Nobody,
    Unsendable(String),
    TooLarge,
    Denied(String),
    /// It may have been received.
    Silence(String),
}

impl From<AskError> for NatsError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Nobody => Self::NoAnswer("nobody listens, or there is no leader now".into()),
            AskError::Unsendable(text) => Self::Setup(text),
            AskError::TooLarge => Self::Setup("the request is larger than the server allows".into()),
            AskError::Denied(text) => Self::Denied(text),
            AskError::Silence(text) => Self::NoAnswer(text),
        }
    }
}

/// Permission errors. The server tells them beside the answers, and names the subject.
pub(super) struct Denials(broadcast::Receiver<Arc<str>>);

impl Denials {
    /// Resolves when the server has denied `subject`.
    pub(super) async fn of(&mut self, subject: &str) -> String {
        let named = format!("\"{subject}\"");
        loop {
            match self.0.recv().await {
                Ok(text) if text.contains(&named) => return text.to_string(),
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

impl Signals {
    fn new() -> Self {
        let (connected, denials) = (watch::channel(false).0, broadcast::channel(DENIALS).0);
        let logins = watch::Sender::new(());
        Self { client: Mutex::new(None), connected, logins, breaks: AtomicU64::new(0), denials }
    }

    /// The client drops an event when 128 wait for this; a change of the connection is noticed with the next one.
    fn heard(&self, event: Event) {
        let state = |client: &Client| client.connection_state() == State::Connected;
        let connected = match &event {
            Event::Connected => true,
            Event::Disconnected | Event::Closed => false,
            _ => self.client.lock().as_ref().is_some_and(state),
        };
        if matches!(event, Event::Connected | Event::Disconnected | Event::SlowConsumer(_)) {
            self.breaks.fetch_add(1, Ordering::Release);
        }
        if matches!(event, Event::Connected) {
            self.logins.send_replace(());
        }
        let is_loss = !matches!(event, Event::Closed);
        if let Event::ServerError(error) = event {
            let text = error.to_string();
            if text.to_ascii_lowercase().contains("permissions violation") {
                let _ = self.denials.send(text.into());
            }
        }
        if self.connected.send_if_modified(|known| std::mem::replace(known, connected) != connected) {
            if connected {
                tracing::info!("connected to NATS");
            } else if is_loss {
                tracing::warn!("the connection to NATS is lost, and is sought again");
            }
        }
    }
}

async fn options(
    config: &NatsConfig,
    signals: &Arc<Signals>,
    picker: &Arc<Picker>,
) -> Result<ConnectOptions, NatsError> {
    let (signals, picker) = (Arc::clone(signals), Arc::clone(picker));
    let unreadable = |path: &std::path::Path, error: std::io::Error| {
        NatsError::Setup(format!("the credentials in {} cannot be read: {error}", path.display()))
    };
    let mut options = match &config.credentials {
        NatsCredentials::None => ConnectOptions::new(),
        NatsCredentials::File(path) => {
            ConnectOptions::with_credentials_file(path).await.map_err(|error| unreadable(path, error))?
        }
        NatsCredentials::NKeySeed(path) => {
            let seed = tokio::fs::read_to_string(path).await.map_err(|error| unreadable(path, error))?;
            ConnectOptions::with_nkey(seed.trim().into())
        }
        NatsCredentials::UserPassword { user, password } => {
            ConnectOptions::with_user_and_password(user.clone(), password.clone())
        }
        NatsCredentials::Token(token) => ConnectOptions::with_token(token.clone()),
    };
    if let Some(roots) = &config.roots {
        options = options.add_root_certificates(roots.clone()).require_tls(true);
    }
    Ok(options
        .name(&config.client_name)
        .ping_interval(PING)
        .connection_timeout(ONE_LOGIN)
        .subscription_capacity(SUBSCRIPTION)
        .client_capacity(COMMANDS)
        .max_reconnects(None)
        .event_callback(move |event| {
            signals.heard(event);
            std::future::ready(())
        })
        .reconnect_to_server_callback(move |pool, _| std::future::ready(picker.pick(pool))))
}

fn login_error(error: &ConnectError) -> NatsError {
    let text = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ");
    match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => NatsError::Login(text),
        ConnectErrorKind::ServerParse | ConnectErrorKind::Tls => NatsError::Setup(text),
        _ => NatsError::NoAnswer(text),
    }
}
