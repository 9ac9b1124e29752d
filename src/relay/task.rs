//! The task that owns a provider's answer. It is not part of any request: it goes on when its client is gone, until the
//! answer is complete, somebody stops it, or nobody watches it any more.

use std::{any::Any, pin::pin, rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Response, header};
use tokio::{
    sync::watch,
    task::spawn_local,
    time::{Instant, sleep_until, timeout},
};

use super::{
    claim::claim,
    clock::RunClock,
    dialect::usage_of,
    ending::{RunStatus, TokenUsage, UsageSource},
    frames::Framing,
    journal,
    provider::{Provider, UnwatchedPolicy},
    publishing::{Committed, RunPublishing},
    reading::RunReading,
    run::{Claim, Run, RunAccount, RunPhase, commanded},
    run_ending::{RunEnding, begin, end, ending_of, is_durable},
    shard::{RelayLimits, RelayShard},
    signals::{RunCommand, StartFailure},
    upstream::{self, UpstreamRequest, WholeAnswer, WholeAnswerError},
};
use crate::{
    client::pool::{PooledBody, SendError},
    event::EventName,
};

/// When a run begins for its clients though the provider has not answered: below the 15 s after which a stream sends a
/// keepalive, and far below the 60 s after which proxies give up. From then on a refusal is an ending, not a response.
const EARLY_START: Duration = Duration::from_secs(10);

/// How long the end of a provider's response is awaited after its last frame, so that its connection can be used again.
const LAST_BYTES: Duration = Duration::from_secs(1);

/// A run, before its provider is asked.
pub(super) struct RunTask {
    pub(super) shard: Rc<RelayShard>,
    pub(super) provider: Arc<Provider>,
    pub(super) run: Arc<Run>,
    pub(super) request: UpstreamRequest,
    /// Dropped when the provider has the request.
    pub(super) memory: Option<Box<dyn Any>>,
    /// Whether it begins before the provider has answered.
    pub(super) at_once: bool,
    pub(super) on_disconnect: UnwatchedPolicy,
    pub(super) account: Box<dyn RunAccount>,
}

/// What becomes of a request to a provider.
enum Asked {
    Answer(Response<PooledBody>),
    Failure(StartFailure),
    Ending(RunEnding),
}

/// Runs a run to its end, whatever happens in its task.
pub(super) async fn supervise(task: RunTask) {
    let (shard, run) = (Rc::clone(&task.shard), Arc::clone(&task.run));
    let _guard = shard.relay.drain.guard();
    if let Err(panic) = spawn_local(task.drive()).await {
        tracing::error!(run = run.facts.id, error = %panic, "the task of a run failed");
        let ending = RunEnding::failed("internal", "the hub failed; its log says why");
        end(&shard, &run, RunPublishing::new(Rc::clone(&shard.publisher)), None, ending).await;
    }
}

impl RunTask {
    async fn drive(mut self) {
        let mut publishing = RunPublishing::new(Rc::clone(&self.shard.publisher));
        let is_shared = self.run.is_unclaimed();
        if is_shared && let Err(claim) = claim(&self.run, &mut publishing).await {
            return self.not_claimed(publishing, claim).await;
        }
        let mut commands = self.run.commands();
        let mut clock =
            RunClock::new(&self.shard.relay, self.on_disconnect, self.shard.relay.limits.first_byte_timeout);
        let asked = self.ask(is_shared, &mut publishing, &mut commands, &mut clock).await;
        self.memory = None;
        match asked {
            Asked::Answer(answer) if self.run.facts.api.is_whole() => {
                self.read_whole(answer, publishing, commands, clock).await;
            }
            Asked::Answer(answer) if is_stream(&answer, self.run.facts.api.framing()) => {
                self.read(answer, publishing, commands, clock).await;
            }
            Asked::Answer(answer) => match self.whole(answer, &mut publishing, &mut commands, &mut clock).await {
                Ok(Ok(whole)) => self.answered_whole(whole, publishing).await,
                Ok(Err(error)) => self.not_started(publishing, StartFailure::NoAnswer(error.to_string())).await,
                Err(ending) => self.end(publishing, ending).await,
            },
            Asked::Failure(failure) => self.not_started(publishing, failure).await,
            Asked::Ending(ending) => self.end(publishing, ending).await,
        }
    }

