//! Publishes lines of stdin: waiting lines are sent as one batch, one batch after the other, so that their order is
//! kept.
//!
//! Each batch has its own `Idempotency-Key`. When its outcome is unknown (the connection broke, the hub was killed),
//! the same request is sent again: a hub that has already processed it answers with the same receipts and adds
//! nothing. While a batch is in flight, the next lines collect, so a slow hub results in larger batches. A line
//! is not delayed to fill a batch, unless many batches were sent shortly before ([`pace`](super::pace)).

use std::{collections::VecDeque, io, sync::Arc};

use form_urlencoded::Serializer;
use gapless_client::{
    ClientError,
    connection::{HubConnection, HubRequest},
    delivery::{Delivered, GiveUp, RetryRules, Undelivered, WINDOW, deliver},
    random_key,
};
use hyper::{
    Method,
    header::{self, HeaderMap, HeaderValue},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::sleep;

use super::{
    args::{PATH, PublishArgs},
    batch::{self, BatchLine, LineFormat},
    bounds::{MAX_BYTES, MAX_LINES},
    close,
    files::PublishedCount,
    input::InputLines,
    ledger::Ledger,
    pace::Pace,
};
use crate::cli::{
    CliError,
    client::{Dial, HubClient},
    output::print_error,
    patient::note_retry,
    problem::HubProblem,
    progress::beside,
};
use crate::progress::WorkProgress;

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
    /// Half of a batch that was refused for its size: larger ones are not tried again.
    most_lines: usize,
    out: &'a mut O,
}

/// The response to a batch.
#[derive(Deserialize)]
struct BatchReceipts<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
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
        key_prefix: random_key()?,
        batches: 0,
        pace: Pace::new(),
        max_lines: MAX_LINES,
        most_lines: MAX_LINES,
        out,
    };
    sender.send_all().await?;
    match (&args.topic, sender.ledger.is_clean()) {
        (_, false) => Err(CliError::Unconfirmed(sender.ledger.refusal_report())),
        (Some(topic), true) if args.close => sender.close(topic).await,
        _ => Ok(()),
    }
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

    /// Sends `batch` until its outcome is known. Its lines are published then, or back in the queue with the refused one
    /// marked.
    async fn deliver(&mut self, batch: Vec<BatchLine>) -> Result<(), CliError> {
        self.batches += 1;
        let key = format!("{}-{}", self.key_prefix, self.batches);
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("idempotency-key", HeaderValue::from_str(&key).expect("letters and digits"));
        let request =
            HubRequest { method: Method::POST, target: self.target.clone(), headers, body: batch::body(&batch) };
        // When the first connection fails, the URL is probably wrong, so there is no retry.
        let rules = RetryRules { give_up: GiveUp::AfterUncertain(WINDOW), awaits_first: false };
        match deliver(&mut self.connection, &request, rules, note_retry).await {
            Ok(delivered) => self.receipts(&batch, &delivered),
            Err(Undelivered { cause: ClientError::Refused(problem), is_uncertain })
                if !problem.is_transient() && self.is_about_a_line(&problem, is_uncertain) =>
            {
                self.isolate_refused_line(batch, &problem);
                Ok(())
            }
            Err(Undelivered { cause, is_uncertain }) => Err(self.failed(cause.into(), &batch, is_uncertain)),
        }
    }

    /// Whether a batch was refused because of one of its lines. `doubtful`: it may have been published before.
    fn is_about_a_line(&self, problem: &HubProblem, doubtful: bool) -> bool {
        match problem.code().unwrap_or_default() {
            "body-invalid" | "data-not-utf8" | "too-large" => true,
            // If all lines have the same topic and name, the problem is the same for all of them.
            "topic-invalid" | "event-name-invalid" | "topic-closed" => self.form.0.is_none(),
            // An earlier attempt may have been published before the token lost its permission.
            "forbidden" => self.form.0.is_none() && !doubtful,
            _ => false,
        }
    }

    /// Handles a batch that was refused as a whole: finds the line that caused it and refuses that; the others are sent
    /// again.
    fn isolate_refused_line(&mut self, mut batch: Vec<BatchLine>, problem: &HubProblem) {
        let bad = if batch.len() == 1 { Some(0) } else { index(problem.detail()).filter(|at| *at < batch.len()) };
        if let Some(at) = bad {
            batch[at].envelope = Err(problem.to_string());
        } else {
            self.most_lines = batch.len() / 2;
            self.max_lines = self.most_lines;
        }
        batch.into_iter().rev().for_each(|item| self.waiting.push_front(item));
    }

    fn receipts(&mut self, batch: &[BatchLine], delivered: &Delivered) -> Result<(), CliError> {
        let not_a_hub = |sender: &Self, what| sender.failed(CliError::NotAHub(what), batch, delivered.was_uncertain);
        let receipts = serde_json::from_slice::<BatchReceipts<'_>>(&delivered.body).map(|receipts| receipts.events);
        let Ok(receipts) = receipts else {
            return Err(not_a_hub(self, "its response to a batch is not a list of receipts".into()));
        };
        if receipts.len() != batch.len() {
            let (sent, got) = (batch.len(), receipts.len());
            return Err(not_a_hub(self, format!("it returned {got} receipts for {sent} events")));
        }
        let last = batch.iter().map(|item| item.number).max().unwrap_or_default();
        self.ledger.confirm(last);
        let bytes = batch.iter().map(|item| item.length).sum();
        self.count.add(batch.len() as u64, bytes, || self.lines.file(last));
        self.max_lines = self.max_lines.saturating_mul(2).min(self.most_lines);
        let lines: String = receipts.iter().flat_map(|receipt| [receipt.get(), "\n"]).collect();
        beside(|| self.out.write_all(lines.as_bytes()).and_then(|()| self.out.flush())).map_err(CliError::output)
    }

    /// The error of a batch, with what is published and what is not.
    fn failed(&self, why: CliError, batch: &[BatchLine], doubtful: bool) -> CliError {
        if self.ledger.is_empty() && !doubtful {
            return why;
        }
        let numbers = || batch.iter().map(|item| item.number);
        let lines = numbers().min().zip(numbers().max()).map(|(first, last)| first..=last);
        CliError::Unconfirmed(self.ledger.early_end_report(&why.to_string(), lines.filter(|_| doubtful)))
    }

    /// Closes the topic. Retries without limit, because closing is idempotent.
    async fn close(&mut self, topic: &str) -> Result<(), CliError> {
        let rules = RetryRules { give_up: GiveUp::Never, awaits_first: true };
        let closed = deliver(&mut self.connection, &close::request(topic), rules, note_retry).await;
        closed.map(drop).map_err(|undelivered| undelivered.cause.into())
    }
}

fn size(item: &BatchLine) -> usize {
    item.envelope.as_ref().map_or(0, bytes::Bytes::len)
}

/// The index of the envelope that a problem is about, from the beginning of its detail: `[3]: …`.
fn index(detail: &str) -> Option<usize> {
    detail.strip_prefix('[')?.split_once("]:")?.0.parse().ok()
}
