//! The rules, one by one.

use std::time::{Duration, Instant};

use super::{SMALL, append, event, log::receipt, topic, undecided};
use crate::engine::jetstream::forward::{
    FollowerSession, ForwardLimits, ForwardedUnit, HubId, LeaderSessions, Unit, UnitResult,
};
use crate::{
    engine::{Append, AppendError, ExpectedLast, IdempotencyKey, MetadataChange, Receipt, TopicChange},
    event::{Metadata, Seq},
};

fn hub(name: &str) -> HubId {
    HubId::new(name).expect("an id")
}

/// A follower and a leader of the term 1; the head is at 50, and the follower has applied it.
struct Pair {
    now: Instant,
    follower: FollowerSession<u32>,
    leader: LeaderSessions,
    results: Vec<(u32, UnitResult)>,
}

impl Pair {
    fn new(limits: ForwardLimits) -> Self {
        let now = Instant::now();
        let mut follower = FollowerSession::new(hub("f"), limits);
        follower.leader_seen(now, hub("l"), Seq(1));
        follower.applied(Seq(50));
        Self { now, follower, leader: LeaderSessions::new(hub("l"), Seq(1), limits), results: Vec::new() }
    }

    fn push(&mut self, caller: u32, unit: Unit) {
        self.follower.push(self.now, undecided(unit, caller, self.now));
    }

    fn poll(&mut self) -> Vec<Vec<u8>> {
        let step = self.follower.poll(self.now);
        self.results.extend(step.results);
        step.send.into_iter().map(|(_, bytes)| bytes).collect()
    }

    fn handle(&mut self, requests: &[Vec<u8>]) -> Vec<ForwardedUnit> {
        let mut execute = Vec::new();
        for request in requests {
            let handled = self.leader.handle(self.now, Seq(50), request).expect("a request");
            execute.extend(handled.execute);
            if let Some(answer) = handled.answer {
                self.follower.message(self.now, &answer).expect("an answer");
            }
        }
        execute
    }

    /// Opens the session and returns the units of the first messages.
    fn open(&mut self) -> Vec<ForwardedUnit> {
        let requests = self.poll();
        assert!(self.handle(&requests).is_empty(), "an opening request");
        let requests = self.poll();
        self.handle(&requests)
    }

    fn answer(&mut self) {
        for (_, bytes) in self.leader.flush() {
            self.follower.message(self.now, &bytes).expect("an answer");
        }
    }

    fn wait(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }
}

fn one(data: &str) -> Unit {
    Unit::Append(append(vec![event("a", data)]))
}

fn done(position: usize) -> UnitResult {
    UnitResult::Append(Ok(vec![receipt(&topic("a"), position)]))
}

fn numbers(units: &[ForwardedUnit]) -> Vec<u64> {
    units.iter().map(|unit| unit.n).collect()
}

#[test]
fn units_gather_while_a_few_messages_are_in_flight() {
    let mut pair = Pair::new(SMALL);
    for caller in 0..8 {
        pair.push(caller, one("x"));
        if caller == 0 {
            assert_eq!(numbers(&pair.open()), [1]);
        } else {
            let requests = pair.poll();
            assert_eq!(requests.len(), usize::from(caller == 1), "the window has two messages");
            pair.handle(&requests);
        }
    }
    pair.follower.event_seen(1, 0, receipt(&topic("a"), 40));
    let requests = pair.poll();
    assert_eq!(
        (requests.len(), numbers(&pair.handle(&requests))),
        (1, vec![3, 4, 5, 6, 7, 8]),
        "as many as fit into one"
    );
    assert_eq!(pair.results, [(0, done(40))]);
}

#[test]
fn a_result_is_passed_on_when_the_hub_has_applied_it() {
    let mut pair = Pair::new(SMALL);
    pair.push(1, one("x"));
    let units = pair.open();
    pair.leader.complete(&units[0].ticket, &done(60), Seq(60));
    pair.answer();
    pair.poll();
    assert_eq!(pair.results, []);
    pair.follower.applied(Seq(59));
    pair.poll();
    assert_eq!(pair.results, []);
    pair.follower.applied(Seq(60));
    pair.poll();
    assert_eq!(pair.results, [(1, done(60))]);
}

