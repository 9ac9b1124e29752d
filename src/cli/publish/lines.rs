//! Publishes lines of stdin: waiting lines are sent as one batch, one batch after the other, so that their order is
//! kept.
//!
//! Each batch has its own `Idempotency-Key`. When its outcome is unknown (the connection broke, the hub was killed),
//! the same request is sent again: a hub that has already processed it answers with the same receipts and adds
//! nothing. While a batch is in flight, the next lines collect, so a slow hub results in larger batches. A line
//! is not delayed to fill a batch, unless many batches were sent shortly before ([`pace`](super::pace)).

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use form_urlencoded::Serializer;
use hyper::{
    Method,
    header::{self, HeaderMap, HeaderValue},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep};

use super::{
    args::PublishArgs,
    batch::{self, BatchLine, LineFormat},
    bounds::{MAX_BYTES, MAX_LINES},
    close,
    connection::{HubConnection, HubResponse, PATH, RequestFailure},
    files::PublishedCount,
    input::InputLines,
    ledger::Ledger,
    pace::Pace,
};
use crate::cli::{
    CliError,
    client::{Dial, HubClient},
    delay,
    output::print_error,
    problem::HubProblem,
    progress::beside,
};
use crate::progress::WorkProgress;

/// How long a batch that may have been published is sent again: the default `publish.idempotency_window` of ten
/// minutes, less one for the duration of a request. After that the hub may have forgotten the key. A hub may be
/// configured with a shorter window.
const WINDOW: Duration = Duration::from_mins(9);

/// First delay before a retry; it doubles, see [`delay::next`]. A hub restarts within seconds.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Publishes lines in batches.
struct LineSender<'a, D: Dial, O> {
    connection: HubConnection<'a, D>,
    target: String,
    form: LineFormat,
    lines: InputLines,
    /// Number of lines read.
    read: u64,
    /// Lines that are read, but not yet sent.
    waiting: VecDeque<BatchLine>,
    ledger: Ledger,
    count: PublishedCount,
    /// Random prefix of all Idempotency-Keys of this process.
    key_prefix: String,
    /// Number of batches so far; part of their keys.
    batches: u64,
    pace: Pace,
    /// Most lines of the next batch: fewer after a batch was refused because of a line that the hub did not name.
    max_lines: usize,
    out: &'a mut O,
}

/// The response to a batch.
#[derive(Deserialize)]
struct BatchReceipts<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

/// The outcome of an attempt to send a batch.
enum SendOutcome {
    /// The batch is published, or its lines are back in the queue with the refused one marked.
    Settled,
    /// Nothing was published. The batch can be sent again, at the earliest after this long.
    NotPublished(CliError, Duration),
    /// It may have been published. It can be sent again, at the earliest after this long.
    Unknown(CliError, Duration),
    /// Nothing was published, and a retry cannot succeed.
    Fatal(CliError),
}

/// Publishes `lines` as they arrive. Prints each receipt when it arrives, and reports refused lines.
pub(super) async fn publish<D: Dial>(
    hub: &HubClient<D>,
    args: &PublishArgs,
    lines: InputLines,
    progress: Option<Arc<WorkProgress>>,
    out: &mut impl io::Write,
) -> Result<(), CliError> {
    let mut query = Serializer::for_suffix(String::from(PATH), PATH.len());
    query.extend_pairs(args.event.iter().map(|name| ("event", name)));
    query.extend_pairs(args.retry.iter().map(|retry| ("retry", retry.to_string())));
    let mut sender = LineSender {
        connection: HubConnection::new(hub),
        target: query.finish().trim_end_matches('?').into(),
        form: LineFormat(args.topic.clone()),
        read: 0,
        waiting: VecDeque::new(),
        ledger: Ledger::new(lines.noun()),
        count: PublishedCount::new(progress),
        lines,
        key_prefix: random_key_prefix()?,
        batches: 0,
        pace: Pace::new(),
        max_lines: MAX_LINES,
        out,
    };
    sender.send_all().await?;
    match (&args.topic, sender.ledger.is_clean()) {
        (_, false) => Err(CliError::Unconfirmed(sender.ledger.refusal_report())),
        (Some(topic), true) if args.close => sender.close(topic).await,
        _ => Ok(()),
    }
}

/// A random prefix for the keys of this process.
fn random_key_prefix() -> Result<String, CliError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| CliError::Input(error.into()))?;
    Ok(format!("gapless-{:032x}", u128::from_be_bytes(random)))
}

