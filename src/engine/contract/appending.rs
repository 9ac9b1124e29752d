//! Contract: appends.

use super::*;

pub(crate) fn positions_rise_and_each_event_names_the_one_before_it_in_its_topic<F: StoreFactory>() {
    let fixture = Fixture::<F>::new();
    fixture.publish_all(&["a", "b", "a", "a", "b"]);
    let chain: Vec<(u64, u64)> =
        fixture.observer.events.lock().iter().map(|event| (event.seq.0, event.prev.0)).collect();
    assert_eq!(chain, [(1, 0), (2, 0), (3, 1), (4, 3), (5, 2)]);
    assert_eq!(short(&fixture.read(&["a"], ReadFrom::After(Seq(1)))), ["3", "4"]);
}

/// [`RecordingObserver`] checks that what it receives is readable.
pub(crate) fn nothing_is_acknowledged_before_it_is_readable_and_observed<F: StoreFactory>() {
    let fixture = Fixture::<F>::new();
    for _ in 0..20 {
        let seq = fixture.publish("a");
        assert_eq!(fixture.observer.events.lock().last().map(|event| event.seq), Some(seq));
        assert_eq!(fixture.engine.head(), seq);
    }
}

pub(crate) fn concurrent_appenders_share_commits_and_are_observed_once_in_order<F: StoreFactory>() {
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
    let commits = fixture.engine.status().commits_total;
    assert!(commits < APPENDERS, "{commits} commits for {APPENDERS} appends");
}

pub(crate) fn an_append_is_taken_whole_or_not_at_all<F: StoreFactory>() {
    let fixture = Fixture::<F>::new();
    fixture.append(plain(vec![closing("closed")])).expect("accepted");
    let closed = |name| Err(AppendError::Closed { topic: topic(name) });
    assert_eq!(fixture.append(plain(vec![event("a", "1"), event("closed", "2")])), closed("closed"));
    assert_eq!(fixture.append(plain(vec![event("a", "1"), closing("b"), event("b", "2")])), closed("b"));
    assert_eq!(fixture.engine.head(), Seq(1));
    assert_eq!(fixture.state("a"), None);
    let receipts = fixture.append(plain(vec![event("a", "1"), event("b", "2"), closing("a")])).expect("accepted");
    assert_eq!(receipts.iter().map(|receipt| receipt.seq.0).collect::<Vec<_>>(), [2, 3, 4]);
}

pub(crate) fn independent_events_are_refused_one_by_one_and_share_a_commit<F: StoreFactory>() {
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
    assert_eq!(fixture.engine.status().commits_total, 2);
    assert_eq!(short(&fixture.read(&["a", "b"], ReadFrom::Earliest)), ["2", "3", "4"]);
    assert_eq!(fixture.observer.lifecycle_changes.lock().last().map(|(name, _)| name.clone()), Some(topic("b")));
}

