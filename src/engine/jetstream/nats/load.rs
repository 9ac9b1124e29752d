//! The newest message of every subject, by a consumer that lives only for it.

use std::time::Duration;

use async_nats::{Message, Subscriber};
use serde::{Deserialize, Serialize};
use tokio_stream::StreamExt;

use super::{
    client::{Denials, Nats},
    error::NatsError,
    message::{Headers, Stored},
    read::{MOST, refused, status},
};

/// Messages asked for at once. Two requests are under way, so that the server never waits for us: see [`MOST`].
const PORTION: u64 = MOST as u64 / 2;

/// A request ends then, and the server forgets it.
const EXPIRES: Duration = Duration::from_secs(30);

/// Between signs of life of a consumer that has nothing to send.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Without a message or a heartbeat the consumer is gone.
const SILENCE: Duration = Duration::from_secs(3);

/// The server forgets the consumer when nobody asks for so long.
const ABANDONED: Duration = Duration::from_secs(30);

/// A consumer is lost when its server is; elections take up to 10 s, in which each attempt fails within 5 s.
const ATTEMPTS: usize = 5;

/// Status of an answer: heartbeat, no messages, expired.
const ALIVE: u16 = 100;
const NONE: u16 = 404;
const EXPIRED: u16 = 408;

#[derive(Serialize)]
struct Create<'a> {
    stream_name: &'a str,
    config: ConsumerConfig<'a>,
    action: &'static str,
}

#[derive(Serialize)]
struct ConsumerConfig<'a> {
    name: &'a str,
    deliver_policy: &'static str,
    ack_policy: &'static str,
    replay_policy: &'static str,
    filter_subject: &'a str,
    headers_only: bool,
    inactive_threshold: u128,
    num_replicas: u8,
    mem_storage: bool,
}

#[derive(Deserialize)]
struct Created {
    #[serde(default)]
    num_pending: u64,
}

#[derive(Serialize)]
struct NextBody {
    batch: u64,
    expires: u128,
    idle_heartbeat: u128,
}

/// A consumer that is being read.
struct ConsumerReading {
    /// The subject of requests for messages.
    next: String,
    inbox: String,
    answers: Subscriber,
    denials: Denials,
    /// Messages asked for and not here yet.
    asked: u64,
    /// Number of the last delivery; they are dense.
    delivered: u64,
}