#[test]
fn a_unit_larger_than_a_message_is_sent_in_parts() {
    let mut pair = Pair::new(SMALL);
    let (before, large, after) = ("x", "y".repeat(5000), "z");
    for (caller, data) in [before, &large, after].into_iter().enumerate() {
        pair.push(u32::try_from(caller).expect("few"), one(data));
    }
    assert_eq!(numbers(&pair.open()), [1]);
    pair.follower.event_seen(1, 0, receipt(&topic("a"), 40));
    let requests = pair.poll();
    assert!(requests.len() > 7 && requests.iter().all(|it| it.len() <= SMALL.message_bytes + 1024));
    // The fourth part is lost, so none of the later ones counts.
    let lost: Vec<_> = requests.iter().enumerate().filter(|(at, _)| *at != 3).map(|(_, it)| it.clone()).collect();
    assert_eq!(numbers(&pair.handle(&lost)), [0; 0]);
    pair.answer();
    let requests = pair.poll();
    let units = pair.handle(&requests);
    assert_eq!(numbers(&units)[..1], [2]);
    assert_eq!(units[0].unit.events()[0].data.text(), large);
}

#[test]
fn a_unit_that_is_too_large_is_refused() {
    let mut pair = Pair::new(SMALL);
    pair.push(1, one(&"x".repeat(SMALL.unit_bytes)));
    pair.poll();
    let [(1, UnitResult::Append(Err(AppendError::TooLarge { bytes, max })))] = pair.results[..] else {
        panic!("{:?}", pair.results)
    };
    assert!(bytes > max && max == SMALL.unit_bytes);
}

#[test]
fn a_lost_request_is_sent_again_when_asked_and_a_repeated_one_does_nothing() {
    let mut pair = Pair::new(SMALL);
    pair.push(1, one("x"));
    let requests = pair.poll();
    pair.handle(&requests);
    let lost = pair.poll();
    assert_eq!((lost.len(), pair.poll().len()), (1, 0));
    pair.wait(250);
    let ask = pair.poll();
    assert_eq!(pair.handle(&ask).len(), 0);
    pair.answer();
    let again = pair.poll();
    assert_eq!(numbers(&pair.handle(&again)), [1]);
    assert_eq!(pair.handle(&lost).len() + pair.handle(&again).len(), 0);
}

#[test]
fn a_lost_answer_is_repeated_when_asked_until_it_is_acknowledged() {
    let mut pair = Pair::new(SMALL);
    pair.push(1, one("x"));
    let units = pair.open();
    let closed = units[0].unit.refused(AppendError::Closed { topic: topic("a") });
    pair.leader.complete(&units[0].ticket, &closed, Seq(50));
    drop(pair.leader.flush());
    let mut asked = 0;
    for _ in 0..400 {
        pair.wait(10);
        asked += pair.poll().len();
    }
    assert_eq!(asked, 5, "after 0.25, 0.5, 1, 2 and 4 s");
    pair.wait(2000);
    let ask = pair.poll();
    pair.handle(&ask);
    pair.answer();
    pair.poll();
    assert_eq!(pair.results, [(1, closed)]);
    pair.handle(&ask);
    assert_eq!(pair.leader.flush().len(), 1, "kept");
    pair.push(2, one("y"));
    let requests = pair.poll();
    assert_eq!(numbers(&pair.handle(&requests)), [2]);
    pair.leader.complete(&units[0].ticket, &done(1), Seq(50));
    assert_eq!(pair.leader.flush().len(), 0, "forgotten");
}

#[test]
fn a_dropped_session_executes_nothing_any_more() {
    let mut pair = Pair::new(SMALL);
    pair.push(1, one("x"));
    let opening = pair.poll();
    pair.handle(&opening);
    let late = pair.poll();
    let units = pair.handle(&late);
    pair.leader.complete(&units[0].ticket, &done(50), Seq(50));
    pair.wait(61_000);
    pair.leader.drop_idle(pair.now);
    assert_eq!(pair.handle(&late).len(), 0);
    // The feed has not shown the unit, which the position 50 of the answer decides: it is sent again.
    let requests = pair.poll();
    pair.handle(&requests);
    assert_eq!(pair.handle(&late).len(), 0, "its number is the next one of this session");
    let requests = pair.poll();
    let units = pair.handle(&requests);
    assert_eq!(pair.results, []);
    assert_eq!(numbers(&units), [1], "by the number of the follower it is the same unit");
    assert_eq!(pair.handle(&late).len(), 0);
    // Nor does the late opening request of the old session end the new one.
    pair.handle(&opening);
    pair.push(2, one("y"));
    let requests = pair.poll();
    assert_eq!(numbers(&pair.handle(&requests)), [2]);
}