    /// Sends the request, and waits for the head of the answer. When this returns without one, the connection is closed.
    /// `is_recorded`: the run's key is in the journal.
    async fn ask(
        &mut self,
        is_recorded: bool,
        publishing: &mut RunPublishing,
        commands: &mut watch::Receiver<RunCommand>,
        clock: &mut RunClock,
    ) -> Asked {
        let client = self.shard.client(&self.provider);
        let request = match upstream::request(&self.provider, &self.request) {
            Ok(request) => request,
            Err(error) => return Asked::Failure(StartFailure::Unreachable(error.to_string())),
        };
        // The prompt is in the request; it is not kept longer.
        self.request.body = Bytes::new();
        // A key is remembered before the request may be billed: after a crash it must not be asked for again.
        let mut may_send = is_recorded || self.run.facts.key.is_none();
        if !may_send {
            publishing.push(journal::asked(&self.run));
        }
        let mut sending = pin!(client.send(request));
        let wait = if self.at_once { Duration::ZERO } else { EARLY_START };
        // A client that wants no stream waits for the whole answer.
        let mut early = (!self.run.facts.api.is_whole()).then(|| Instant::now() + wait);
        loop {
            publishing.commit();
            tokio::select! {
                biased;
                () = commanded(commands) => match commands.borrow().clone() {
                    RunCommand::Stop { by } | RunCommand::StopAndDrain { by } => {
                        return Asked::Ending(RunEnding::stopped(by));
                    }
                    RunCommand::GiveUp => return Asked::Ending(RunEnding::given_up()),
                    RunCommand::Continue => {}
                },
                head = &mut sending, if may_send => return match head {
                    Ok(answer) => Asked::Answer(answer),
                    Err(error @ SendError::Unknown(_)) => Asked::Failure(StartFailure::NoAnswer(error.to_string())),
                    Err(error) => Asked::Failure(StartFailure::Unreachable(error.to_string())),
                },
                Committed { result, .. } = publishing.committed() => match result {
                    Ok(acknowledged) => {
                        may_send = true;
                        is_durable(&self.run, &acknowledged);
                    }
                    Err(error) if !may_send => return Asked::Failure(StartFailure::NotRecorded(error.to_string())),
                    Err(error) => return Asked::Failure(StartFailure::NotStored(error.to_string())),
                },
                () = until(early) => {
                    early = None;
                    begin(&self.run, publishing);
                }
                time = clock.next() => {
                    if let Some(ending) = ending_of(&self.shard, &self.run, clock, time) {
                        return Asked::Ending(ending);
                    }
                }
            }
        }
    }

    /// Reads the stream to its end.
    async fn read(
        self,
        answer: Response<PooledBody>,
        mut publishing: RunPublishing,
        commands: watch::Receiver<RunCommand>,
        mut clock: RunClock,
    ) {
        begin(&self.run, &mut publishing);
        let (head, mut body) = answer.into_parts();
        self.run.set_head(upstream::passed_headers(&self.provider, &head.headers));
        // Its values hold the connection's first read buffer, 8 KiB, which is used again without them.
        drop(head);
        let reading = RunReading::new(&self.shard, &self.provider, &self.run);
        let ending = reading.read(&mut body, &mut publishing, &commands, &mut clock).await;
        if ending.status == RunStatus::Completed {
            spawn_local(async move {
                let rest = async { while let Ok(Some(_)) = body.chunk().await {} };
                let _late = timeout(LAST_BYTES, rest).await;
            });
        } else {
            // Closes the provider's stream.
            drop(body);
        }
        self.end(publishing, ending).await;
    }

    /// Reads an answer without a stream, unless the run ends before.
    async fn whole(
        &self,
        answer: Response<PooledBody>,
        publishing: &mut RunPublishing,
        commands: &mut watch::Receiver<RunCommand>,
        clock: &mut RunClock,
    ) -> Result<Result<WholeAnswer, WholeAnswerError>, RunEnding> {
        let RelayLimits { answer_bytes, silence_timeout, run_timeout, .. } = self.shard.relay.limits;
        // Reading has bounds of its own for silence.
        clock.allow_silence(run_timeout);
        let mut reading = pin!(upstream::whole(&self.provider, answer, answer_bytes, silence_timeout));
        loop {
            tokio::select! {
                biased;
                () = commanded(commands) => match commands.borrow().clone() {
                    RunCommand::Stop { by } | RunCommand::StopAndDrain { by } => return Err(RunEnding::stopped(by)),
                    RunCommand::GiveUp => return Err(RunEnding::given_up()),
                    RunCommand::Continue => {}
                },
                read = &mut reading => return Ok(read),
                Committed { result, .. } = publishing.committed() => match result {
                    Ok(acknowledged) => is_durable(&self.run, &acknowledged),
                    Err(error) => return Err(RunEnding::not_stored(&error)),
                },
                time = clock.next() => if let Some(ending) = ending_of(&self.shard, &self.run, clock, time) {
                    return Err(ending);
                },
            }
        }
    }

