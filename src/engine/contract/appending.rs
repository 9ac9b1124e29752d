//! Promises about appending.

use super::*;

pub(crate) fn positions_rise_and_each_event_names_the_one_before_it_in_its_topic<B: StoreFactory>() {
    let house = Fixture::<B>::new();
    house.publish_all(&["a", "b", "a", "a", "b"]);
    let chain: Vec<(u64, u64)> = house.heard.events.lock().iter().map(|event| (event.seq.0, event.prev.0)).collect();
    assert_eq!(chain, [(1, 0), (2, 0), (3, 1), (4, 3), (5, 2)]);
    assert_eq!(short(&house.read(&["a"], ReadFrom::After(Seq(1)))), ["3", "4"]);
}

/// [`RecordingObserver`] looks whether what it is told is readable.
pub(crate) fn nothing_is_acknowledged_before_it_was_readable_and_handed_up<B: StoreFactory>() {
    let house = Fixture::<B>::new();
    for _ in 0..20 {
        let seq = house.publish("a");
        assert_eq!(house.heard.events.lock().last().map(|event| event.seq), Some(seq));
        assert_eq!(house.engine.head(), seq);
    }
}

pub(crate) fn concurrent_appenders_share_commits_and_are_heard_once_in_order<B: StoreFactory>() {
    const APPENDERS: u64 = 512;
    let house = Fixture::<B>::new();
    let answers: Vec<_> =
        (0..APPENDERS).map(|n| house.engine.append(plain(vec![event(&format!("t/{}", n % 7), "x")]))).collect();
    let mut seqs: Vec<u64> = answers.into_iter().map(|answer| wait(answer).expect("accepted")[0].seq.0).collect();
    seqs.sort_unstable();
    let all: Vec<u64> = (1..=APPENDERS).collect();
    assert_eq!(seqs, all, "each has a position of its own");
    let heard: Vec<u64> = house.heard.events.lock().iter().map(|event| event.seq.0).collect();
    assert_eq!(heard, all, "heard once, in order");
    let commits = house.engine.status().commits_total;
    assert!(commits < APPENDERS, "{commits} commits for {APPENDERS} appends");
}

pub(crate) fn an_append_is_taken_whole_or_not_at_all<B: StoreFactory>() {
    let house = Fixture::<B>::new();
    house.append(plain(vec![closing("closed")])).expect("accepted");
    let closed = |name| Err(AppendError::Closed { topic: topic(name) });
    assert_eq!(house.append(plain(vec![event("a", "1"), event("closed", "2")])), closed("closed"));
    assert_eq!(house.append(plain(vec![event("a", "1"), closing("b"), event("b", "2")])), closed("b"));
    assert_eq!(house.engine.head(), Seq(1));
    assert_eq!(house.state("a"), None);
    let receipts = house.append(plain(vec![event("a", "1"), event("b", "2"), closing("a")])).expect("accepted");
    assert_eq!(receipts.iter().map(|receipt| receipt.seq.0).collect::<Vec<_>>(), [2, 3, 4]);
}

pub(crate) fn what_is_appended_each_for_itself_is_refused_one_by_one_and_shares_a_commit<B: StoreFactory>() {
    let house = Fixture::<B>::new();
    let each = |events| wait(house.engine.append_each(events).expect("the queue is empty")).expect("committed");
    house.append(plain(vec![closing("closed")])).expect("accepted");
    let results = each(vec![event("a", "1"), event("closed", "2"), closing("b"), event("b", "3"), event("a", "4")]);
    let told = |(result, name): (&crate::engine::AppendResult, &str)| match result {
        Ok(receipt) => (receipt.topic.as_str() == name).then_some(receipt.seq.0).expect("its own topic"),
        Err(error) => {
            assert_eq!(*error, AppendError::Closed { topic: topic(name) });
            0
        }
    };
    let told: Vec<u64> = results.iter().zip(["a", "closed", "b", "b", "a"]).map(told).collect();
    assert_eq!(told, [2, 0, 3, 0, 4]);
    assert_eq!(house.engine.status().commits_total, 2);
    assert_eq!(short(&house.read(&["a", "b"], ReadFrom::Earliest)), ["2", "3", "4"]);
    assert_eq!(house.heard.turns.lock().last().map(|(name, _)| name.clone()), Some(topic("b")));
}

pub(crate) fn an_append_may_depend_on_the_last_id<B: StoreFactory>() {
    let house = Fixture::<B>::new();
    let append = |expect, names: &[&str]| {
        let events = names.iter().map(|name| event(name, "x")).collect();
        house.append(Append { expect: Some(expect), ..plain(events) }).map(|receipts| receipts[0].seq)
    };
    let refused = |last: Option<u64>| Err(AppendError::Precondition { last: last.map(|seq| house.id(Seq(seq))) });
    assert_eq!(append(ExpectedLast::Last(house.id(Seq(1))), &["a"]), refused(None));
    assert_eq!(append(ExpectedLast::Empty, &["a"]), Ok(Seq(1)));
    assert_eq!(append(ExpectedLast::Empty, &["a"]), refused(Some(1)));
    assert_eq!(append(ExpectedLast::Last(house.id(Seq(1))), &["a", "a"]), Ok(Seq(2)));
    assert_eq!(append(ExpectedLast::Last(house.id(Seq(1))), &["a"]), refused(Some(3)));
    assert_eq!(append(ExpectedLast::Last(house.id(Seq(3))), &["a", "b"]), refused(Some(3)), "one topic only");
    house.delete("a");
    assert_eq!(append(ExpectedLast::Empty, &["a"]), Ok(Seq(4)), "a deleted topic is empty");
}

