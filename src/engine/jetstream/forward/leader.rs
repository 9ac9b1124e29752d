//! The leader's side.

use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

use super::{
    codec::{
        ForwardAnswer, ForwardCall, ForwardCodecError, ForwardReply, ForwardRequest, FrameReader, begin, other_version,
        read_unit, write_refusal, write_result,
    },
    limits::ForwardLimits,
    unit::{HubId, Unit, UnitResult},
};
use crate::{engine::AppendError, event::Seq};

/// A leader's sessions with its followers, for one term.
pub(crate) struct LeaderSessions {
    me: HubId,
    term: u64,
    limits: ForwardLimits,
    sessions: HashMap<HubId, LeaderSession>,
    /// The newest token. Never given out again.
    last_token: u64,
}

/// A unit to execute.
#[derive(Debug)]
pub(crate) struct ForwardedUnit {
    /// For [`LeaderSessions::complete`].
    pub(crate) ticket: UnitTicket,
    /// The follower's number of it, for the tags of its events.
    pub(crate) n: u64,
    /// What to execute.
    pub(crate) unit: Unit,
}

/// Which unit of which session is executed. `hub` is the follower.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnitTicket {
    pub(crate) hub: HubId,
    /// A late result of an earlier term is not one of this term's.
    term: u64,
    token: u64,
    number: u64,
}

/// What a request leads to.
#[derive(Debug, Default)]
pub(crate) struct HandledRequest {
    /// Units to execute, in this order, after those of every earlier request.
    pub(crate) execute: Vec<ForwardedUnit>,
    /// The answer to send to the request's sender at once.
    pub(crate) answer: Option<Vec<u8>>,
}

struct LeaderSession {
    nonce: u64,
    token: u64,
    heard: Instant,
    /// The accepted units from number `first` on, as far as they are not acknowledged.
    units: VecDeque<AcceptedUnit>,
    first: u64,
    /// The follower knows the results through this number.
    acked: u64,
    /// Units in `units` that are executed now.
    executing: usize,
    /// The round of a request that left out the next number.
    hole: Option<u64>,
    /// The follower asked, and is answered also without a result.
    asked: bool,
    /// The first parts of the next unit.
    parts: Parts,
}

enum AcceptedUnit {
    Executing,
    /// The frame of its result, and whether it was sent.
    Done(Vec<u8>, bool),
}

#[derive(Default)]
struct Parts {
    count: u32,
    bytes: Vec<u8>,
}

impl LeaderSessions {
    /// No sessions. `term` is the position of this leader's record.
    pub(crate) fn new(me: HubId, term: Seq, limits: ForwardLimits) -> Self {
        Self { me, term: term.0, limits, sessions: HashMap::new(), last_token: 0 }
    }

    /// Takes a request. `head` is the newest position that is durable here: no completed unit is after it.
    ///
    /// # Errors
    /// When it is malformed; nothing was done then. A request of another version is answered.
    pub(crate) fn handle(
        &mut self,
        now: Instant,
        head: Seq,
        bytes: &[u8],
    ) -> Result<HandledRequest, ForwardCodecError> {
        let mut frames = match FrameReader::message(bytes) {
            Ok(frames) => frames,
            Err(ForwardCodecError::Version(_)) => return Ok(HandledRequest::answered(other_version())),
            Err(error) => return Err(error),
        };
        let request: ForwardRequest = frames.head()?;
        if request.to != self.me || request.term != self.term {
            return Ok(HandledRequest::answered(not_leader(&self.me, &request)));
        }
        let (token, ack) = match request.call {
            ForwardCall::Open { nonce } => {
                let say = self.open(now, &request.from, nonce);
                return Ok(HandledRequest { answer: say.map(|say| self.answer(&request.from, say)), execute: vec![] });
            }
            ForwardCall::Units { token, ack, .. }
            | ForwardCall::Part { token, ack, .. }
            | ForwardCall::Ask { token, ack, .. } => (token, ack),
        };
        let max_units = self.limits.window_units;
        let Some(session) = self.sessions.get_mut(&request.from).filter(|session| session.token == token) else {
            let gone = ForwardReply::Gone { token, at: head.0 };
            return Ok(HandledRequest::answered(self.answer(&request.from, gone)));
        };
        // Every frame is looked at before anything is done.
        let frames = frames.collect::<Result<Vec<_>, _>>()?;
        session.heard = now;
        session.acknowledge(ack);
        let mut execute = Vec::new();
        match request.call {
            ForwardCall::Units { round, first, .. } => {
                for (number, frame) in (first..).zip(frames) {
                    if !session.is_next(number, round, max_units) {
                        continue;
                    }
                    execute.extend(session.accept((&request.from, self.term), read_unit(frame), head));
                }
            }
            ForwardCall::Part { round, number, part, parts, .. } => {
                if session.is_next(number, round, max_units) {
                    let [frame] = frames[..] else {
                        return Err(ForwardCodecError::Malformed("a part has one frame".into()));
                    };
                    if session.add_part(frame.data, round, (part, parts), &self.limits) {
                        let whole = std::mem::take(&mut session.parts).bytes;
                        let unit = FrameReader::frames(&whole).next();
                        let unit = unit.unwrap_or(Err(ForwardCodecError::Malformed("an empty unit".into())));
                        execute.extend(session.accept((&request.from, self.term), unit.and_then(read_unit), head));
                    }
                }
            }
            ForwardCall::Ask { round, sent, .. } => {
                session.asked = true;
                session.repeat_results();
                if sent >= session.expects() {
                    session.hole = Some(round);
                }
            }
            ForwardCall::Open { .. } => {}
        }
        Ok(HandledRequest { execute, answer: None })
    }

