//! The follower's side.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    codec::{
        ForwardAnswer, ForwardCall, ForwardCodecError, ForwardReply, ForwardRequest, FrameReader, FramedResult, begin,
        part_frame, read_result,
    },
    flight::{Flight, PendingUnit, UndecidedUnit},
    limits::{ForwardLimits, HEAD_BYTES},
    unit::{HubId, UnitResult},
};
use crate::{
    engine::{AppendError, Receipt},
    event::Seq,
};

/// Sends a hub's units to the leader, and finds out their results. `R` is what the caller needs to pass a result on; each
/// is returned exactly once: with a result by [`FollowerSession::poll`], or with its unit by
/// [`FollowerSession::promoted`].
pub(crate) struct FollowerSession<R> {
    me: HubId,
    limits: ForwardLimits,
    /// The number of the newest unit, in the life of the process.
    last_unit: u64,
    /// The number of the newest session.
    nonce: u64,
    leader: Option<KnownLeader>,
    /// Units without a number in the session. Their bytes are bounded by the queue that they come from.
    waiting: VecDeque<PendingUnit<R>>,
    flight: Flight<R>,
    /// The next number to send.
    cursor: u64,
    /// The last number of each message in flight.
    messages: VecDeque<u64>,
    /// Raised when units are sent again, so that each hole is filled once.
    round: u64,
    /// When to ask, or to open again.
    retry_at: Option<Instant>,
    backoff: Duration,
    /// Why the leader takes nothing now.
    refusal: Option<Arc<str>>,
}

struct KnownLeader {
    hub: HubId,
    term: u64,
    link: LeaderLink,
}

/// The state of a session.
enum LeaderLink {
    Opening,
    Open {
        token: u64,
    },
    /// The leader has dropped it, and all that it has committed is at most at `at`.
    Gone {
        at: Seq,
    },
}

/// What is to be done after a [`FollowerSession::poll`].
pub(crate) struct FollowerStep<R> {
    /// Messages to send to this leader, in order.
    pub(crate) send: Vec<(HubId, Vec<u8>)>,
    /// Results to pass on.
    pub(crate) results: Vec<(R, UnitResult)>,
    /// When to poll again, if nothing happens before.
    pub(crate) wake: Option<Instant>,
}

impl<R> FollowerSession<R> {
    /// A follower without a leader. `me` was never used by another process.
    pub(crate) fn new(me: HubId, limits: ForwardLimits) -> Self {
        Self {
            me,
            limits,
            last_unit: 0,
            nonce: 0,
            leader: None,
            waiting: VecDeque::new(),
            flight: Flight::new(),
            cursor: 1,
            messages: VecDeque::new(),
            round: 0,
            retry_at: None,
            backoff: limits.retry,
            refusal: None,
        }
    }

    /// Adds a unit. Its result comes from a later [`FollowerSession::poll`]; also when it is too large.
    pub(crate) fn push(&mut self, now: Instant, left: UndecidedUnit<R>) {
        self.last_unit += 1;
        let UndecidedUnit { unit, past, reply } = left;
        let unit = PendingUnit::new(self.last_unit, unit, past, reply, now);
        let (bytes, max) = (unit.bytes, self.limits.unit_bytes);
        if bytes > max {
            self.flight.refuse(unit, &AppendError::TooLarge { bytes, max });
        } else {
            self.waiting.push_back(unit);
        }
    }

    /// The hub has applied an event with this hub's id in its tag: the event at `index` of the unit with the number `unit`.
    pub(crate) fn event_seen(&mut self, unit: u64, index: u32, receipt: Receipt) {
        self.flight.event_seen(unit, index, receipt);
    }

    /// The feed skips positions whose messages are gone: events that were trimmed, removed or deleted before this hub has read
    /// them. Call it before `applied` and `leader_seen` of a later position. An append in flight of which the feed shows
    /// nothing is then neither stored nor not stored, and if its leader ends without an answer, it fails as
    /// [`AppendError::Unavailable`], which nobody repeats by himself.
    pub(crate) fn feed_skipped(&mut self) {
        self.flight.skipped();
    }

    /// The hub has applied the feed through `position`.
    pub(crate) fn applied(&mut self, position: Seq) {
        self.flight.applied(position);
    }

    /// The feed has a leader record of another hub, at the position `term`. Everything before it was reported.
    pub(crate) fn leader_seen(&mut self, now: Instant, hub: HubId, term: Seq) {
        self.end_session(now);
        self.flight.applied(term);
        self.leader = Some(KnownLeader { hub, term: term.0, link: LeaderLink::Opening });
    }

