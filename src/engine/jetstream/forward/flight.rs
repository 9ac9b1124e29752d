//! The units of a follower's session that are numbered and not all decided, and what decides them: an answer, the feed, or
//! the end of the session.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{
    codec::{ResultOrFeed, write_unit},
    unit::{Unit, UnitResult},
};
use crate::{
    engine::{AppendError, AppendResult, Receipt, log::queue::AppendPast},
    event::{NewEvent, Seq},
};

/// A unit that waits for its result.
pub(super) struct PendingUnit<R> {
    /// The follower's number of it.
    pub(super) n: u64,
    pub(super) unit: Unit,
    /// `None` when it is decided.
    reply: Option<R>,
    /// When it began to wait to be sent.
    pub(super) since: Instant,
    past: AppendPast,
    pub(super) bytes: usize,
    /// Its frame, when it was made and did not fit into the message.
    pub(super) frame: Option<Vec<u8>>,
    /// Its events that the feed has shown: index and receipt, in the order of the index.
    seen: Vec<(usize, Receipt)>,
    /// The leader's answer, which is passed on when the hub has applied the position.
    answer: Option<(ResultOrFeed, Seq)>,
    /// The leader has executed it with success.
    executed: bool,
    /// Events of it may be among those that were removed before this hub read them.
    doubtful: bool,
}

/// Units in flight.
pub(super) struct Flight<R> {
    units: VecDeque<PendingUnit<R>>,
    /// The number of `units[0]` in the session. Every smaller number is decided.
    first: u64,
    bytes: usize,
    /// What the hub has applied of the feed.
    applied: Seq,
    /// Results to pass on.
    results: Vec<(R, UnitResult)>,
}

/// A unit whose result is not known, and where to send it.
pub(crate) struct UndecidedUnit<R> {
    pub(crate) unit: Unit,
    pub(crate) past: AppendPast,
    pub(crate) reply: R,
}

impl<R> PendingUnit<R> {
    /// `past` is of an append; of other units when they were accepted.
    pub(super) fn new(n: u64, unit: Unit, past: AppendPast, reply: R, now: Instant) -> Self {
        let bytes = unit.bytes();
        let (seen, frame, answer) = (Vec::new(), None, None);
        let (executed, doubtful) = (false, false);
        Self { n, unit, reply: Some(reply), since: now, past, bytes, frame, seen, answer, executed, doubtful }
    }

    pub(super) fn take_frame(&mut self) -> Vec<u8> {
        self.frame.take().unwrap_or_else(|| write_unit(self.n, &self.unit))
    }

    /// It is not decided.
    pub(super) fn into_undecided(self) -> UndecidedUnit<R> {
        UndecidedUnit { unit: self.unit, past: self.past, reply: self.reply.expect("an undecided unit") }
    }

    /// Whether it is an append whose repetition does nothing as long as its key is known.
    fn has_key(&self) -> bool {
        matches!(&self.unit, Unit::Append(append) if append.key.is_some())
    }

    /// Whether it is an append that is older than `repeat`.
    pub(super) fn is_late(&self, now: Instant, repeat: Duration) -> bool {
        matches!(self.unit, Unit::Append(_) | Unit::Each(_))
            && now.saturating_duration_since(self.past.accepted) > repeat
    }

    fn is_decided(&self) -> bool {
        self.reply.is_none()
    }

    /// What the feed says when nothing of the unit will be committed any more; `None` when nothing of it was.
    fn by_feed(&mut self) -> Option<UnitResult> {
        if self.seen.is_empty() {
            return None;
        }
        let (seen, count) = (std::mem::take(&mut self.seen), self.unit.events().len());
        match &self.unit {
            Unit::Append(append) if seen.len() == count || self.doubtful => {
                // They have one time and consecutive positions.
                let (index, known) = &seen[0];
                let first = known.seq.0 - *index as u64;
                let receipt = |(event, seq): (&NewEvent, _)| Receipt {
                    topic: event.topic.clone(),
                    seq: Seq(seq),
                    ..known.clone()
                };
                Some(UnitResult::Append(Ok(append.events.iter().zip(first..).map(receipt).collect())))
            }
            Unit::Each(events) => {
                let unseen = |event: &NewEvent| {
                    if self.doubtful {
                        Err(in_doubt())
                    } else {
                        Err(AppendError::Closed { topic: event.topic.clone() })
                    }
                };
                let mut results: Vec<AppendResult> = events.iter().map(unseen).collect();
                for (index, receipt) in seen {
                    results[index] = Ok(receipt);
                }
                Some(UnitResult::Each(Ok(results)))
            }
            unit => {
                let reason = format!("{} of {count} events that belong together were stored", seen.len()).into();
                Some(unit.refused(AppendError::Unavailable { reason }))
            }
        }
    }