    /// Reads an answer without a stream, and records it. A refusal, and what is no text, is passed on and not recorded.
    async fn read_whole(
        self,
        answer: Response<PooledBody>,
        mut publishing: RunPublishing,
        mut commands: watch::Receiver<RunCommand>,
        mut clock: RunClock,
    ) {
        match self.whole(answer, &mut publishing, &mut commands, &mut clock).await {
            Err(ending) => self.end(publishing, ending).await,
            Ok(Err(error)) => self.not_started(publishing, StartFailure::NoAnswer(error.to_string())).await,
            Ok(Ok(whole)) => match std::str::from_utf8(&whole.body) {
                Ok(text) if whole.status.is_success() => {
                    begin(&self.run, &mut publishing);
                    for part in parts(text, self.shard.relay.limits.event_bytes) {
                        publishing.push(journal::run_event(&self.run.facts, EventName::default(), part));
                    }
                    let usage = usage_of(&whole.body);
                    if usage.input.or(usage.output).is_some() {
                        self.run.update(|state| state.usage = TokenUsage { source: UsageSource::Partial, ..usage });
                    }
                    self.run.set_head(whole.headers);
                    self.end(publishing, RunEnding::completed()).await;
                }
                _ => self.answered_whole(whole, publishing).await,
            },
        }
    }

    /// The provider refused the request, or answered it without a stream.
    async fn answered_whole(self, answer: WholeAnswer, publishing: RunPublishing) {
        if self.may_withdraw() {
            self.shard.relay.stats.refused(&self.provider.name, answer.status.as_u16());
            return self.withdraw(publishing, RunPhase::Answered(Arc::new(answer))).await;
        }
        let ending = if answer.status.is_success() {
            RunEnding::failed("upstream_error", "the provider answered without a stream")
        } else {
            RunEnding::refused(&answer)
        };
        self.end(publishing, ending).await;
    }

    /// There is no answer.
    async fn not_started(self, publishing: RunPublishing, failure: StartFailure) {
        tracing::warn!(run = self.run.facts.id, provider = self.provider.name, error = %failure, "a run got no answer");
        if self.may_withdraw() {
            return self.withdraw(publishing, RunPhase::NotStarted(Arc::new(failure))).await;
        }
        let code = if matches!(failure, StartFailure::NotStored(_)) { "internal" } else { "upstream_unreachable" };
        self.end(publishing, RunEnding::failed(code, failure.to_string())).await;
    }

    /// The run is another one's, or that cannot be found out. It has not begun.
    async fn not_claimed(self, publishing: RunPublishing, claim: Claim) {
        match claim {
            // No hub has entered it.
            Claim::Joined(other) => {
                self.shard.relay.stats.attached();
                self.remove(RunPhase::Joined(other));
            }
            Claim::Refused(failure @ (StartFailure::KeyReused | StartFailure::TopicBusy(_))) => {
                self.remove(RunPhase::NotStarted(Arc::new(failure)));
            }
            Claim::Refused(failure) => self.withdraw(publishing, RunPhase::NotStarted(Arc::new(failure))).await,
            Claim::Open | Claim::Won => unreachable!("the claim of a run that may not begin is decided"),
        }
    }

    fn remove(self, phase: RunPhase) {
        self.shard.relay.runs.withdraw(&self.run);
        drop(self.account);
        self.run.update(|state| state.status = RunStatus::Failed);
        self.run.set_phase(phase);
    }

    /// Whether the run can still be none: it is not `at_once`, and its `run.started` is not on its way into the log.
    fn may_withdraw(&self) -> bool {
        !self.at_once && !self.run.has_begun()
    }

    /// Removes a run that never began, and frees its key.
    async fn withdraw(self, mut publishing: RunPublishing, phase: RunPhase) {
        if self.run.is_recorded() {
            publishing.push(journal::refused(&self.run));
            while publishing.is_committing() {
                let _entry = publishing.committed().await;
            }
            publishing.commit();
            if let Err(error) = publishing.committed().await.result {
                tracing::warn!(run = self.run.facts.id, error = %error, "the key of a refused run cannot be freed");
            }
        }
        self.remove(phase);
    }

    async fn end(self, publishing: RunPublishing, ending: RunEnding) {
        end(&self.shard, &self.run, publishing, Some(self.account), ending).await;
    }
}

/// Whether an answer is a stream of this framing. One without a Content-Type is.
fn is_stream(answer: &Response<PooledBody>, framing: Framing) -> bool {
    let value = answer.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = value.and_then(|value| value.split(';').next()).unwrap_or_default().trim().to_ascii_lowercase();
    let expected: &[&str] = match framing {
        Framing::Sse => &["", "text/event-stream"],
        Framing::Lines => &["", "application/x-ndjson", "application/jsonl"],
    };
    answer.status().is_success() && expected.contains(&kind.as_str())
}

/// Parts of `text` of at most `most` bytes, at least 4.
fn parts(text: &str, most: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (part, after) = rest.split_at(rest.floor_char_boundary(most.max(4)));
        rest = after;
        (!part.is_empty()).then_some(part)
    })
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