    /// A unit was executed. `at` is the newest position that is durable here, so that the follower passes the result on when it
    /// has applied what the result is about. Does nothing when the session is gone. Call [`LeaderSessions::flush`] afterwards.
    pub(crate) fn complete(&mut self, ticket: &UnitTicket, result: &UnitResult, at: Seq) {
        let max = self.limits.message_bytes;
        let session = self.sessions.get_mut(&ticket.hub).filter(|session| session.token == ticket.token);
        let session = session.filter(|_| ticket.term == self.term);
        if let Some(session) = session {
            session.complete(ticket.number, write_result(ticket.number, at, result, max));
        }
    }

    /// The answers that have become due, each for the follower with this id.
    pub(crate) fn flush(&mut self) -> Vec<(HubId, Vec<u8>)> {
        let max = self.limits.message_bytes;
        let mut answers = Vec::new();
        for (hub, session) in &mut self.sessions {
            for (expects, hole, body) in session.take_answers(max) {
                let say = ForwardReply::Results { token: session.token, expects, hole };
                let mut message = answer(&self.me, self.term, hub, say);
                message.extend(body);
                answers.push((hub.clone(), message));
            }
        }
        answers
    }

    /// Drops the sessions in which nothing is executed, and nothing was heard for some time. Call it every few seconds.
    pub(crate) fn drop_idle(&mut self, now: Instant) {
        let idle = self.limits.idle;
        self.sessions.retain(|_, session| session.executing > 0 || now.saturating_duration_since(session.heard) < idle);
    }

    /// This hub does not lead any more. The answers tell the followers; they find out the results from the feed. Results
    /// of units that are still executed are not wanted.
    pub(crate) fn step_down(self) -> Vec<(HubId, Vec<u8>)> {
        let refused =
            |hub: &HubId| answer(&self.me, self.term, hub, ForwardReply::Refused { reason: NOT_LEADER.into() });
        self.sessions.keys().map(|hub| (hub.clone(), refused(hub))).collect()
    }

    /// The answer of the hub `me`, which does not lead, to a request.
    ///
    /// # Errors
    /// When it is malformed.
    pub(crate) fn refuse(me: &HubId, bytes: &[u8]) -> Result<Vec<u8>, ForwardCodecError> {
        match FrameReader::message(bytes) {
            Ok(mut frames) => Ok(not_leader(me, &frames.head()?)),
            Err(ForwardCodecError::Version(_)) => Ok(other_version()),
            Err(error) => Err(error),
        }
    }

    /// The answer to an opening request. `None` to wait for the next one.
    fn open(&mut self, now: Instant, from: &HubId, nonce: u64) -> Option<ForwardReply> {
        if let Some(session) = self.sessions.get_mut(from) {
            if session.nonce == nonce {
                session.heard = now;
                return Some(ForwardReply::Opened { nonce, token: session.token });
            }
            // A late request is not answered. A new session begins when nothing of the old one is executed.
            if nonce < session.nonce || session.executing > 0 {
                return None;
            }
        } else if self.sessions.len() >= self.limits.sessions {
            return Some(ForwardReply::Refused { reason: "too many hubs send to the one that writes the log".into() });
        }
        self.last_token += 1;
        let token = self.last_token;
        self.sessions.insert(from.clone(), LeaderSession::new(nonce, token, now));
        Some(ForwardReply::Opened { nonce, token })
    }

    fn answer(&self, to: &HubId, say: ForwardReply) -> Vec<u8> {
        answer(&self.me, self.term, to, say)
    }
}

