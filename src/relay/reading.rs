//! Reading a provider's stream: each frame becomes an event, as it came, and tells whether the run ends with it.

use std::pin::pin;

use bytes::Bytes;
use tokio::sync::watch;

use super::{
    clock::{RunClock, RunTime},
    dialect::{Part, PartReader},
    ending::{RunStatus, UsageSource},
    frames::{FrameError, FrameSplitter, UpstreamFrame},
    journal,
    mask::masked_text,
    provider::Provider,
    publishing::{Committed, RunPublishing},
    run::{Run, next_command},
    run_ending::{RunEnding, ending_of, is_durable},
    shard::RelayShard,
    signals::RunCommand,
};
use crate::{
    client::pool::{BrokenBody, PooledBody},
    event::EventName,
};

/// Longest reason of the provider's why the model stopped, in characters: theirs have up to 30.
const FINISH_CHARACTERS: usize = 100;

/// Longest id of a response that is recorded, in bytes: theirs have up to 100.
const RESPONSE_ID_BYTES: usize = 256;

/// A provider's stream that is being read.
pub(super) struct RunReading<'t> {
    shard: &'t RelayShard,
    provider: &'t Provider,
    run: &'t Run,
    splitter: FrameSplitter,
    reader: Box<dyn PartReader>,
    frames: Vec<UpstreamFrame>,
    parts: Vec<Part>,
    /// Whether a commit with a frame is durable.
    is_begun: bool,
    /// Bytes of the answer so far.
    bytes: usize,
    /// The provider has said why it stopped. In a dialect without an end marker, its stream may end now.
    finished: bool,
    /// The run was stopped: what comes is read for its token counts only.
    discards: bool,
}

/// Reads of the provider's stream before the next commit at most: enough for what comes together, few enough that a
/// provider which always has more delays no token.
const MAX_READ_AHEAD: usize = 8;

/// What woke the task.
enum ReadingEvent {
    Chunk(Result<Option<Bytes>, BrokenBody>),
    Committed(Committed),
    Command(watch::Receiver<RunCommand>),
    Time(RunTime),
}

impl<'t> RunReading<'t> {
    pub(super) fn new(shard: &'t RelayShard, provider: &'t Provider, run: &'t Run) -> Self {
        let api = run.facts.api;
        Self {
            shard,
            provider,
            run,
            splitter: FrameSplitter::new(api.framing(), shard.relay.limits.event_bytes),
            reader: api.reader(),
            frames: Vec::new(),
            parts: Vec::new(),
            is_begun: false,
            bytes: 0,
            finished: false,
            discards: false,
        }
    }

    /// Reads the stream until the run ends.
    pub(super) async fn read(
        mut self,
        body: &mut PooledBody,
        publishing: &mut RunPublishing,
        commands: &watch::Receiver<RunCommand>,
        clock: &mut RunClock,
    ) -> RunEnding {
        clock.allow_silence(self.shard.relay.limits.silence_timeout);
        // Kept from one token to the other: it is registered once.
        let mut command = pin!(next_command(commands.clone()));
        let mut read_ahead = 0;
        loop {
            let full = publishing.is_full();
            // What has come already goes into the same commit: the first token into that of `run.started`.
            if read_ahead < MAX_READ_AHEAD
                && !full
                && let Some(chunk) = ready(body.chunk()).await
            {
                read_ahead += 1;
                clock.heard();
                if let Some(ending) = self.take(chunk, publishing) {
                    return self.settled(ending);
                }
                continue;
            }
            read_ahead = 0;
            publishing.commit();
            let event = tokio::select! {
                biased;
                commands = &mut command => ReadingEvent::Command(commands),
                committed = publishing.committed() => ReadingEvent::Committed(committed),
                chunk = body.chunk(), if !full => ReadingEvent::Chunk(chunk),
                time = clock.next() => ReadingEvent::Time(time),
            };
            let ending = match event {
                ReadingEvent::Chunk(chunk) => {
                    clock.heard();
                    self.take(chunk, publishing).map(|ending| self.settled(ending))
                }
                ReadingEvent::Committed(Committed { result: Ok(acknowledged), took }) => {
                    // Frames have come; the first commit may have `run.started` alone.
                    if self.bytes > 0 {
                        self.shard.relay.stats.committed(took, !std::mem::replace(&mut self.is_begun, true));
                    }
                    is_durable(self.run, &acknowledged);
                    None
                }
                ReadingEvent::Committed(Committed { result: Err(error), .. }) => Some(RunEnding::not_stored(&error)),
                ReadingEvent::Command(mut commands) => {
                    let told = commands.borrow_and_update().clone();
                    command.set(next_command(commands));
                    self.obey(told, publishing)
                }
                // Its readers were told that it is stopped, so nobody watches it.
                ReadingEvent::Time(RunTime::Tick) if self.discards => None,
                ReadingEvent::Time(time) => {
                    ending_of(self.shard, self.run, clock, time).map(|ending| self.settled(ending))
                }
            };
            if let Some(ending) = ending {
                return ending;
            }
        }
    }