impl Nats {
    /// Calls `each` with the newest message of every subject that `filter` matches, in ascending order of positions, and
    /// with those that are stored meanwhile, until none is left. Returns the highest position seen: every message of the
    /// filter at or below it was given or is not the newest of its subject. 0 when there is none.
    ///
    /// Begins again when the consumer is lost: then a subject comes again, with the same message or a newer one, and a
    /// reader keeps the highest position. Bounded by 3 s without a message, and by 5 attempts.
    pub(in crate::engine) async fn last_per_subject(
        &self,
        filter: &str,
        headers_only: bool,
        mut each: impl FnMut(Stored),
    ) -> Result<u64, NatsError> {
        let mut attempt = 1;
        loop {
            let name = format!("load_{:016x}", fastrand::u64(..));
            let result = self.load(&name, filter, headers_only, &mut each).await;
            let path = format!("CONSUMER.DELETE.{}.{name}", self.stream_name());
            match result {
                Ok(reached) => {
                    // The server does it too, later. Nothing depends on the answer.
                    let _ = self.publish(&format!("$JS.API.{path}"), bytes::Bytes::new()).await;
                    return Ok(reached);
                }
                Err(error @ (NatsError::NoAnswer(_) | NatsError::Refused { .. })) if attempt < ATTEMPTS => {
                    tracing::debug!(%error, attempt, "the consumer was lost");
                    attempt += 1;
                    tokio::time::sleep(HEARTBEAT).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn load(
        &self,
        name: &str,
        filter: &str,
        headers_only: bool,
        each: &mut impl FnMut(Stored),
    ) -> Result<u64, NatsError> {
        let config = ConsumerConfig {
            name,
            deliver_policy: "last_per_subject",
            ack_policy: "none",
            replay_policy: "instant",
            filter_subject: filter,
            headers_only,
            inactive_threshold: ABANDONED.as_nanos(),
            num_replicas: 1,
            mem_storage: true,
        };
        let create = Create { stream_name: self.stream_name(), config, action: "create" };
        let created: Created =
            self.api(&format!("CONSUMER.CREATE.{}.{name}.{filter}", self.stream_name()), &create).await?;
        if created.num_pending == 0 {
            return Ok(0);
        }
        let inbox = self.client().new_inbox();
        let (denials, answers) = (self.denials(), self.subscriber(&inbox).await?);
        let next = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{name}", self.stream_name());
        let mut reading = ConsumerReading { next, inbox, answers, denials, asked: 0, delivered: 0 };
        loop {
            if reading.asked < PORTION {
                reading.ask(self).await?;
            }
            let message = reading.answer().await?;
            match status(&message) {
                None => {
                    let (stored, pending) = reading.delivery(message)?;
                    let seq = stored.seq;
                    each(stored);
                    if pending == 0 {
                        return Ok(seq);
                    }
                }
                Some(ALIVE) => {}
                // One request has ended; the others are asked for again.
                Some(NONE | EXPIRED) => reading.asked = 0,
                Some(code) => return Err(refused(code, &message)),
            }
        }
    }
}

impl ConsumerReading {
    async fn ask(&mut self, nats: &Nats) -> Result<(), NatsError> {
        let body = NextBody { batch: PORTION, expires: EXPIRES.as_nanos(), idle_heartbeat: HEARTBEAT.as_nanos() };
        let body = serde_json::to_vec(&body).map_err(|error| NatsError::Setup(error.to_string()))?;
        let sent = nats.client().publish_with_reply(self.next.clone(), self.inbox.clone(), body.into());
        silent(sent).await?.map_err(|error| NatsError::Setup(error.to_string()))?;
        self.asked += PORTION;
        Ok(())
    }

    async fn answer(&mut self) -> Result<Message, NatsError> {
        let answer = tokio::select! {
            biased;
            answer = silent(self.answers.next()) => answer?,
            told = self.denials.of(&self.next) => return Err(NatsError::Denied(told)),
        };
        answer.ok_or_else(|| NatsError::NoAnswer("the connection has ended".into()))
    }

    /// A delivered message, and the number of those behind it. Its place is in the subject for acknowledgements:
    /// `$JS.ACK.<stream>.<consumer>.<deliveries>.<position>.<delivery>.<time>.<pending>`, in which a domain and an
    /// account may stand before the stream, and a random token at the end.
    fn delivery(&mut self, message: Message) -> Result<(Stored, u64), NatsError> {
        let malformed = || NatsError::Malformed("a delivered message without its place".into());
        let reply = message.reply.as_ref().ok_or_else(malformed)?;
        let tokens: Vec<&str> = reply.split('.').collect();
        let places = match tokens.len() {
            9 => &tokens[5..9],
            11.. => &tokens[7..11],
            _ => return Err(malformed()),
        };
        let numbers: Vec<u64> = places.iter().filter_map(|token| token.parse().ok()).collect();
        let [seq, delivery, time, pending] = numbers[..] else { return Err(malformed()) };
        if delivery != self.delivered + 1 {
            return Err(NatsError::NoAnswer("a message of the consumer was lost on the way".into()));
        }
        self.delivered = delivery;
        self.asked = self.asked.saturating_sub(1);
        let headers = Headers::from(message.headers.unwrap_or_default());
        Ok((Stored::new(message.subject.into_string(), seq, time, headers, message.payload), pending))
    }
}

/// Waits for [`SILENCE`].
async fn silent<F: Future>(future: F) -> Result<F::Output, NatsError> {
    let gone = |_| NatsError::NoAnswer(format!("the consumer has been silent for {} s", SILENCE.as_secs()));
    tokio::time::timeout(SILENCE, future).await.map_err(gone)
}