pub(crate) fn an_append_may_depend_on_the_last_id<F: StoreFactory>() {
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

pub(crate) fn a_retry_gets_the_first_receipts_and_adds_nothing<F: StoreFactory>() {
    let fixture = Fixture::<F>::new();
    let publish = || keyed(1, 1, vec![event("a", "1"), event("b", "2")]);
    // Both may be in the queue at once: the duplicate waits for the commit of the first.
    let (first, duplicate) = (fixture.engine.append(publish()), fixture.engine.append(publish()));
    let first = wait(first).expect("accepted");
    assert_eq!(wait(duplicate), Ok(first.clone()));
    fixture.advance(Duration::from_mins(1));
    assert_eq!(fixture.append(publish()), Ok(first));
    assert_eq!(fixture.engine.head(), Seq(2));
}

pub(crate) fn a_retry_is_known_after_a_restart<F: StoreFactory>() {
    let mut fixture = Fixture::<F>::new();
    fixture.observer.subscriber_count.store(7, Ordering::SeqCst);
    let first = fixture.append(keyed(1, 1, vec![event("a", "1"), event("b", "2")])).expect("accepted");
    fixture.reopen();
    fixture.advance(Duration::from_mins(1));
    assert_eq!(fixture.append(keyed(1, 1, vec![event("a", "1"), event("b", "2")])), Ok(first));
    assert_eq!(fixture.append(keyed(1, 2, vec![event("a", "1")])), Err(AppendError::KeyReused));
}

pub(crate) fn a_key_is_for_one_request_and_for_one_window<F: StoreFactory>() {
    let fixture = Fixture::<F>::new();
    fixture.append(keyed(1, 1, vec![event("a", "1")])).expect("accepted");
    assert_eq!(fixture.append(keyed(1, 2, vec![event("a", "2")])), Err(AppendError::KeyReused));
    fixture.advance(Duration::from_secs(601));
    assert_eq!(fixture.append(keyed(1, 2, vec![event("a", "2")])).map(|receipts| receipts[0].seq), Ok(Seq(2)));
}

pub(crate) fn a_refused_append_uses_up_no_key<F: StoreFactory>() {
    let fixture = Fixture::<F>::new();
    fixture.append(plain(vec![closing("a")])).expect("accepted");
    assert!(matches!(fixture.append(keyed(1, 1, vec![event("a", "1")])), Err(AppendError::Closed { .. })));
    assert!(fixture.append(keyed(1, 2, vec![event("b", "1")])).is_ok());
}

pub(crate) fn a_retried_close_and_a_retried_condition_get_their_receipt<F: StoreFactory>() {
    let fixture = Fixture::<F>::new();
    let close = || Append { expect: Some(ExpectedLast::Empty), ..keyed(1, 1, vec![closing("a")]) };
    let first = fixture.append(close()).expect("accepted");
    assert_eq!(fixture.append(close()), Ok(first));
}

pub(crate) fn too_many_keys_are_refused_until_the_window_has_passed<F: StoreFactory>() {
    let fixture = Fixture::<F>::with(LogConfig { idempotency_keys: 2, ..LogConfig::fixture() });
    for key in 0..2 {
        fixture.append(keyed(key, 1, vec![event("a", "1")])).expect("accepted");
    }
    let wait = Duration::from_mins(10);
    assert_eq!(fixture.append(keyed(2, 1, vec![event("a", "1")])), Err(AppendError::KeysFull { own: false, wait }));
    assert!(fixture.append(plain(vec![event("a", "1")])).is_ok(), "an append without a key is accepted");
    fixture.advance(Duration::from_secs(601));
    assert!(fixture.append(keyed(2, 1, vec![event("a", "1")])).is_ok());
}

pub(crate) fn a_batch_under_a_key_takes_the_capacity_of_one_event<F: StoreFactory>() {
    let mut fixture = Fixture::<F>::with(LogConfig { idempotency_keys: 2, ..LogConfig::fixture() });
    for key in 0..2 {
        fixture.append(keyed(key, 1, vec![event("a", "1"); 3000])).expect("accepted");
    }
    let refused = |fixture: &Fixture<F>| fixture.append(keyed(2, 1, vec![event("a", "1")])).map(drop);
    assert!(matches!(refused(&fixture), Err(AppendError::KeysFull { .. })));
    fixture.reopen();
    assert!(matches!(refused(&fixture), Err(AppendError::KeysFull { .. })), "also after a restart");
    assert_eq!(fixture.append(keyed(1, 1, vec![])).map(|receipts| receipts.len()), Ok(3000), "the retry is known");
}

pub(crate) fn an_owner_of_many_keys_leaves_room_for_others_also_after_a_restart<F: StoreFactory>() {
    let mut fixture = Fixture::<F>::with(LogConfig { idempotency_keys: 8, ..LogConfig::fixture() });
    let publish = |fixture: &Fixture<F>, owner, key| {
        let append = keyed(key, 1, vec![event("a", "1")]);
        let key = append.key.map(|key| IdempotencyKey { owner, ..key });
        fixture.append(Append { key, ..append }).map(drop)
    };
    for key in 0..4 {
        assert_eq!(publish(&fixture, 1, key), Ok(()));
    }
    for _ in 0..2 {
        assert!(matches!(publish(&fixture, 1, 5), Err(AppendError::KeysFull { own: true, .. })));
        fixture.reopen();
    }
    assert_eq!((publish(&fixture, 2, 6), publish(&fixture, 3, 7)), (Ok(()), Ok(())));
}

pub(crate) fn timestamps_never_decrease<F: StoreFactory>() {
    let mut fixture = Fixture::<F>::new();
    let time = |fixture: &Fixture<F>| fixture.publish_bytes("a", 1).time;
    let before = time(&fixture);
    fixture.clock.fetch_sub(5_000, Ordering::SeqCst);
    assert_eq!(time(&fixture), before);
    fixture.reopen();
    assert_eq!(time(&fixture), before, "also after a restart");
}

pub(crate) fn receipts_contain_the_subscriber_count<F: StoreFactory>() {
    let fixture = Fixture::<F>::new();
    fixture.observer.subscriber_count.store(3, Ordering::SeqCst);
    assert_eq!(fixture.publish_bytes("a", 1).subscribers, 3);
}
