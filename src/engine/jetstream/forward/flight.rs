//! The units of a follower's session that are numbered and not all decided, and what decides them: an answer, the feed, or
//! the end of the session.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use super::{
    codec::{ResultOrFeed, write_unit},
    unit::{Unit, UnitResult},
};
use crate::{
    engine::{AppendError, AppendResult, Receipt},
    event::Seq,
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
    pub(super) bytes: usize,
    /// Its frame, when it was made and did not fit into the message.
    pub(super) frame: Option<Vec<u8>>,
    /// Its events that the feed has shown: index and receipt, in the order of the index.
    seen: Vec<(usize, Receipt)>,
    /// The leader's answer, which is passed on when the hub has applied the position.
    answer: Option<(ResultOrFeed, Seq)>,
    /// The leader has executed it with success.
    executed: bool,
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

impl<R> PendingUnit<R> {
    pub(super) fn new(n: u64, unit: Unit, reply: R, now: Instant) -> Self {
        let bytes = unit.bytes();
        let (seen, frame, answer) = (Vec::new(), None, None);
        Self { n, unit, reply: Some(reply), since: now, bytes, frame, seen, answer, executed: false }
    }

    pub(super) fn take_frame(&mut self) -> Vec<u8> {
        self.frame.take().unwrap_or_else(|| write_unit(self.n, &self.unit))
    }

    /// The unit and its reply. It is not decided.
    pub(super) fn into_parts(self) -> (Unit, R) {
        (self.unit, self.reply.expect("an undecided unit"))
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
            Unit::Append(_) if seen.len() == count => {
                Some(UnitResult::Append(Ok(seen.into_iter().map(|(_, receipt)| receipt).collect())))
            }
            Unit::Each(events) => {
                let closed = |event: &crate::event::NewEvent| Err(AppendError::Closed { topic: event.topic.clone() });
                let mut results: Vec<AppendResult> = events.iter().map(closed).collect();
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

    pub(super) fn refuse(&mut self, unit: PendingUnit<R>, error: AppendError) {
        let (unit, reply) = unit.into_parts();
        self.results.push((reply, unit.refused(error)));
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
    pub(super) fn settle(&mut self, now: Instant) -> VecDeque<PendingUnit<R>> {
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
            let Some(reply) = unit.reply.take() else { continue };
            if index < executed && !matches!(unit.unit, Unit::Remove(..)) {
                results.push((reply, unit.unit.refused(lost_result(&unit.unit))));
            } else {
                again.push_back(PendingUnit { reply: Some(reply), since: now, ..unit });
            }
        }
        (self.first, self.bytes) = (1, 0);
        again
    }

    /// Passes the answer of a unit on.
    fn pass_answer(&mut self, index: usize) {
        let unit = &mut self.units[index];
        match unit.answer.take() {
            None => {}
            Some((ResultOrFeed::Known(result), _)) => self.decide(index, result),
            Some((ResultOrFeed::Refused(error), _)) => {
                let refused = unit.unit.refused(error);
                self.decide(index, refused);
            }
            Some((ResultOrFeed::SeeFeed, _)) => {
                if !self.decide_by_feed(index) {
                    let unit = &self.units[index].unit;
                    let refused = unit.refused(lost_result(unit));
                    self.decide(index, refused);
                }
            }
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

/// The error of a unit that was executed by a leader whose answer is lost. Nothing of an append was written.
fn lost_result(unit: &Unit) -> AppendError {
    let reason: Arc<str> = match unit {
        Unit::Append(_) | Unit::Each(_) => "it was refused, and why was lost when another hub began to write the log",
        _ => "another hub began to write the log, and the change may have been made; repeat it",
    }
    .into();
    AppendError::NotNow { reason }
}