pub(crate) fn a_retry_gets_the_first_receipts_and_adds_nothing<B: StoreFactory>() {
    let house = Fixture::<B>::new();
    let publish = || keyed(1, 1, vec![event("a", "1"), event("b", "2")]);
    // Both may be in the queue at once: the twin waits for the commit of the first.
    let (first, twin) = (house.engine.append(publish()), house.engine.append(publish()));
    let first = wait(first).expect("accepted");
    assert_eq!(wait(twin), Ok(first.clone()));
    house.pass(Duration::from_mins(1));
    assert_eq!(house.append(publish()), Ok(first));
    assert_eq!(house.engine.head(), Seq(2));
}

pub(crate) fn a_retry_is_known_after_a_restart<B: StoreFactory>() {
    let mut house = Fixture::<B>::new();
    house.heard.subscriber_count.store(7, Ordering::SeqCst);
    let first = house.append(keyed(1, 1, vec![event("a", "1"), event("b", "2")])).expect("accepted");
    house.reopen();
    house.pass(Duration::from_mins(1));
    assert_eq!(house.append(keyed(1, 1, vec![event("a", "1"), event("b", "2")])), Ok(first));
    assert_eq!(house.append(keyed(1, 2, vec![event("a", "1")])), Err(AppendError::KeyReused));
}

pub(crate) fn a_key_is_for_one_request_and_for_one_window<B: StoreFactory>() {
    let house = Fixture::<B>::new();
    house.append(keyed(1, 1, vec![event("a", "1")])).expect("accepted");
    assert_eq!(house.append(keyed(1, 2, vec![event("a", "2")])), Err(AppendError::KeyReused));
    house.pass(Duration::from_secs(601));
    assert_eq!(house.append(keyed(1, 2, vec![event("a", "2")])).map(|receipts| receipts[0].seq), Ok(Seq(2)));
}

pub(crate) fn a_refused_append_uses_no_key_up<B: StoreFactory>() {
    let house = Fixture::<B>::new();
    house.append(plain(vec![closing("a")])).expect("accepted");
    assert!(matches!(house.append(keyed(1, 1, vec![event("a", "1")])), Err(AppendError::Closed { .. })));
    assert!(house.append(keyed(1, 2, vec![event("b", "1")])).is_ok());
}

pub(crate) fn a_retried_close_and_a_retried_condition_get_their_receipt<B: StoreFactory>() {
    let house = Fixture::<B>::new();
    let close = || Append { expect: Some(ExpectedLast::Empty), ..keyed(1, 1, vec![closing("a")]) };
    let first = house.append(close()).expect("accepted");
    assert_eq!(house.append(close()), Ok(first));
}

pub(crate) fn too_many_keys_are_refused_until_the_window_has_passed<B: StoreFactory>() {
    let house = Fixture::<B>::with(LogConfig { idempotency_keys: 2, ..LogConfig::default() });
    for key in 0..2 {
        house.append(keyed(key, 1, vec![event("a", "1")])).expect("accepted");
    }
    let wait = Duration::from_mins(10);
    assert_eq!(house.append(keyed(2, 1, vec![event("a", "1")])), Err(AppendError::KeysFull { own: false, wait }));
    assert!(house.append(plain(vec![event("a", "1")])).is_ok(), "without a key there is room");
    house.pass(Duration::from_secs(601));
    assert!(house.append(keyed(2, 1, vec![event("a", "1")])).is_ok());
}

pub(crate) fn a_batch_under_a_key_takes_the_room_of_one<B: StoreFactory>() {
    let mut house = Fixture::<B>::with(LogConfig { idempotency_keys: 2, ..LogConfig::default() });
    for key in 0..2 {
        house.append(keyed(key, 1, vec![event("a", "1"); 3000])).expect("accepted");
    }
    let refused = |house: &Fixture<B>| house.append(keyed(2, 1, vec![event("a", "1")])).map(drop);
    assert!(matches!(refused(&house), Err(AppendError::KeysFull { .. })));
    house.reopen();
    assert!(matches!(refused(&house), Err(AppendError::KeysFull { .. })), "also after a restart");
    assert_eq!(house.append(keyed(1, 1, vec![])).map(|receipts| receipts.len()), Ok(3000), "the retry is known");
}

pub(crate) fn an_owner_of_many_keys_leaves_room_for_others_also_after_a_restart<B: StoreFactory>() {
    let mut house = Fixture::<B>::with(LogConfig { idempotency_keys: 8, ..LogConfig::default() });
    let publish = |house: &Fixture<B>, owner, key| {
        let append = keyed(key, 1, vec![event("a", "1")]);
        let key = append.key.map(|key| IdempotencyKey { owner, ..key });
        house.append(Append { key, ..append }).map(drop)
    };
    for key in 0..4 {
        assert_eq!(publish(&house, 1, key), Ok(()));
    }
    for _ in 0..2 {
        assert!(matches!(publish(&house, 1, 5), Err(AppendError::KeysFull { own: true, .. })));
        house.reopen();
    }
    assert_eq!((publish(&house, 2, 6), publish(&house, 3, 7)), (Ok(()), Ok(())));
}

pub(crate) fn time_never_falls<B: StoreFactory>() {
    let mut house = Fixture::<B>::new();
    let time = |house: &Fixture<B>| house.publish_bytes("a", 1).time;
    let before = time(&house);
    house.clock.fetch_sub(5_000, Ordering::SeqCst);
    assert_eq!(time(&house), before);
    house.reopen();
    assert_eq!(time(&house), before, "also after a restart");
}

pub(crate) fn receipts_tell_the_audience<B: StoreFactory>() {
    let house = Fixture::<B>::new();
    house.heard.subscriber_count.store(3, Ordering::SeqCst);
    assert_eq!(house.publish_bytes("a", 1).subscribers, 3);
}
