//! Lines of stdin as events: what waits goes as one batch, one after the other, so that order is kept.
//!
//! Each batch has an `Idempotency-Key` of its own. When it is not known what became of one (the connection broke, the hub was
//! killed) the same request is sent again: a hub that has it answers with the first receipts and adds nothing. While one is
//! on its way the next lines gather, so a slow hub makes batches larger, and no line waits for company unless many batches
//! went before it ([`pace`](super::pace)).

use std::{collections::VecDeque, io, time::Duration};

use form_urlencoded::Serializer;
use hyper::{
    Method,
    header::{self, HeaderMap, HeaderValue},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep};

use super::{
    PATH, PublishArgs,
    batch::{self, BatchLine, LineFormat, MAX_LINES},
    input::InputLines,
    ledger::Ledger,
    pace::Pace,
    talk::{HubResponse, Silence, Talk},
};
use crate::cli::{
    CliError,
    client::{Dial, HubClient},
    delay,
    output::complain,
    problem::HubProblem,
};

/// How long a hub remembers a key at least, unless its operator has made `publish.idempotency_window` shorter: its default of
/// ten minutes, less one for the time that a request takes. A batch that may have been published is not sent again after that.
const WINDOW: Duration = Duration::from_mins(9);

/// First wait before another try; it doubles, as `delay` has it. A hub is restarted within seconds.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// A stream of lines on its way.
struct LineSender<'a, D: Dial, O> {
    talk: Talk<'a, D>,
    target: String,
    form: LineFormat,
    lines: InputLines,
    /// Lines read so far.
    read: u64,
    /// Read and not answered.
    waiting: VecDeque<BatchLine>,
    ledger: Ledger,
    /// Begins all keys of this run.
    run: String,
    /// Batches that were given a key.
    batches: u64,
    pace: Pace,
    /// Lines of the next batch at most: fewer after a batch was refused for one of its lines that is not known.
    most: usize,
    out: &'a mut O,
}

/// The answer to a batch.
#[derive(Deserialize)]
struct BatchReceipts<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

/// What a try came to.
enum SendOutcome {
    /// The batch was answered, one way or the other.
    Settled,
    /// Nothing was published, and the batch may go again after this long.
    Later(CliError, Duration),
    /// It may have been published.
    Unknown(CliError, Duration),
    /// Nothing was published, and it is no use to go on.
    Hopeless(CliError),
}

/// Publishes `lines` as they arrive; prints each receipt as it comes, and says which lines were refused.
pub(super) async fn publish<D: Dial>(
    hub: &HubClient<D>,
    args: &PublishArgs,
    lines: InputLines,
    out: &mut impl io::Write,
) -> Result<(), CliError> {
    let mut query = Serializer::for_suffix(String::from(PATH), PATH.len());
    query.extend_pairs(args.event.iter().map(|name| ("event", name)));
    query.extend_pairs(args.retry.iter().map(|retry| ("retry", retry.to_string())));
    let mut pouring = LineSender {
        talk: Talk::new(hub),
        target: query.finish().trim_end_matches('?').into(),
        form: LineFormat(args.topic.clone()),
        lines,
        read: 0,
        waiting: VecDeque::new(),
        ledger: Ledger::default(),
        run: run()?,
        batches: 0,
        pace: Pace::new(),
        most: MAX_LINES,
        out,
    };
    pouring.pour().await?;
    match (&args.topic, pouring.ledger.is_clean()) {
        (_, false) => Err(CliError::Unconfirmed(pouring.ledger.refusals())),
        (Some(topic), true) if args.close => pouring.close(topic).await,
        _ => Ok(()),
    }
}

/// A name that no other run has.
fn run() -> Result<String, CliError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| CliError::Input(error.into()))?;
    Ok(format!("gapless-{:032x}", u128::from_be_bytes(random)))
}