#[test]
fn a_session_in_which_something_is_executed_is_not_dropped() {
    let mut pair = Pair::new(SMALL);
    pair.push(1, one("x"));
    let units = pair.open();
    pair.wait(120_000);
    pair.leader.drop_idle(pair.now);
    pair.leader.complete(&units[0].ticket, &done(50), Seq(50));
    pair.answer();
    pair.poll();
    assert_eq!(pair.results, [(1, done(50))]);
}

/// Of three units of a follower two are sent, and the third waits to be.
fn two_sent_and_one_waiting() -> Pair {
    let mut pair = Pair::new(SMALL);
    for caller in 1..4 {
        pair.push(caller, one("x"));
        if caller == 1 {
            pair.open();
        }
        pair.poll();
    }
    pair
}

#[test]
fn without_an_answer_what_was_not_sent_is_refused_and_what_was_sent_waits_for_the_feed() {
    let mut pair = two_sent_and_one_waiting();
    pair.wait(9_999);
    pair.poll();
    assert_eq!(pair.results, []);
    pair.wait(1);
    pair.poll();
    assert!(matches!(pair.results[..], [(3, UnitResult::Append(Err(AppendError::NotNow { .. })))]));
    pair.follower.leader_seen(pair.now, hub("m"), Seq(70));
    let step = pair.follower.poll(pair.now);
    assert_eq!((step.send.len(), &step.send[0].0, step.results.len()), (1, &hub("m"), 0));
    let step = pair.follower.poll(pair.now + Duration::from_secs(10));
    assert_eq!(step.results.len(), 2, "the feed says that they were not stored");
}

#[test]
fn when_jobs_are_refused_those_that_were_not_sent_are_and_those_that_were_wait() {
    let mut pair = two_sent_and_one_waiting();
    let error = AppendError::NotNow { reason: "x".into() };
    let results = pair.follower.refuse_waiting(&error);
    assert!(matches!(&results[..], [(3, UnitResult::Append(Err(refused)))] if *refused == error), "{results:?}");
    assert_eq!(pair.follower.refuse_waiting(&error), []);
    assert_eq!(pair.results, []);
}

#[test]
fn a_new_leader_record_decides_what_was_sent() {
    let mut pair = Pair::new(SMALL);
    let three = vec![event("a", "1"), event("b", "2"), event("a", "3")];
    let each = Unit::Each(three);
    for (caller, unit) in [
        (1, one("seen")),
        (2, one("refused, and the answer is lost")),
        (3, Unit::Remove(topic("a"), Seq(3))),
        (4, Unit::Delete(topic("a"))),
        (5, each),
        (6, one("not stored")),
    ] {
        pair.push(caller, unit);
    }
    let sent = pair.open();
    assert_eq!(sent.len(), 6);
    let receipts: Vec<Receipt> = (60..63).map(|position| receipt(&topic("a"), position)).collect();
    pair.follower.event_seen(1, 0, receipts[0].clone());
    pair.follower.event_seen(5, 0, receipts[1].clone());
    pair.follower.event_seen(5, 2, receipts[2].clone());
    let left = pair.follower.promoted(pair.now, Seq(70));
    assert_eq!(left.iter().map(|left| left.reply).collect::<Vec<_>>(), [3, 6]);
    pair.poll();
    pair.results.sort_by_key(|(caller, _)| *caller);
    let closed = Err(AppendError::Closed { topic: topic("b") });
    let [(1, first), (2, second), (4, fourth), (5, fifth)] = &pair.results[..] else { panic!("{:?}", pair.results) };
    assert_eq!(first, &UnitResult::Append(Ok(vec![receipts[0].clone()])));
    assert!(matches!(second, UnitResult::Append(Err(AppendError::NotNow { .. }))));
    assert!(matches!(fourth, UnitResult::Done(Err(AppendError::Unavailable { .. }))), "{fourth:?}");
    assert_eq!(fifth, &UnitResult::Each(Ok(vec![Ok(receipts[1].clone()), closed, Ok(receipts[2].clone())])));
}