    /// The result when its answer is lost, the feed shows nothing of it, and it is not to be executed again. `executed`: the leader
    /// has executed it.
    fn lost_result(&self, executed: bool) -> UnitResult {
        let unknown = |reason: &str| AppendError::Unavailable { reason: reason.into() };
        let not_now = |reason: &str| AppendError::NotNow { reason: reason.into() };
        self.unit.refused(match &self.unit {
            Unit::Append(_) | Unit::Each(_) if self.doubtful => in_doubt(),
            // It may be the repetition of one that was stored.
            Unit::Append(_) if self.has_key() => {
                unknown("it may have been stored; the answer was lost when another hub began to write the log")
            }
            Unit::Append(_) | Unit::Each(_) if executed => {
                not_now("it was refused; why was lost when another hub began to write the log")
            }
            Unit::Append(_) | Unit::Each(_) => not_now("it has waited for too long"),
            _ => unknown("another hub began to write the log, and the change may have been made"),
        })
    }

    /// Whether it is safe to execute it when nothing of it was seen: it was not executed, or a second time does nothing.
    fn may_be_sent_again(&self) -> bool {
        match &self.unit {
            Unit::Append(append) => !self.doubtful || append.key.is_some(),
            Unit::Each(_) => !self.doubtful,
            // It may have changed what it depends on.
            Unit::Configure(_, change) => !change.is_conditional(),
            Unit::Delete(_) | Unit::Remove(..) => true,
        }
    }
}

impl<R> Flight<R> {
    pub(super) fn new() -> Self {
        Self { units: VecDeque::new(), first: 1, bytes: 0, applied: Seq::ZERO, results: Vec::new() }
    }

    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The number of the next unit.
    pub(super) fn end(&self) -> u64 {
        self.first + self.units.len() as u64
    }