    /// This hub is the leader since its record at the position `term`, and everything before it was reported. Returns the units to
    /// execute, in order, before any other of this hub. Poll for the results of the others.
    pub(crate) fn promoted(&mut self, now: Instant, term: Seq) -> Vec<UndecidedUnit<R>> {
        self.end_session(now);
        self.flight.applied(term);
        self.leader = None;
        self.waiting.drain(..).map(PendingUnit::into_undecided).collect()
    }

    /// A message from a leader.
    ///
    /// # Errors
    /// When it is not a message of this version; nothing was done then, except with an answer of another version: units
    /// that were not sent are refused.
    pub(crate) fn message(&mut self, now: Instant, bytes: &[u8]) -> Result<(), ForwardCodecError> {
        let mut frames = match FrameReader::message(bytes) {
            Ok(frames) => frames,
            Err(error) => {
                if matches!(error, ForwardCodecError::Version(_)) {
                    self.other_version(&error);
                }
                return Err(error);
            }
        };
        let answer: ForwardAnswer = frames.head()?;
        let Some(leader) = self.leader.as_mut() else { return Ok(()) };
        if answer.to != self.me || answer.from != leader.hub || answer.term != leader.term {
            return Ok(());
        }
        match (answer.say, &leader.link) {
            (ForwardReply::Opened { nonce, token }, LeaderLink::Opening) if nonce == self.nonce => {
                leader.link = LeaderLink::Open { token };
                self.progress();
            }
            (ForwardReply::Gone { token, at }, LeaderLink::Open { token: own }) if token == *own => {
                leader.link = LeaderLink::Gone { at: Seq(at) };
            }
            (ForwardReply::Results { token, expects, hole }, LeaderLink::Open { token: own }) if token == *own => {
                return self.results(now, expects, hole, frames);
            }
            (ForwardReply::Refused { reason }, LeaderLink::Opening | LeaderLink::Open { .. }) => {
                self.refusal = Some(reason.as_str().into());
            }
            _ => {}
        }
        Ok(())
    }

    /// Does what is due. Call it after each of the other calls, or several of them, and at [`FollowerStep::wake`].
    pub(crate) fn poll(&mut self, now: Instant) -> FollowerStep<R> {
        self.refuse_late(now);
        let gone = self.leader.as_ref().is_some_and(
            |leader| matches!(leader.link, LeaderLink::Gone { at } if at <= self.flight.applied_through()),
        );
        if gone {
            self.end_session(now);
            self.leader.as_mut().expect("just seen").link = LeaderLink::Opening;
        }
        let mut send = Vec::new();
        match self.leader.as_ref().map(|leader| &leader.link) {
            Some(LeaderLink::Opening) if !self.waiting.is_empty() => self.open(now, &mut send),
            Some(LeaderLink::Open { token }) => {
                let token = *token;
                while self.send_units(token, &mut send) {}
                self.ask(now, token, &mut send);
            }
            _ => self.retry_at = None,
        }
        let hub = self.leader.as_ref().map(|leader| leader.hub.clone());
        let send = send.into_iter().filter_map(|message| Some((hub.clone()?, message))).collect();
        let late = self.waiting.front().map(|unit| unit.since + self.limits.wait);
        FollowerStep { send, results: self.flight.take_results(), wake: self.retry_at.into_iter().chain(late).min() }
    }

    fn open(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        if self.retry_at.is_none_or(|at| at <= now) {
            if self.retry_at.is_none() {
                self.nonce += 1;
            }
            send.push(self.request(ForwardCall::Open { nonce: self.nonce }));
            self.retry_later(now);
        }
    }

    fn ask(&mut self, now: Instant, token: u64, send: &mut Vec<Vec<u8>>) {
        if self.flight.len() == 0 {
            self.retry_at = None;
        } else if let Some(at) = self.retry_at {
            if at <= now {
                let (ack, round) = (self.flight.first() - 1, self.round);
                send.push(self.request(ForwardCall::Ask { token, ack, round, sent: self.cursor - 1 }));
                self.retry_later(now);
            }
        } else {
            self.retry_at = Some(now + self.backoff);
        }
    }