#[test]
fn an_append_that_the_feed_may_have_skipped_is_not_executed_twice() {
    let mut pair = Pair::new(SMALL);
    let two = || vec![event("a", "1"), event("b", "2")];
    let key = IdempotencyKey { key: [1; 16], fingerprint: [1; 16], owner: 1 };
    pair.push(1, Unit::Append(append(two())));
    pair.push(2, Unit::Each(two()));
    pair.push(3, one("nothing of it was seen"));
    pair.push(4, Unit::Append(Append { key: Some(key), ..append(two()) }));
    pair.open();
    pair.follower.event_seen(1, 1, receipt(&topic("b"), 57));
    pair.follower.event_seen(2, 0, receipt(&topic("a"), 58));
    pair.follower.feed_skipped();
    let left = pair.follower.promoted(pair.now, Seq(70));
    assert_eq!(left.iter().map(|left| left.reply).collect::<Vec<_>>(), [4], "its key tells");
    pair.poll();
    let (first, second) = (receipt(&topic("a"), 56), receipt(&topic("b"), 57));
    assert_eq!(pair.results[0], (1, UnitResult::Append(Ok(vec![first, second]))), "they are all stored, or none");
    let (2, UnitResult::Each(Ok(each))) = &pair.results[1] else { panic!("{:?}", pair.results) };
    assert!(matches!(each[..], [Ok(_), Err(AppendError::Unavailable { .. })]), "{each:?}");
    assert!(matches!(pair.results[2], (3, UnitResult::Append(Err(AppendError::Unavailable { .. })))));
}

fn keyed(data: &str) -> Unit {
    let key = IdempotencyKey { key: [1; 16], fingerprint: [1; 16], owner: 1 };
    Unit::Append(Append { key: Some(key), ..append(vec![event("a", data)]) })
}

/// It may repeat one that was stored before: then no event of its own is in the feed.
#[test]
fn an_append_with_a_key_whose_answer_is_lost_is_not_called_refused() {
    let mut pair = Pair::new(SMALL);
    pair.push(1, keyed("a repetition"));
    pair.push(2, one("seen"));
    pair.open();
    pair.follower.event_seen(2, 0, receipt(&topic("a"), 57));
    pair.follower.leader_seen(pair.now, hub("next"), Seq(70));
    pair.poll();
    pair.results.sort_by_key(|(caller, _)| *caller);
    assert_eq!(pair.results.len(), 2, "{:?}", pair.results);
    assert!(matches!(pair.results[0].1.error(), Some(AppendError::Unavailable { .. })), "{:?}", pair.results);
}

/// Whether its first execution has stored it is not known, and so is not the second one's that never happens.
#[test]
fn an_append_in_doubt_that_no_hub_takes_is_not_called_refused() {
    let mut pair = Pair::new(SMALL);
    pair.push(1, keyed("x"));
    pair.open();
    pair.follower.feed_skipped();
    pair.follower.leader_seen(pair.now, hub("next"), Seq(70));
    pair.poll();
    assert_eq!(pair.results, [], "its key tells");
    pair.wait(10_000);
    pair.poll();
    assert!(matches!(pair.results[0].1.error(), Some(AppendError::Unavailable { .. })), "{:?}", pair.results);
}

/// Whoever waited for it was told so long ago that it is not known, and may have repeated it at another hub.
#[test]
fn an_append_with_a_key_that_was_sent_long_ago_is_not_sent_again() {
    for (minutes, expected) in [(0, 1), (11, 0)] {
        let mut pair = Pair::new(SMALL);
        pair.push(1, keyed("x"));
        assert_eq!(pair.open().len(), 1, "and the hub is cut off");
        pair.wait(60_000 * minutes);
        let left = pair.follower.promoted(pair.now, Seq(70));
        assert_eq!(left.len(), expected);
        pair.poll();
        let is_unknown =
            |(_, result): &(u32, UnitResult)| matches!(result.error(), Some(AppendError::Unavailable { .. }));
        assert!(pair.results.iter().all(is_unknown) && pair.results.len() == 1 - expected, "{:?}", pair.results);
    }
}

