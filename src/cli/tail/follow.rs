//! Prints what [`gapless_client::follow`] receives, and keeps the last id.

use std::{collections::BTreeSet, io::Write};

use gapless_client::{
    follow::{self, Followed},
    sse_parser::{ParseError, SseBlock},
};
use tokio::time::{Instant, timeout_at};

use super::{
    print::{Printed, Printer},
    state::StateFile,
    style::NoteKind,
};
use crate::cli::{
    CliError,
    client::{Dial, HubClient},
    delay::retry_message,
};

/// Follows one stream across connections.
pub(super) struct Follower<'a, D, O, N> {
    hub: &'a HubClient<D>,
    stream: follow::Follower,
    /// The requested topics; `None` with a pattern. When all of them have ended, the stream is complete.
    topics: Option<BTreeSet<String>>,
    /// Those that have ended on this connection.
    ended: BTreeSet<String>,
    printer: Printer<O, N>,
    /// The cursor after the events that are printed and flushed.
    flushed: Option<String>,
    /// The file that keeps `flushed`.
    state: Option<StateFile>,
}

impl<'a, D: Dial, O: Write, N: Write> Follower<'a, D, O, N> {
    /// Follows `target`, starting after `cursor`.
    pub(super) fn new(hub: &'a HubClient<D>, target: String, cursor: Option<String>, printer: Printer<O, N>) -> Self {
        let stream = follow::Follower::new(target, None, cursor);
        Self { hub, stream, topics: None, ended: BTreeSet::new(), printer, flushed: None, state: None }
    }

    /// Stops when each of these topics has ended.
    pub(super) fn until_the_end_of(self, topics: Option<BTreeSet<String>>) -> Self {
        Self { topics, ..self }
    }

    /// Keeps the position in `state`, and continues after the one that it has.
    pub(super) fn keeping(mut self, state: Option<StateFile>) -> Self {
        if let Some(position) = state.as_ref().and_then(StateFile::position) {
            self.stream.set_cursor(position.into());
        }
        Self { state, ..self }
    }

    /// Saves the position after the events that are printed, if there is a state file.
    pub(super) fn save(&mut self) -> Result<(), CliError> {
        self.state.as_mut().map_or(Ok(()), |state| state.save(self.flushed.as_deref()))
    }

    /// Follows until the stream is complete (204, or all topics have ended) or enough events are printed. Cancel safe:
    /// [`save`](Self::save) then saves the position after the events that are printed.
    pub(super) async fn follow(&mut self) -> Result<(), CliError> {
        loop {
            match self.next().await? {
                Followed::Connecting => {}
                Followed::Open => self.ended.clear(),
                Followed::Blocks(blocks) => {
                    blocks.into_iter().try_for_each(|block| self.take(block))?;
                    self.printer.flush()?;
                    self.flushed = self.stream.cursor().map(Into::into);
                    if self.printer.is_full() {
                        return Ok(());
                    }
                }
                Followed::Waiting(_, None) if self.has_ended() => return Ok(()),
                Followed::Waiting(wait, reason) => {
                    self.save()?;
                    if let Some(reason) = reason {
                        let message = retry_message(&CliError::of(&reason), wait);
                        self.printer.note(NoteKind::Connection, &message);
                    }
                }
                Followed::Complete => return Ok(()),
            }
        }
    }

    /// What happens next. Saves the position when it is due, also while nothing arrives, and while more arrives all the time.
    async fn next(&mut self) -> Result<Followed, CliError> {
        loop {
            let state = self.state.as_ref().filter(|_| self.stream.is_open());
            let due = state.and_then(|state| state.due(self.flushed.as_deref()));
            if due.is_some_and(|due| due <= Instant::now()) {
                self.save()?;
                continue;
            }
            let next = self.stream.next(self.hub);
            let followed = match due {
                Some(due) => match timeout_at(due, next).await {
                    Ok(followed) => followed,
                    Err(_) => continue,
                },
                None => next.await,
            };
            return Ok(followed?);
        }
    }

    fn has_ended(&self) -> bool {
        self.topics.as_ref().is_some_and(|all| all.is_subset(&self.ended))
    }

    fn take(&mut self, block: Result<SseBlock, ParseError>) -> Result<(), CliError> {
        let block = match block {
            Ok(block) => block,
            Err(error) => {
                self.printer.note(NoteKind::Warning, &format!("warning: skipped: {error}"));
                return Ok(());
            }
        };
        // What is not printed does not move the cursor.
        if self.printer.is_full() {
            return Ok(());
        }
        if let Some(id) = block.id {
            self.stream.set_cursor(id);
        }
        let Some(data) = block.data else { return Ok(()) };
        match self.printer.event(&block.event, &data)? {
            // An event after the end means that a topic was reopened; it is not checked which one.
            Printed::Event => self.ended.clear(),
            // Ignore topics that were not requested.
            Printed::End(topic) if self.topics.as_ref().is_some_and(|all| all.contains(&topic)) => {
                self.ended.insert(topic);
            }
            Printed::End(_) | Printed::Notice => {}
        }
        Ok(())
    }
}