impl<D: Dial, O: io::Write> LineSender<'_, D, O> {
    async fn pour(&mut self) -> Result<(), CliError> {
        loop {
            self.gather();
            match self.waiting.front() {
                Some(BatchLine { envelope: Err(_), .. }) => self.refuse_first(),
                Some(_) => {
                    if !self.is_full() {
                        sleep(self.pace.wait()).await;
                        self.gather();
                    }
                    self.pace.go();
                    let batch = batch::cut(&mut self.waiting, self.most);
                    self.settle(batch).await?;
                }
                None => match self.lines.end() {
                    Some(Ok(())) => return Ok(()),
                    Some(Err(error)) => {
                        let why = format!("{}", CliError::Input(error));
                        return Err(CliError::Unconfirmed(self.ledger.advice(&why, None)));
                    }
                    None => self.lines.ready().await,
                },
            }
        }
    }

    /// Takes over what has been read, up to a batch.
    fn gather(&mut self) {
        let mut bytes: usize = self.waiting.iter().map(size).sum();
        while self.waiting.len() < MAX_LINES
            && bytes < batch::MAX_BYTES
            && let Some(line) = self.lines.pop()
        {
            self.read += 1;
            if let Some(item) = self.form.item(self.read, line) {
                bytes += size(&item);
                self.waiting.push_back(item);
            }
        }
    }

    /// Whether as much waits as goes together.
    fn is_full(&self) -> bool {
        self.waiting.len() >= MAX_LINES || self.waiting.iter().map(size).sum::<usize>() >= batch::MAX_BYTES
    }

    fn refuse_first(&mut self) {
        if let Some(BatchLine { number, envelope: Err(problem) }) = self.waiting.pop_front() {
            self.ledger.refuse(number);
            complain(format_args!("line {number}: {problem}"));
        }
    }

    /// Sends `batch` until it is known what became of it.
    async fn settle(&mut self, batch: Vec<BatchLine>) -> Result<(), CliError> {
        self.batches += 1;
        let key = format!("{}-{}", self.run, self.batches);
        let (mut doubtful, mut failures) = (None, 0);
        loop {
            let sent = Instant::now();
            let outcome = self.attempt(&batch, &key, doubtful.is_some()).await?;
            if self.talk.doubt() || matches!(outcome, SendOutcome::Unknown(..)) {
                doubtful.get_or_insert(sent);
            }
            let (reason, wait) = match outcome {
                SendOutcome::Settled => return Ok(()),
                SendOutcome::Later(reason, wait) | SendOutcome::Unknown(reason, wait) => (reason, wait),
                SendOutcome::Hopeless(error) if self.ledger.is_new() && doubtful.is_none() => return Err(error),
                SendOutcome::Hopeless(error) => return Err(self.give_up(&error, &batch, doubtful.is_some())),
            };
            failures += 1;
            let wait = delay::before_next(FIRST_WAIT, wait, failures, fastrand::f64());
            if doubtful.is_some_and(|since| since.elapsed() + wait > WINDOW) {
                return Err(self.give_up(&reason, &batch, true));
            }
            complain(delay::told(&reason, wait));
            sleep(wait).await;
        }
    }

    /// One try. Errors are those of this side.
    async fn attempt(&mut self, batch: &[BatchLine], key: &str, doubtful: bool) -> Result<SendOutcome, CliError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("idempotency-key", HeaderValue::from_str(key).expect("letters and digits"));
        let answer = self.talk.ask(Method::POST, &self.target, headers, batch::body(batch)).await;
        let mut problem = match answer {
            Ok(HubResponse::Good(body)) => return self.receipts(batch, &body),
            Ok(HubResponse::Refused(problem)) => problem,
            Err(Silence::Unreached(error)) => {
                // Whoever is not there at first is more likely elsewhere than away.
                let hopeless = !self.talk.reached() || matches!(error, CliError::Token { .. });
                return Ok(if hopeless {
                    SendOutcome::Hopeless(error)
                } else {
                    SendOutcome::Later(error, Duration::ZERO)
                });
            }
            Err(Silence::Broken(error)) => return Ok(SendOutcome::Unknown(error, Duration::ZERO)),
        };
        if problem.passes() {
            let wait = problem.take_retry_after();
            // After a failed flush nobody knows what the disk holds; and a proxy does not know what the hub behind it did.
            let nothing = problem.code().is_some_and(|code| code != "store-unavailable");
            let error = CliError::Refused(problem);
            return Ok(if nothing { SendOutcome::Later(error, wait) } else { SendOutcome::Unknown(error, wait) });
        }
        Ok(self.sort_out(batch, problem, doubtful))
    }

    /// A batch that was refused as a whole: the line that it was for is found, refused, and the others go again.
    fn sort_out(&mut self, batch: &[BatchLine], problem: HubProblem, doubtful: bool) -> SendOutcome {
        let code = problem.code().unwrap_or_default();
        let of_a_line = match code {
            "body-invalid" | "data-not-utf8" | "too-large" => true,
            // Where all lines have one topic and one name these are theirs alike.
            "topic-invalid" | "event-name-invalid" | "topic-closed" => self.form.0.is_none(),
            // A batch that came in before a token lost its right may have been published.
            "forbidden" => self.form.0.is_none() && !doubtful,
            _ => false,
        };
        if !of_a_line {
            return SendOutcome::Hopeless(CliError::Refused(problem));
        }
        let bad = if batch.len() == 1 { Some(0) } else { index(problem.detail()).filter(|at| *at < batch.len()) };
        let mut again = batch.to_vec();
        match bad {
            Some(at) => again[at].envelope = Err(problem.to_string()),
            None => self.most = batch.len() / 2,
        }
        again.into_iter().rev().for_each(|item| self.waiting.push_front(item));
        SendOutcome::Settled
    }

    fn receipts(&mut self, batch: &[BatchLine], body: &[u8]) -> Result<SendOutcome, CliError> {
        let receipts = serde_json::from_slice::<BatchReceipts<'_>>(body).map(|receipts| receipts.events);
        let Ok(receipts) = receipts else {
            return Ok(SendOutcome::Hopeless(CliError::NotAHub("its answer to a batch is no list of receipts".into())));
        };
        if receipts.len() != batch.len() {
            let (sent, got) = (batch.len(), receipts.len());
            return Ok(SendOutcome::Hopeless(CliError::NotAHub(format!("it gave {got} receipts for {sent} events"))));
        }
        self.ledger.confirm(batch.iter().map(|item| item.number).max().unwrap_or_default());
        self.most = self.most.saturating_mul(2).min(MAX_LINES);
        let lines: String = receipts.iter().flat_map(|receipt| [receipt.get(), "\n"]).collect();
        self.out.write_all(lines.as_bytes()).and_then(|()| self.out.flush()).map_err(CliError::output)?;
        Ok(SendOutcome::Settled)
    }

    fn give_up(&self, why: &CliError, batch: &[BatchLine], doubtful: bool) -> CliError {
        let numbers = || batch.iter().map(|item| item.number);
        let lines = numbers().min().zip(numbers().max()).map(|(first, last)| first..=last);
        CliError::Unconfirmed(self.ledger.advice(&why.to_string(), lines.filter(|_| doubtful)))
    }

    /// Ends the topic's streams. It may be asked for as often as it takes.
    async fn close(&mut self, topic: &str) -> Result<(), CliError> {
        let mut failures = 0;
        loop {
            let (reason, asked) = match super::close(&mut self.talk, topic).await {
                Ok(HubResponse::Good(_)) => return Ok(()),
                Ok(HubResponse::Refused(mut problem)) if problem.passes() => {
                    let wait = problem.take_retry_after();
                    (CliError::Refused(problem), wait)
                }
                Ok(HubResponse::Refused(problem)) => return Err(CliError::Refused(problem)),
                Err(Silence::Unreached(error @ CliError::Token { .. })) => return Err(error),
                Err(Silence::Unreached(error) | Silence::Broken(error)) => (error, Duration::ZERO),
            };
            failures += 1;
            let wait = delay::before_next(FIRST_WAIT, asked, failures, fastrand::f64());
            complain(delay::told(&reason, wait));
            sleep(wait).await;
        }
    }
}

fn size(item: &BatchLine) -> usize {
    item.envelope.as_ref().map_or(0, bytes::Bytes::len)
}

/// Which envelope of a batch a problem is about, as its detail begins: `[3]: …`.
fn index(detail: &str) -> Option<usize> {
    detail.strip_prefix('[')?.split_once("]:")?.0.parse().ok()
}