    /// Makes the next message of units, or the messages of a large one.
    fn send_units(&mut self, token: u64, send: &mut Vec<Vec<u8>>) -> bool {
        // What was to be sent again may be decided meanwhile.
        self.cursor = self.cursor.max(self.flight.first());
        let (first, mut body, max) = (self.cursor, Vec::new(), self.limits.message_bytes);
        while self.cursor < self.flight.end() || self.admit() {
            let unit = self.flight.unit_mut(self.cursor);
            let frame = unit.take_frame();
            if !body.is_empty() && body.len() + frame.len() > max {
                unit.frame = Some(frame);
                break;
            }
            self.cursor += 1;
            body.extend(frame);
            if body.len() > max {
                break;
            }
        }
        if self.cursor == first {
            return false;
        }
        let (ack, round) = (self.flight.first() - 1, self.round);
        if body.len() <= max {
            let mut message = self.request(ForwardCall::Units { token, ack, round, first });
            message.extend(body);
            send.push(message);
        } else {
            let parts = u32::try_from(body.len().div_ceil(max)).expect("below the largest unit");
            for (part, bytes) in (0..).zip(body.chunks(max)) {
                let mut message = self.request(ForwardCall::Part { token, ack, round, number: first, part, parts });
                message.extend(part_frame(bytes));
                send.push(message);
            }
        }
        self.messages.push_back(self.cursor - 1);
        true
    }

    /// Gives the next waiting unit a number, if the window has room.
    fn admit(&mut self) -> bool {
        while self.messages.front().is_some_and(|last| *last < self.flight.first()) {
            self.messages.pop_front();
        }
        let Some(next) = self.waiting.front() else { return false };
        let fits = self.flight.len() == 0 || self.flight.bytes() + next.bytes <= self.limits.window_bytes;
        if !fits || self.flight.len() >= self.limits.window_units || self.messages.len() >= self.limits.window_messages
        {
            return false;
        }
        self.flight.push(self.waiting.pop_front().expect("just seen"));
        true
    }

    fn results(
        &mut self,
        now: Instant,
        expects: u64,
        hole: Option<u64>,
        frames: FrameReader<'_>,
    ) -> Result<(), ForwardCodecError> {
        let mut news = false;
        for frame in frames {
            let FramedResult { number, at, result } = read_result(frame?)?;
            news |= self.flight.answered(number, result, at);
        }
        // Decided numbers are known to the leader, so a hole is never among them.
        if hole == Some(self.round) && (self.flight.first()..self.cursor).contains(&expects) {
            self.cursor = expects;
            self.round += 1;
            self.messages.clear();
            self.retry_at = Some(now + self.backoff);
        }
        if news {
            self.progress();
        }
        Ok(())
    }

    /// Ends the session with the units that are decided now; the others wait again.
    fn end_session(&mut self, now: Instant) {
        for unit in self.flight.settle(now, self.limits.repeat).into_iter().rev() {
            self.waiting.push_front(unit);
        }
        self.cursor = 1;
        self.messages.clear();
        self.progress();
    }

    /// Refuses all units that wait to be sent: nothing was written of them. Returns the results that are known.
    pub(crate) fn refuse_waiting(&mut self, error: &AppendError) -> Vec<(R, UnitResult)> {
        for unit in self.waiting.drain(..) {
            self.flight.refuse(unit, error);
        }
        self.flight.take_results()
    }

    /// Refuses units that wait to be sent for too long, and appends that are too old: nothing was written of them.
    fn refuse_late(&mut self, now: Instant) {
        let ForwardLimits { wait, repeat, .. } = self.limits;
        while self.waiting.front().is_some_and(|unit| unit.since + wait <= now || unit.is_late(now, repeat)) {
            let unit = self.waiting.pop_front().expect("just seen");
            let reason = match (&self.refusal, &self.leader) {
                (Some(reason), _) => Arc::clone(reason),
                (None, Some(_)) => "the hub that writes the log does not answer".into(),
                (None, None) => "no hub writes the log now".into(),
            };
            self.flight.refuse(unit, &AppendError::NotNow { reason });
        }
    }

    fn other_version(&mut self, error: &ForwardCodecError) {
        let opening = self.leader.as_ref().is_some_and(|leader| matches!(leader.link, LeaderLink::Opening));
        if opening {
            let reason: Arc<str> = error.to_string().into();
            for unit in self.waiting.drain(..) {
                self.flight.refuse(unit, &AppendError::NotNow { reason: Arc::clone(&reason) });
            }
            self.refusal = Some(reason);
        }
    }

    fn progress(&mut self) {
        (self.retry_at, self.backoff, self.refusal) = (None, self.limits.retry, None);
    }

    fn retry_later(&mut self, now: Instant) {
        self.retry_at = Some(now + self.backoff);
        self.backoff = (self.backoff * 2).min(self.limits.longest_retry);
    }

    fn request(&self, call: ForwardCall) -> Vec<u8> {
        let leader = self.leader.as_ref().expect("a leader to send to");
        let head = ForwardRequest { to: leader.hub.clone(), term: leader.term, from: self.me.clone(), call };
        let message = begin(&head);
        debug_assert!(message.len() <= HEAD_BYTES, "a head of {} bytes", message.len());
        message
    }
}
