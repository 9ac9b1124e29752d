//! Forwarding: how the appends of a follower reach the leader, each once and in order, over a network that may drop,
//! repeat, delay and reorder messages.
//!
//! No network in it: messages come in as bytes and go out as bytes, the caller passes the time. The follower's side is
//! [`FollowerSession`], the leader's is [`LeaderSessions`].
//!
//! **Session.** A follower opens a session with the hub that the newest leader record in the feed names; the leader answers
//! with a token that it never gives out again. Units are numbered from 1 in the session. The leader accepts unit k+1 only
//! after k and ignores a number that it has seen, so nothing is executed twice and the order is kept (go-back-N). A message of
//! another term or token executes nothing.
//!
//! **Lost answers.** A leader keeps results until the follower has acknowledged them, and repeats them when asked. When it has dropped
//! an idle session, it says up to which position that session can have committed (`Gone`).
//!
//! **A new leader.** Every event has the tag `<hub>.<unit>.<index>` (`JobTag`). The unit's number in it is
//! never used again in the life of the process that has the hub id. When a leader record (or the position of a `Gone`)
//! appears in the feed, what was committed in the old session has appeared before it, and nothing more of it ever will. So
//! units that were not seen are sent again in the new session, except those before a unit that was seen: they were
//! executed and refused, and to execute them now would change the order.
//!
//! What the caller must guarantee:
//! 1. A unit's events are in one atomic write, with one time and consecutive positions. Units are executed in the order of [`LeaderSessions::handle`].
//! 2. A forwarded unit is never executed in a later term: when a hub stops leading, the forwarded units in its queue are dropped
//!    (after [`LeaderSessions::step_down`], their results are not wanted any more).
//! 3. [`LeaderSessions::complete`] is called with final results only: committed, or refused and never to be committed. A unit that
//!    was fenced has no result.
//! 4. [`FollowerSession::event_seen`], `feed_skipped`, `applied` and `leader_seen` are called in the order of the feed, each
//!    after the hub itself has applied what it is about.
//! 5. One [`FollowerSession`] in the life of a hub id, also while the hub leads: it numbers the units.
//!
//! | module | idea |
//! |---|---|
//! | `unit` | hub ids, units and their results |
//! | `codec` | units, results, requests and answers as bytes |
//! | `flight` | the units that the follower has sent, and how they are decided |
//! | `follower`, `leader` | the two sides |
//! | `limits` | every bound of both |

mod codec;
mod flight;
mod follower;
mod leader;
mod limits;
#[cfg(test)]
mod tests;
mod unit;

#[cfg(test)]
use codec::ForwardCodecError;
pub(crate) use flight::UndecidedUnit;
pub(crate) use follower::FollowerSession;
pub(crate) use leader::{ForwardedUnit, LeaderSessions, UnitTicket};
pub(crate) use limits::ForwardLimits;
pub(crate) use unit::{HubId, Unit, UnitResult};