#[test]
fn a_conditional_change_that_was_sent_is_not_executed_twice() {
    let mut pair = Pair::new(SMALL);
    let metadata = Some(MetadataChange { from: None, to: Metadata::new(1, b"x").ok() });
    let swap = TopicChange { metadata, ..TopicChange::default() };
    let expect = TopicChange { expect: Some(ExpectedLast::Empty), ..TopicChange::default() };
    for (caller, change) in (1..).zip([swap.clone(), expect, TopicChange::default()]) {
        pair.push(caller, Unit::Configure(topic("a"), change));
    }
    assert_eq!(pair.open().len(), 3);
    pair.push(4, Unit::Configure(topic("a"), swap));
    let left = pair.follower.promoted(pair.now, Seq(70));
    assert_eq!(left.iter().map(|left| left.reply).collect::<Vec<_>>(), [3, 4], "or it was not sent yet");
    pair.poll();
    for (at, (caller, result)) in pair.results.iter().enumerate() {
        assert_eq!(*caller, [1, 2][at]);
        assert!(matches!(result, UnitResult::Configure(Err(AppendError::Unavailable { .. }))), "{result:?}");
    }
    assert_eq!(pair.results.len(), 2);
}

#[test]
fn metadata_counts_in_the_size_of_a_unit() {
    let mut pair = Pair::new(ForwardLimits { unit_bytes: 8 << 10, ..SMALL });
    let metadata = |bytes: usize| Metadata::new(1, &vec![7; bytes]).ok();
    for (caller, from, to) in [(1, 9 << 10, 1), (2, 1, 9 << 10), (3, 5 << 10, 5 << 10)] {
        let change = MetadataChange { from: metadata(from), to: metadata(to) };
        pair.push(
            caller,
            Unit::Configure(topic("a"), TopicChange { metadata: Some(change), ..TopicChange::default() }),
        );
    }
    pair.poll();
    for (_, result) in &pair.results {
        assert!(matches!(result, UnitResult::Configure(Err(AppendError::TooLarge { .. }))), "{result:?}");
    }
    assert_eq!(pair.results.len(), 3);
}

#[test]
fn a_hub_of_another_version_is_refused_politely() {
    let mut pair = Pair::new(SMALL);
    pair.push(1, one("x"));
    let mut request = pair.poll().remove(0);
    request[0] = 9;
    let answer = pair.leader.handle(pair.now, Seq(50), &request).expect("answered").answer.expect("an answer");
    assert_eq!(answer, [0, 1], "what every version reads");
    assert_eq!(LeaderSessions::refuse(&hub("l"), &request), Ok(answer));
    // The leader reads version 3 only.
    assert!(pair.follower.message(pair.now, &[0, 3]).is_err());
    pair.poll();
    let [(1, UnitResult::Append(Err(AppendError::NotNow { reason })))] = &pair.results[..] else {
        panic!("{:?}", pair.results)
    };
    assert!(reason.contains("version 3 there, and version 1 here"), "{reason}");
}

#[test]
fn a_unit_that_the_leader_cannot_read_is_refused_alone() {
    let mut pair = Pair::new(SMALL);
    for (caller, data) in [(1, "x"), (2, "Y"), (3, "z")] {
        pair.push(caller, one(data));
    }
    let requests = pair.poll();
    pair.handle(&requests);
    let mut request = pair.poll().remove(0);
    let at = request.iter().rposition(|byte| *byte == b'Y').expect("the data");
    request[at] = 0xFF;
    assert_eq!(numbers(&pair.handle(&[request])), [1, 3]);
    pair.answer();
    pair.poll();
    assert!(matches!(pair.results[..], [(2, UnitResult::Append(Err(AppendError::NotNow { .. })))]));
}

#[test]
fn a_leader_has_a_bounded_number_of_sessions() {
    let mut pair = Pair::new(ForwardLimits { sessions: 1, ..SMALL });
    pair.push(1, one("x"));
    assert_eq!(pair.open().len(), 1);
    let mut other = FollowerSession::new(hub("g"), SMALL);
    other.leader_seen(pair.now, hub("l"), Seq(1));
    other.push(pair.now, undecided(one("x"), 2, pair.now));
    let request = other.poll(pair.now).send.remove(0).1;
    let answer = pair.leader.handle(pair.now, Seq(50), &request).expect("a request").answer.expect("an answer");
    other.message(pair.now, &answer).expect("an answer");
    let results = other.poll(pair.now + SMALL.wait).results;
    let [(2, UnitResult::Append(Err(AppendError::NotNow { reason })))] = &results[..] else { panic!("{results:?}") };
    assert!(reason.starts_with("too many hubs"), "{reason}");
}