    pub(super) fn len(&self) -> usize {
        self.units.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn applied_through(&self) -> Seq {
        self.applied
    }

    pub(super) fn push(&mut self, unit: PendingUnit<R>) {
        self.bytes += unit.bytes;
        self.units.push_back(unit);
    }

    /// The unit `number`, which is in flight.
    pub(super) fn unit_mut(&mut self, number: u64) -> &mut PendingUnit<R> {
        let at = usize::try_from(number - self.first).expect("a number in flight");
        &mut self.units[at]
    }

    /// A unit that waits is not executed, for this reason.
    pub(super) fn refuse(&mut self, unit: PendingUnit<R>, error: &AppendError) {
        let UndecidedUnit { unit, past, reply } = unit.into_undecided();
        self.results.push((reply, unit.refused(past.refusal(error))));
    }

    pub(super) fn take_results(&mut self) -> Vec<(R, UnitResult)> {
        std::mem::take(&mut self.results)
    }

    /// An event of the unit with the follower's number `n` is in the feed.
    pub(super) fn event_seen(&mut self, n: u64, index: u32, receipt: Receipt) {
        let Ok(at) = self.units.binary_search_by_key(&n, |unit| unit.n) else { return };
        let (unit, index) = (&mut self.units[at], index as usize);
        let repeated = unit.seen.last().is_some_and(|(last, _)| *last >= index);
        let count = unit.unit.events().len();
        if unit.is_decided() || repeated || index >= count {
            return;
        }
        unit.seen.push((index, receipt));
        if unit.seen.len() == count {
            self.decide_by_feed(at);
        }
        self.pop_decided();
    }

    /// The feed has skipped events that are gone.
    pub(super) fn skipped(&mut self) {
        self.units.iter_mut().for_each(|unit| unit.doubtful = true);
    }

    /// The leader's result of the unit `number`. Returns whether it is news.
    pub(super) fn answered(&mut self, number: u64, result: ResultOrFeed, at: Seq) -> bool {
        let index = number.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        let Some((index, unit)) = index.and_then(|index| Some((index, self.units.get_mut(index)?))) else {
            return false;
        };
        if unit.is_decided() || unit.answer.is_some() {
            return false;
        }
        let result = match result {
            ResultOrFeed::Known(result) if !unit.unit.admits(&result) => ResultOrFeed::SeeFeed,
            result => result,
        };
        unit.answer = Some((result, at));
        if at <= self.applied {
            self.pass_answer(index);
            self.pop_decided();
        }
        true
    }

    /// The hub has applied the feed through `position`.
    pub(super) fn applied(&mut self, position: Seq) {
        self.applied = self.applied.max(position);
        for index in 0..self.units.len() {
            if self.units[index].answer.as_ref().is_some_and(|(_, at)| *at <= self.applied) {
                self.pass_answer(index);
            }
        }
        self.pop_decided();
    }

    /// Ends the session: nothing of it will be committed after what the feed has shown. Decides its units, except those to
    /// send again, which it returns in order.
    ///
    /// An append that is older than `repeat` is not sent again: nobody waits for it, and it may have been repeated elsewhere, so
    /// long ago that its key is forgotten.
    pub(super) fn settle(&mut self, now: Instant, repeat: Duration) -> VecDeque<PendingUnit<R>> {
        for index in 0..self.units.len() {
            if self.units[index].answer.is_some() {
                self.pass_answer(index);
            } else if !self.units[index].is_decided() {
                self.decide_by_feed(index);
            }
        }
        // The leader executes in order, so what is before an executed unit was executed.
        let executed = self.units.iter().rposition(|unit| unit.executed).map_or(0, |last| last + 1);
        let mut again = VecDeque::new();
        let (units, results) = (std::mem::take(&mut self.units), &mut self.results);
        for (index, mut unit) in units.into_iter().enumerate() {
            let again_after = index >= executed || matches!(unit.unit, Unit::Remove(..));
            if !unit.is_decided() && again_after && unit.may_be_sent_again() && !unit.is_late(now, repeat) {
                let may_be_stored = unit.past.may_be_stored || unit.doubtful;
                let past = AppendPast { may_be_stored, ..unit.past };
                again.push_back(PendingUnit { since: now, past, doubtful: false, ..unit });
            } else if let Some(reply) = unit.reply.take() {
                results.push((reply, unit.lost_result(index < executed)));
            }
        }
        (self.first, self.bytes) = (1, 0);
        again
    }

    /// Passes the answer of a unit on.
    fn pass_answer(&mut self, index: usize) {
        let unit = &mut self.units[index];
        match unit.answer.take() {
            Some((ResultOrFeed::Known(result), _)) => self.decide(index, result),
            Some((ResultOrFeed::Refused(error), _)) => {
                let refused = unit.unit.refused(error);
                self.decide(index, refused);
            }
            Some((ResultOrFeed::SeeFeed, _)) if !self.decide_by_feed(index) => {
                let lost = self.units[index].lost_result(true);
                self.decide(index, lost);
            }
            Some((ResultOrFeed::SeeFeed, _)) | None => {}
        }
    }

    /// Decides a unit of which the feed has shown something.
    fn decide_by_feed(&mut self, index: usize) -> bool {
        let Some(result) = self.units[index].by_feed() else { return false };
        self.decide(index, result);
        self.units[index].executed = true;
        true
    }

    fn decide(&mut self, index: usize, result: UnitResult) {
        let unit = &mut self.units[index];
        if let Some(reply) = unit.reply.take() {
            unit.executed = result.error().is_none();
            self.results.push((reply, result));
        }
    }

    fn pop_decided(&mut self) {
        while self.units.front().is_some_and(PendingUnit::is_decided) {
            self.bytes -= self.units.pop_front().map_or(0, |unit| unit.bytes);
            self.first += 1;
        }
    }
}

/// The error of events of which nobody knows whether they were stored.
fn in_doubt() -> AppendError {
    let reason = "it may have been stored, and removed again before this hub saw it";
    AppendError::Unavailable { reason: reason.into() }
}