    fn obey(&mut self, command: RunCommand, publishing: &mut RunPublishing) -> Option<RunEnding> {
        match command {
            RunCommand::Continue => None,
            RunCommand::Stop { by } => Some(RunEnding::stopped(by)),
            RunCommand::GiveUp => Some(RunEnding::given_up()),
            RunCommand::StopAndDrain { by } => {
                let notice = serde_json::json!({ "run": self.run.facts.id, "by": by });
                publishing.push(journal::run_event(&self.run.facts, EventName::run_stopping(), notice.to_string()));
                self.discards = true;
                None
            }
        }
    }

    /// Takes what the provider sent. Returns the ending, if the run ends with it.
    fn take(&mut self, chunk: Result<Option<Bytes>, BrokenBody>, publishing: &mut RunPublishing) -> Option<RunEnding> {
        let mut split = Ok(());
        match &chunk {
            Ok(Some(bytes)) => {
                self.bytes += bytes.len();
                split = self.splitter.push(bytes, &mut self.frames);
            }
            Ok(None) => self.splitter.finish(&mut self.frames),
            // What has come of the last frame is not a frame.
            Err(_) => {}
        }
        let mut frames = std::mem::take(&mut self.frames);
        // What follows the end in the same bytes is part of the answer: vLLM sends `[DONE]` after a terminal event.
        let take = |ending: Option<_>, frame| ending.or(self.take_frame(frame, publishing));
        let ending = frames.drain(..).fold(None, take);
        self.frames = frames;
        if ending.is_some() {
            return ending;
        }
        if let Err(error) = split {
            let code = match error {
                FrameError::TooLarge(_) => "event_too_large",
                FrameError::NotUtf8 => "upstream_error",
            };
            return Some(RunEnding::failed(code, error.to_string()));
        }
        let most = self.shard.relay.limits.answer_bytes;
        if self.bytes > most {
            let message = format!("the answer has more than {most} bytes (relay.answer_bytes)");
            return Some(RunEnding::failed("answer_too_large", message));
        }
        match chunk {
            Ok(Some(_)) => None,
            Ok(None) => Some(self.at_end(None)),
            Err(error) => Some(self.at_end(Some(&error))),
        }
    }

    fn take_frame(&mut self, mut frame: UpstreamFrame, publishing: &mut RunPublishing) -> Option<RunEnding> {
        frame.name = masked_text(self.provider, frame.name);
        frame.data = masked_text(self.provider, frame.data);
        let mut parts = std::mem::take(&mut self.parts);
        self.reader.read(&frame.name, &frame.data, &mut parts);
        let ending = parts.drain(..).fold(None, |ending, part| self.take_part(part, publishing).or(ending));
        self.parts = parts;
        if self.discards {
            return ending;
        }
        // A name that no event can have is left out; in every dialect the data says the same.
        let name = EventName::new(&frame.name).unwrap_or_default();
        publishing.push(journal::run_event(&self.run.facts, name, frame.data));
        ending
    }

    fn take_part(&mut self, part: Part, publishing: &mut RunPublishing) -> Option<RunEnding> {
        match part {
            Part::Usage(usage) => self.run.update(|state| {
                state.usage.input = usage.input.or(state.usage.input);
                state.usage.output = usage.output.or(state.usage.output);
                state.usage.source = UsageSource::Partial;
            }),
            Part::ResponseId(id)
                if id.len() <= RESPONSE_ID_BYTES && self.shard.relay.runs.name_response(self.run, &id) =>
            {
                publishing.push(journal::response(self.run, &id));
            }
            Part::Finish(reason) => {
                self.finished = true;
                let reason = reason.chars().take(FINISH_CHARACTERS).collect();
                self.run.update(|state| state.finish_reason = Some(reason));
            }
            Part::End => return Some(RunEnding::completed()),
            Part::Error { code, message } => {
                let message = if code.is_empty() { message } else { format!("{code}: {message}") };
                return Some(RunEnding::failed("upstream_error", message));
            }
            Part::ResponseId(_)
            | Part::Text(_)
            | Part::Reasoning(_)
            | Part::Tool { .. }
            | Part::Image(_)
            | Part::Audio(_) => {}
        }
        None
    }

    /// The ending of a stream that the provider has closed.
    fn at_end(&self, error: Option<&BrokenBody>) -> RunEnding {
        if self.finished && error.is_none() && !self.run.facts.api.has_end_marker() {
            return RunEnding::completed();
        }
        if let Some(error) = error {
            tracing::warn!(run = self.run.facts.id, error = %error, "a provider's stream broke off");
        }
        let message = "the provider closed the stream before its end; the answer is not complete";
        RunEnding::new(RunStatus::Truncated, "upstream_truncated", message)
    }

    /// The ending of the run, when this is the one of the provider's stream: a run that was stopped before, and read on, is
    /// stopped however that ended.
    fn settled(&self, ending: RunEnding) -> RunEnding {
        if !self.discards {
            return ending;
        }
        if ending.status == RunStatus::Completed {
            self.run.update(|state| state.usage = state.usage.of_complete_answer());
        }
        match self.run.commands().borrow().clone() {
            RunCommand::StopAndDrain { by } | RunCommand::Stop { by } => RunEnding::stopped(by),
            RunCommand::Continue | RunCommand::GiveUp => RunEnding::stopped(None),
        }
    }
}

/// The output of `future` if it is there now. `future` must be cancel safe.
async fn ready<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = std::future::ready(()) => None,
    }
}