impl<D: Dial, O: io::Write> LineSender<'_, D, O> {
    async fn send_all(&mut self) -> Result<(), CliError> {
        loop {
            self.gather();
            match self.waiting.front() {
                Some(BatchLine { envelope: Err(_), .. }) => self.refuse_first(),
                Some(_) => {
                    if !self.is_full() {
                        sleep(self.pace.wait()).await;
                        self.gather();
                    }
                    self.pace.record();
                    let batch = batch::take_batch(&mut self.waiting, self.max_lines);
                    self.deliver(batch).await?;
                }
                None => match self.lines.end() {
                    Some(Ok(())) => return Ok(()),
                    Some(Err(error)) => {
                        let why = format!("{}", CliError::Input(error));
                        return Err(CliError::Unconfirmed(self.ledger.early_end_report(&why, None)));
                    }
                    None => self.lines.ready().await,
                },
            }
        }
    }

    /// Moves lines that were read into `waiting`, up to a full batch.
    fn gather(&mut self) {
        let mut bytes: usize = self.waiting.iter().map(size).sum();
        while self.waiting.len() < MAX_LINES
            && bytes < MAX_BYTES
            && let Some(line) = self.lines.pop()
        {
            self.read += 1;
            let length = line.as_ref().map_or(0, |line| line.len() as u64 + 1);
            match self.form.convert(self.read, line, || self.lines.place(self.read)) {
                Some(item) => {
                    bytes += size(&item);
                    self.waiting.push_back(item);
                }
                None => self.count.add(0, length, || self.lines.file(self.read)),
            }
        }
    }

    /// Whether a full batch is waiting.
    fn is_full(&self) -> bool {
        self.waiting.len() >= MAX_LINES || self.waiting.iter().map(size).sum::<usize>() >= MAX_BYTES
    }

    fn refuse_first(&mut self) {
        if let Some(BatchLine { number, length, envelope: Err(problem) }) = self.waiting.pop_front() {
            self.ledger.refuse(number);
            let place = self.lines.place(number);
            beside(|| print_error(format_args!("{place}: {problem}")));
            self.count.add(0, length, || self.lines.file(number));
        }
    }

    /// Sends `batch` until its outcome is known.
    async fn deliver(&mut self, batch: Vec<BatchLine>) -> Result<(), CliError> {
        self.batches += 1;
        let key = format!("{}-{}", self.key_prefix, self.batches);
        let (mut doubtful, mut failures) = (None, 0);
        loop {
            let sent = Instant::now();
            let outcome = self.attempt(&batch, &key, doubtful.is_some()).await?;
            if self.connection.was_resent() || matches!(outcome, SendOutcome::Unknown(..)) {
                doubtful.get_or_insert(sent);
            }
            let (reason, wait) = match outcome {
                SendOutcome::Settled => return Ok(()),
                SendOutcome::NotPublished(reason, wait) | SendOutcome::Unknown(reason, wait) => (reason, wait),
                SendOutcome::Fatal(error) if self.ledger.is_empty() && doubtful.is_none() => return Err(error),
                SendOutcome::Fatal(error) => return Err(self.end_early(&error, &batch, doubtful.is_some())),
            };
            failures += 1;
            let wait = delay::next(FIRST_WAIT, wait, failures, fastrand::f64());
            if doubtful.is_some_and(|since| since.elapsed() + wait > WINDOW) {
                return Err(self.end_early(&reason, &batch, true));
            }
            beside(|| print_error(delay::retry_message(&reason, wait)));
            sleep(wait).await;
        }
    }

    /// One attempt. Errors are local, such as a closed stdout.
    async fn attempt(&mut self, batch: &[BatchLine], key: &str, doubtful: bool) -> Result<SendOutcome, CliError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("idempotency-key", HeaderValue::from_str(key).expect("letters and digits"));
        let response = self.connection.request(Method::POST, &self.target, headers, batch::body(batch)).await;
        let mut problem = match response {
            Ok(HubResponse::Success(body)) => return self.receipts(batch, &body),
            Ok(HubResponse::Refused(problem)) => problem,
            Err(RequestFailure::NotSent(error)) => {
                // When the first connection fails, the URL is probably wrong, so there is no retry.
                let fatal = !self.connection.reached() || matches!(error, CliError::Token { .. });
                return Ok(if fatal {
                    SendOutcome::Fatal(error)
                } else {
                    SendOutcome::NotPublished(error, Duration::ZERO)
                });
            }
            Err(RequestFailure::MaybeSent(error)) => return Ok(SendOutcome::Unknown(error, Duration::ZERO)),
        };
        if problem.is_transient() {
            let wait = problem.take_retry_after();
            // After a failed flush (store-unavailable) the events may be on disk. A proxy's error has no code: the hub
            // behind it may have processed the request.
            let not_published = problem.code().is_some_and(|code| code != "store-unavailable");
            let error = CliError::Refused(problem);
            return Ok(if not_published {
                SendOutcome::NotPublished(error, wait)
            } else {
                SendOutcome::Unknown(error, wait)
            });
        }
        Ok(self.isolate_refused_line(batch, problem, doubtful))
    }

    /// Handles a batch that was refused as a whole: finds the line that caused it and refuses that; the others are sent
    /// again.
    fn isolate_refused_line(&mut self, batch: &[BatchLine], problem: HubProblem, doubtful: bool) -> SendOutcome {
        let code = problem.code().unwrap_or_default();
        let is_about_a_line = match code {
            "body-invalid" | "data-not-utf8" | "too-large" => true,
            // If all lines have the same topic and name, the problem is the same for all of them.
            "topic-invalid" | "event-name-invalid" | "topic-closed" => self.form.0.is_none(),
            // An earlier attempt may have been published before the token lost its permission.
            "forbidden" => self.form.0.is_none() && !doubtful,
            _ => false,
        };
        if !is_about_a_line {
            return SendOutcome::Fatal(CliError::Refused(problem));
        }
        let bad = if batch.len() == 1 { Some(0) } else { index(problem.detail()).filter(|at| *at < batch.len()) };
        let mut again = batch.to_vec();
        match bad {
            Some(at) => again[at].envelope = Err(problem.to_string()),
            None => self.max_lines = batch.len() / 2,
        }
        again.into_iter().rev().for_each(|item| self.waiting.push_front(item));
        SendOutcome::Settled
    }

    fn receipts(&mut self, batch: &[BatchLine], body: &[u8]) -> Result<SendOutcome, CliError> {
        let receipts = serde_json::from_slice::<BatchReceipts<'_>>(body).map(|receipts| receipts.events);
        let Ok(receipts) = receipts else {
            return Ok(SendOutcome::Fatal(CliError::NotAHub(
                "its response to a batch is not a list of receipts".into(),
            )));
        };
        if receipts.len() != batch.len() {
            let (sent, got) = (batch.len(), receipts.len());
            return Ok(SendOutcome::Fatal(CliError::NotAHub(format!("it returned {got} receipts for {sent} events"))));
        }
        let last = batch.iter().map(|item| item.number).max().unwrap_or_default();
        self.ledger.confirm(last);
        let bytes = batch.iter().map(|item| item.length).sum();
        self.count.add(batch.len() as u64, bytes, || self.lines.file(last));
        self.max_lines = self.max_lines.saturating_mul(2).min(MAX_LINES);
        let lines: String = receipts.iter().flat_map(|receipt| [receipt.get(), "\n"]).collect();
        beside(|| self.out.write_all(lines.as_bytes()).and_then(|()| self.out.flush())).map_err(CliError::output)?;
        Ok(SendOutcome::Settled)
    }

    fn end_early(&self, why: &CliError, batch: &[BatchLine], doubtful: bool) -> CliError {
        let numbers = || batch.iter().map(|item| item.number);
        let lines = numbers().min().zip(numbers().max()).map(|(first, last)| first..=last);
        CliError::Unconfirmed(self.ledger.early_end_report(&why.to_string(), lines.filter(|_| doubtful)))
    }

    /// Closes the topic. Retries without limit, because closing is idempotent.
    async fn close(&mut self, topic: &str) -> Result<(), CliError> {
        let mut failures = 0;
        loop {
            let (reason, retry_after) = match close::close(&mut self.connection, topic).await {
                Ok(HubResponse::Success(_)) => return Ok(()),
                Ok(HubResponse::Refused(mut problem)) if problem.is_transient() => {
                    let wait = problem.take_retry_after();
                    (CliError::Refused(problem), wait)
                }
                Ok(HubResponse::Refused(problem)) => return Err(CliError::Refused(problem)),
                Err(RequestFailure::NotSent(error @ CliError::Token { .. })) => return Err(error),
                Err(RequestFailure::NotSent(error) | RequestFailure::MaybeSent(error)) => (error, Duration::ZERO),
            };
            failures += 1;
            let wait = delay::next(FIRST_WAIT, retry_after, failures, fastrand::f64());
            beside(|| print_error(delay::retry_message(&reason, wait)));
            sleep(wait).await;
        }
    }
}

fn size(item: &BatchLine) -> usize {
    item.envelope.as_ref().map_or(0, bytes::Bytes::len)
}

/// The index of the envelope that a problem is about, from the beginning of its detail: `[3]: …`.
fn index(detail: &str) -> Option<usize> {
    detail.strip_prefix('[')?.split_once("]:")?.0.parse().ok()
}
