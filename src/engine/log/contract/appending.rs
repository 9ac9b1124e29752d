//! The log engine over every store: appends.

use super::*;

pub(crate) fn a_retry_gets_the_first_receipts_and_adds_nothing<F: StoreFactory>() {
    let fixture = LogFixture::<F>::new();
    let publish = || keyed(1, 1, vec![event("a", "1"), event("b", "2")]);
    // Both may be in the queue at once: the duplicate waits for the commit of the first.
    let (first, duplicate) = (fixture.engine.append(publish()), fixture.engine.append(publish()));
    let first = wait(first).expect("accepted");
    assert_eq!(wait(duplicate), Ok(first.clone()));
    fixture.advance(Duration::from_mins(1));
    assert_eq!(fixture.append(publish()), Ok(first));
    assert_eq!(fixture.engine.head().seq, Seq(2));
}

pub(crate) fn a_retry_is_known_after_a_restart<F: StoreFactory>() {
    let mut fixture = LogFixture::<F>::new();
    let first = fixture.append(keyed(1, 1, vec![event("a", "1"), event("b", "2")])).expect("accepted");
    fixture.reopen();
    fixture.advance(Duration::from_mins(1));
    assert_eq!(fixture.append(keyed(1, 1, vec![event("a", "1"), event("b", "2")])), Ok(first));
    assert_eq!(fixture.append(keyed(1, 2, vec![event("a", "1")])), Err(AppendError::KeyReused));
}

pub(crate) fn a_key_is_for_one_request_and_for_one_window<F: StoreFactory>() {
    let fixture = LogFixture::<F>::new();
    fixture.append(keyed(1, 1, vec![event("a", "1")])).expect("accepted");
    assert_eq!(fixture.append(keyed(1, 2, vec![event("a", "2")])), Err(AppendError::KeyReused));
    fixture.advance(Duration::from_secs(601));
    assert_eq!(fixture.append(keyed(1, 2, vec![event("a", "2")])).map(|receipts| receipts[0].seq), Ok(Seq(2)));
}

pub(crate) fn too_many_keys_are_refused_until_the_window_has_passed<F: StoreFactory>() {
    let fixture = LogFixture::<F>::with(LogConfig { idempotency_keys: 2, ..LogConfig::fixture() });
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
    let mut fixture = LogFixture::<F>::with(LogConfig { idempotency_keys: 2, ..LogConfig::fixture() });
    let events = fixture.engine.capabilities().max_batch.unwrap_or(3000);
    for key in 0..2 {
        fixture.append(keyed(key, 1, vec![event("a", "1"); events])).expect("accepted");
    }
    let refused = |fixture: &LogFixture<F>| fixture.append(keyed(2, 1, vec![event("a", "1")])).map(drop);
    assert!(matches!(refused(&fixture), Err(AppendError::KeysFull { .. })));
    fixture.reopen();
    assert!(matches!(refused(&fixture), Err(AppendError::KeysFull { .. })), "also after a restart");
    assert_eq!(fixture.append(keyed(1, 1, vec![])).map(|receipts| receipts.len()), Ok(events), "the retry is known");
}

pub(crate) fn an_owner_of_many_keys_leaves_room_for_others_also_after_a_restart<F: StoreFactory>() {
    let mut fixture = LogFixture::<F>::with(LogConfig { idempotency_keys: 8, ..LogConfig::fixture() });
    let publish = |fixture: &LogFixture<F>, owner, key| {
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

pub(crate) fn as_many_events_are_appended_at_once_as_the_engine_says<F: StoreFactory>() {
    let fixture = LogFixture::<F>::new();
    let events = fixture.engine.capabilities().max_batch.unwrap_or(3000);
    let each = wait(fixture.engine.append_each(vec![event("a", "1"); events]).expect("the queue is empty"));
    assert!(each.expect("committed").iter().all(Result::is_ok));
    assert_eq!(fixture.append(plain(vec![event("a", "1"); events])).map(|receipts| receipts.len()), Ok(events));
}

pub(crate) fn timestamps_never_decrease<F: StoreFactory>() {
    let mut fixture = LogFixture::<F>::new();
    let time = |fixture: &LogFixture<F>| fixture.publish_bytes("a", 1).time;
    let before = time(&fixture);
    fixture.factory.clock.fetch_sub(5_000, Ordering::SeqCst);
    assert_eq!(time(&fixture), before);
    fixture.reopen();
    assert_eq!(time(&fixture), before, "also after a restart");
}