impl HandledRequest {
    fn answered(answer: Vec<u8>) -> Self {
        Self { execute: Vec::new(), answer: Some(answer) }
    }
}

impl LeaderSession {
    fn new(nonce: u64, token: u64, now: Instant) -> Self {
        Self {
            nonce,
            token,
            heard: now,
            units: VecDeque::new(),
            first: 1,
            acked: 0,
            executing: 0,
            hole: None,
            asked: false,
            parts: Parts::default(),
        }
    }

    /// The next number to accept.
    fn expects(&self) -> u64 {
        self.first + self.units.len() as u64
    }

    /// Whether the number is the next one, and the window has room. Notes a hole.
    fn is_next(&mut self, number: u64, round: u64, max_units: usize) -> bool {
        if number > self.expects() {
            self.hole = Some(round);
        }
        number == self.expects() && self.units.len() < max_units
    }

    /// Accepts the next number. A unit that cannot be read is refused, and is not executed.
    fn accept(
        &mut self,
        (from, term): (&HubId, u64),
        unit: Result<(u64, Unit), ForwardCodecError>,
        head: Seq,
    ) -> Option<ForwardedUnit> {
        let ticket = UnitTicket { hub: from.clone(), term, token: self.token, number: self.expects() };
        self.units.push_back(AcceptedUnit::Executing);
        self.executing += 1;
        self.parts = Parts::default();
        match unit {
            Ok((n, unit)) => Some(ForwardedUnit { ticket, n, unit }),
            Err(error) => {
                let reason = format!("the hub that writes the log cannot read this: {error}").into();
                self.complete(ticket.number, write_refusal(ticket.number, head, &AppendError::NotNow { reason }));
                None
            }
        }
    }

    /// Adds a part of the next unit. Returns whether it is the last one.
    fn add_part(&mut self, data: &[u8], round: u64, (part, parts): (u32, u32), limits: &ForwardLimits) -> bool {
        if part == 0 {
            self.parts = Parts::default();
        }
        // Its parts are sent again from the first one.
        if part != self.parts.count || self.parts.bytes.len() + data.len() > limits.unit_bytes.saturating_mul(2) {
            self.hole = Some(round);
            return false;
        }
        self.parts.count += 1;
        self.parts.bytes.extend_from_slice(data);
        self.parts.count == parts
    }

    fn complete(&mut self, number: u64, frame: Vec<u8>) {
        let at = number.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        if let Some(unit @ AcceptedUnit::Executing) = at.and_then(|at| self.units.get_mut(at)) {
            *unit = AcceptedUnit::Done(frame, false);
            self.executing -= 1;
            self.forget_known();
        }
    }

    fn acknowledge(&mut self, ack: u64) {
        self.acked = self.acked.max(ack.min(self.expects() - 1));
        self.forget_known();
    }

    /// The follower may know of an effect from the feed before its execution has ended here.
    fn forget_known(&mut self) {
        while self.first <= self.acked && matches!(self.units.front(), Some(AcceptedUnit::Done(..))) {
            self.units.pop_front();
            self.first += 1;
        }
    }

    fn repeat_results(&mut self) {
        for unit in &mut self.units {
            if let AcceptedUnit::Done(_, sent) = unit {
                *sent = false;
            }
        }
    }

    /// The answers that are due: the next number, the hole, and frames of about `max` bytes.
    fn take_answers(&mut self, max: usize) -> Vec<(u64, Option<u64>, Vec<u8>)> {
        let (mut answers, mut body) = (Vec::new(), Vec::new());
        let expects = self.expects();
        let mut hole = self.hole.take();
        for unit in &mut self.units {
            let AcceptedUnit::Done(frame, sent @ false) = unit else { continue };
            *sent = true;
            if !body.is_empty() && body.len() + frame.len() > max {
                answers.push((expects, hole.take(), std::mem::take(&mut body)));
            }
            body.extend_from_slice(frame);
        }
        if !body.is_empty() || hole.is_some() || (self.asked && answers.is_empty()) {
            answers.push((expects, hole, body));
        }
        self.asked = false;
        answers
    }
}

const NOT_LEADER: &str = "the hub that wrote the log does not write it any more";

fn not_leader(me: &HubId, request: &ForwardRequest) -> Vec<u8> {
    answer(me, request.term, &request.from, ForwardReply::Refused { reason: NOT_LEADER.into() })
}

fn answer(from: &HubId, term: u64, to: &HubId, say: ForwardReply) -> Vec<u8> {
    begin(&ForwardAnswer { to: to.clone(), from: from.clone(), term, say })
}
