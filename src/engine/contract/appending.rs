//! Contract: appends.

use super::*;

pub(crate) fn positions_rise_over_all_topics<F: EngineFactory>() {
    let fixture = Fixture::<F>::new();
    fixture.publish_all(&["a", "b", "a", "a", "b"]);
    let seqs: Vec<u64> = fixture.observer.events.lock().iter().map(|event| event.seq.0).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5]);
    assert_eq!(short(&fixture.read(&["a"], ReadFrom::After(Seq(1)))), ["3", "4"]);
}

/// [`RecordingObserver`] checks that what it receives is readable.
pub(crate) fn nothing_is_acknowledged_before_it_is_readable_and_observed<F: EngineFactory>() {
    let fixture = Fixture::<F>::new();
    for _ in 0..20 {
        let seq = fixture.publish("a");
        assert_eq!(fixture.observer.events.lock().last().map(|event| event.seq), Some(seq));
        assert_eq!(fixture.engine.head().seq, seq);
    }
}

pub(crate) fn concurrent_appenders_share_commits_and_are_observed_once_in_order<F: EngineFactory>() {
    const APPENDERS: u64 = 512;
    let fixture = Fixture::<F>::new();
    let answers: Vec<_> =
        (0..APPENDERS).map(|n| fixture.engine.append(plain(vec![event(&format!("t/{}", n % 7), "x")]))).collect();
    let mut seqs: Vec<u64> = answers.into_iter().map(|answer| wait(answer).expect("accepted")[0].seq.0).collect();
    seqs.sort_unstable();
    let all: Vec<u64> = (1..=APPENDERS).collect();
    assert_eq!(seqs, all, "positions are unique");
    let observed: Vec<u64> = fixture.observer.events.lock().iter().map(|event| event.seq.0).collect();
    assert_eq!(observed, all, "once, in order");
    let commits = status(&*fixture.engine).commits_total;
    assert!(commits < APPENDERS, "{commits} commits for {APPENDERS} appends");
}

pub(crate) fn an_append_is_taken_whole_or_not_at_all<F: EngineFactory>() {
    let fixture = Fixture::<F>::new();
    fixture.append(plain(vec![closing("closed")])).expect("accepted");
    let closed = |name| Err(AppendError::Closed { topic: topic(name) });
    assert_eq!(fixture.append(plain(vec![event("a", "1"), event("closed", "2")])), closed("closed"));
    assert_eq!(fixture.append(plain(vec![event("a", "1"), closing("b"), event("b", "2")])), closed("b"));
    assert_eq!(fixture.engine.head().seq, Seq(1));
    assert_eq!(fixture.state("a"), None);
    let receipts = fixture.append(plain(vec![event("a", "1"), event("b", "2"), closing("a")])).expect("accepted");
    assert_eq!(receipts.iter().map(|receipt| receipt.seq.0).collect::<Vec<_>>(), [2, 3, 4]);
}

pub(crate) fn independent_events_are_refused_one_by_one_and_share_a_commit<F: EngineFactory>() {
    let fixture = Fixture::<F>::new();
    let each = |events| wait(fixture.engine.append_each(events).expect("the queue is empty")).expect("committed");
    fixture.append(plain(vec![closing("closed")])).expect("accepted");
    let results = each(vec![event("a", "1"), event("closed", "2"), closing("b"), event("b", "3"), event("a", "4")]);
    let seq = |(result, name): (&crate::engine::AppendResult, &str)| match result {
        Ok(receipt) => (receipt.topic.as_str() == name).then_some(receipt.seq.0).expect("its own topic"),
        Err(error) => {
            assert_eq!(*error, AppendError::Closed { topic: topic(name) });
            0
        }
    };
    let seqs: Vec<u64> = results.iter().zip(["a", "closed", "b", "b", "a"]).map(seq).collect();
    assert_eq!(seqs, [2, 0, 3, 0, 4]);
    assert_eq!(status(&*fixture.engine).commits_total, 2);
    assert_eq!(short(&fixture.read(&["a", "b"], ReadFrom::Earliest)), ["2", "3", "4"]);
    assert_eq!(fixture.observer.lifecycle_changes.lock().last().map(|(name, _)| name.clone()), Some(topic("b")));
}

pub(crate) fn an_append_may_depend_on_the_last_id<F: EngineFactory>() {
    let fixture = Fixture::<F>::new();
    let append = |expect, names: &[&str]| {
        let events = names.iter().map(|name| event(name, "x")).collect();
        fixture.append(Append { expect: Some(expect), ..plain(events) }).map(|receipts| receipts[0].seq)
    };
    let refused = |last: Option<u64>| Err(AppendError::Precondition { last: last.map(|seq| fixture.id(Seq(seq))) });
    assert_eq!(append(ExpectedLast::Last(fixture.id(Seq(1))), &["a"]), refused(None));
    assert_eq!(append(ExpectedLast::Empty, &["a"]), Ok(Seq(1)));
    assert_eq!(append(ExpectedLast::Empty, &["a"]), refused(Some(1)));
    assert_eq!(append(ExpectedLast::Last(fixture.id(Seq(1))), &["a", "a"]), Ok(Seq(2)));
    assert_eq!(append(ExpectedLast::Last(fixture.id(Seq(1))), &["a"]), refused(Some(3)));
    assert_eq!(append(ExpectedLast::Last(fixture.id(Seq(3))), &["a", "b"]), refused(Some(3)), "one topic only");
    fixture.delete("a");
    assert_eq!(append(ExpectedLast::Empty, &["a"]), Ok(Seq(4)), "a deleted topic is empty");
}

pub(crate) fn a_refused_append_uses_up_no_key<F: EngineFactory>() {
    let fixture = Fixture::<F>::new();
    fixture.append(plain(vec![closing("a")])).expect("accepted");
    assert!(matches!(fixture.append(keyed(1, 1, vec![event("a", "1")])), Err(AppendError::Closed { .. })));
    assert!(fixture.append(keyed(1, 2, vec![event("b", "1")])).is_ok());
}

pub(crate) fn a_retried_close_and_a_retried_condition_get_their_receipt<F: EngineFactory>() {
    let fixture = Fixture::<F>::new();
    let close = || Append { expect: Some(ExpectedLast::Empty), ..keyed(1, 1, vec![closing("a")]) };
    let first = fixture.append(close()).expect("accepted");
    assert_eq!(fixture.append(close()), Ok(first));
}