#[test]
fn a_hub_that_does_not_lead_executes_nothing() {
    let mut pair = Pair::new(SMALL);
    pair.push(1, one("x"));
    let units = pair.open();
    pair.push(2, one("y"));
    let request = pair.poll();
    let (me, now) = (hub("l"), pair.now);
    let old = std::mem::replace(&mut pair.leader, LeaderSessions::new(me.clone(), Seq(90), SMALL));
    assert_eq!(old.step_down().len(), 1);
    assert_eq!(pair.handle(&request).len(), 0, "of another term");
    pair.leader.complete(&units[0].ticket, &done(50), Seq(50));
    assert_eq!(pair.leader.flush().len(), 0);
    // A result of the old term that comes late is not one of the new term's first session and unit.
    let mut next = FollowerSession::new(hub("f"), SMALL);
    next.leader_seen(now, me.clone(), Seq(90));
    next.push(now, undecided(one("z"), 9, now));
    for _ in 0..2 {
        let request = next.poll(now).send.remove(0).1;
        let answer = pair.leader.handle(now, Seq(90), &request).expect("a request").answer;
        if let Some(answer) = answer {
            next.message(now, &answer).expect("an answer");
        }
    }
    pair.leader.complete(&units[0].ticket, &done(50), Seq(50));
    assert_eq!(pair.leader.flush().len(), 0);
    assert_eq!(pair.handle(&request).len(), 0, "its token and number are the next ones here");
    let refused = LeaderSessions::refuse(&me, &request[0]).expect("a request");
    pair.follower.message(now, &refused).expect("an answer");
    pair.poll();
    assert_eq!(pair.results, []);
}

#[test]
fn a_late_answer_of_an_earlier_leader_is_not_the_new_ones() {
    let mut pair = Pair::new(SMALL);
    pair.push(1, one("x"));
    let units = pair.open();
    let closed = units[0].unit.refused(AppendError::Closed { topic: topic("a") });
    pair.leader.complete(&units[0].ticket, &closed, Seq(50));
    let late = pair.leader.flush();
    pair.follower.leader_seen(pair.now, hub("m"), Seq(70));
    pair.leader = LeaderSessions::new(hub("m"), Seq(70), SMALL);
    let units = pair.open();
    for (_, bytes) in late {
        pair.follower.message(pair.now, &bytes).expect("an answer");
    }
    pair.poll();
    assert_eq!(pair.results, [], "the same token and number");
    pair.leader.complete(&units[0].ticket, &done(70), Seq(70));
    pair.answer();
    pair.poll();
    assert_eq!(pair.results, [(1, done(70))]);
}

#[test]
fn a_new_session_has_the_whole_window() {
    let mut pair = Pair::new(ForwardLimits { window_messages: 100, ..SMALL });
    for caller in 0..7 {
        pair.push(caller, one(&"x".repeat(200)));
    }
    for term in 70..80 {
        assert_eq!(pair.open().len(), 7, "7 units of 300 bytes");
        pair.follower.leader_seen(pair.now, hub("l"), Seq(term));
        pair.leader = LeaderSessions::new(hub("l"), Seq(term), SMALL);
    }
}

#[test]
fn what_is_decided_while_it_is_to_be_sent_again_is_not_sent() {
    let mut pair = Pair::new(SMALL);
    pair.push(1, one("x"));
    let requests = pair.poll();
    pair.handle(&requests);
    let late = pair.poll();
    pair.wait(250);
    let ask = pair.poll();
    pair.handle(&ask);
    pair.answer();
    assert_eq!(numbers(&pair.handle(&late)), [1]);
    pair.follower.event_seen(1, 0, receipt(&topic("a"), 60));
    assert_eq!(pair.poll().len(), 0);
    pair.push(2, one("y"));
    let requests = pair.poll();
    assert_eq!(numbers(&pair.handle(&requests)), [2]);
}
