//! The log engine over every store: timestamps and ages while the machine's clock is wrong.

use super::*;

const YEARS: u64 = 3650 * 24 * 3600 * 1000;
const AGE: Duration = Duration::from_secs(100);

/// A fixture with maximum age [`AGE`] and one event published while the machine's clock was `ahead` (milliseconds).
fn once_ahead<F: StoreFactory>(ahead: u64) -> LogFixture<F> {
    let fixture = LogFixture::<F>::with_retention(Retention { max_age: Some(AGE), ..Retention::default() });
    fixture.machine().fetch_add(ahead, Ordering::SeqCst);
    fixture.publish("a");
    fixture.machine().fetch_sub(ahead, Ordering::SeqCst);
    fixture
}

/// The start of a read of the last `time`. Checks that an age and the corresponding time of the machine's clock, which
/// is right, give the same events.
fn ago<F: StoreFactory>(fixture: &LogFixture<F>, time: Duration) -> ReadFrom {
    let [age, moment] = both_ago(fixture, time);
    let read = |from| short(&fixture.read(&["**"], from));
    assert_eq!(read(age), read(moment));
    age
}

/// The starts of a read of the last `time`: by an age, and by the corresponding time of the machine's clock.
fn both_ago<F: StoreFactory>(fixture: &LogFixture<F>, time: Duration) -> [ReadFrom; 2] {
    let moment = moment(fixture, Millis(fixture.machine().load(Ordering::SeqCst)).before(time));
    [from(fixture, When::Ago(time)), moment]
}

fn moment<F: StoreFactory>(fixture: &LogFixture<F>, time: Millis) -> ReadFrom {
    from(fixture, When::Moment(time))
}

fn from<F: StoreFactory>(fixture: &LogFixture<F>, when: When) -> ReadFrom {
    ReadFrom::Since(wait(fixture.engine.stamp(when)).expect("readable"))
}

pub(crate) fn after_a_clock_that_was_ahead_age_and_since_and_keys_use_elapsed_time<F: StoreFactory>() {
    for ahead in [3_600_000, YEARS] {
        let fixture = once_ahead::<F>(ahead);
        let keyed_publish = || fixture.append(keyed(1, 1, vec![event("b", "x")])).map(|receipts| receipts[0].seq);
        assert_eq!(keyed_publish(), Ok(Seq(2)));
        fixture.advance(Duration::from_mins(1));
        assert_eq!(short(&fixture.read(&["a", "b"], ago(&fixture, Duration::from_secs(30)))), [""; 0]);
        let late = fixture.publish_bytes("a", 1);
        assert_eq!(short(&fixture.read(&["a"], ago(&fixture, Duration::from_secs(30)))), ["3"]);
        assert_eq!(short(&fixture.read(&["a", "b"], ago(&fixture, Duration::from_secs(90)))), ["1", "2", "3"]);
        assert_eq!(short(&fixture.read(&["a"], moment(&fixture, late.time))), ["3"], "a timestamp is a time, too");
        fixture.advance(Duration::from_secs(50));
        assert_eq!(short(&fixture.read(&["a"], ReadFrom::Earliest)), ["3"], "older ones are past their age");
        let reported = status(&*fixture.engine).clock_ahead;
        let was = Duration::from_millis(ahead);
        assert!(reported <= was && reported + Duration::from_secs(10) > was, "{reported:?}");
        fixture.advance(Duration::from_mins(10));
        assert_eq!(keyed_publish(), Ok(Seq(4)), "the key's window is over");
    }
}

pub(crate) fn a_store_that_was_stamped_ahead_heals_over_restarts<F: StoreFactory>() {
    let mut fixture = once_ahead::<F>(YEARS);
    // Nothing is published, and each run is shorter than the maximum age.
    for _ in 0..4 {
        assert_eq!(short(&fixture.read(&["a"], ReadFrom::Earliest)), ["1"]);
        fixture.advance(Duration::from_secs(30));
        fixture.reopen();
    }
    assert_eq!(short(&fixture.read(&["a"], ReadFrom::Earliest)), [""; 0]);
    fixture.publish("a");
    fixture.reopen();
    for start in both_ago(&fixture, Duration::from_secs(10)) {
        let mut items = short(&fixture.read(&["a"], start));
        // After a start the time of the trimmed event is unknown, so a gap may be reported conservatively, until the first
        // retention round has ended.
        items.retain(|item| item != "a!2");
        assert_eq!(items, ["2"]);
    }
}

pub(crate) fn since_reaches_back_before_the_clock_leapt<F: StoreFactory>() {
    let fixture = LogFixture::<F>::new();
    fixture.publish("a");
    fixture.advance(Duration::from_mins(1));
    fixture.publish("a");
    fixture.advance(Duration::from_mins(1));
    fixture.machine().fetch_add(YEARS, Ordering::SeqCst);
    fixture.publish("a");
    fixture.machine().fetch_sub(YEARS, Ordering::SeqCst);
    fixture.advance(Duration::from_mins(1));
    fixture.publish("a");
    let read = |seconds| short(&fixture.read(&["a"], ago(&fixture, Duration::from_secs(seconds))));
    assert_eq!(read(30), ["4"]);
    assert_eq!(read(130), ["2", "3", "4"]);
    assert_eq!(read(1000), ["1", "2", "3", "4"]);
}

pub(crate) fn since_reaches_back_before_a_start_whose_clock_was_ahead<F: StoreFactory>() {
    let mut fixture = LogFixture::<F>::new();
    fixture.publish("a");
    fixture.advance(Duration::from_mins(1));
    // The clock is wrong from one start to the next, so no running hub observes that it leaps.
    fixture.engine.close();
    fixture.machine().fetch_add(YEARS, Ordering::SeqCst);
    fixture.start();
    fixture.publish("a");
    fixture.engine.close();
    fixture.machine().fetch_sub(YEARS, Ordering::SeqCst);
    fixture.start();
    fixture.advance(Duration::from_mins(1));
    assert_eq!(since(&fixture, 90), ["2"]);
    assert_eq!(since(&fixture, 150), ["1", "2"]);
}

pub(crate) fn a_clock_that_begins_in_1970_trims_nothing_early_and_forgets_no_key<F: StoreFactory>() {
    let mut fixture = LogFixture::<F>::with_retention(Retention { max_age: Some(AGE), ..Retention::default() });
    let keyed_publish = |fixture: &LogFixture<F>, key| {
        fixture.append(keyed(key, 1, vec![event("a", "x")])).map(|receipts| receipts[0].seq)
    };
    assert_eq!(keyed_publish(&fixture, 1), Ok(Seq(1)));
    let right = fixture.machine().swap(5000, Ordering::SeqCst);
    fixture.reopen();
    assert_eq!(keyed_publish(&fixture, 1), Ok(Seq(1)), "a retry is known");
    assert_eq!(keyed_publish(&fixture, 2), Ok(Seq(2)));
    assert_eq!(short(&fixture.read(&["a"], ago(&fixture, Duration::from_secs(2)))), ["1", "2"]);
    fixture.machine().store(right + 3000, Ordering::SeqCst);
    fixture.reopen();
    assert_eq!((keyed_publish(&fixture, 1), keyed_publish(&fixture, 2)), (Ok(Seq(1)), Ok(Seq(2))));
    assert_eq!(short(&fixture.read(&["a"], ReadFrom::Earliest)), ["1", "2"]);
    assert_eq!(status(&*fixture.engine).clock_ahead, Duration::ZERO);
}

fn leap<F: StoreFactory>(fixture: &LogFixture<F>, ms: u64) {
    fixture.machine().fetch_add(ms, Ordering::SeqCst);
}

/// What a read of the last `seconds` of "a" returns.
fn since<F: StoreFactory>(fixture: &LogFixture<F>, seconds: u64) -> Vec<String> {
    short(&fixture.read(&["a"], from(fixture, When::Ago(Duration::from_secs(seconds)))))
}

pub(crate) fn a_clock_that_leaps_ahead_ages_no_event_and_no_key<F: StoreFactory>() {
    let mut fixture = LogFixture::<F>::with_retention(Retention { max_age: Some(AGE), ..Retention::default() });
    let key = |fixture: &LogFixture<F>, key| fixture.append(keyed(key, 1, vec![event("k", "x")])).map(|all| all[0].seq);
    fixture.publish("a");
    assert_eq!(key(&fixture, 1), Ok(Seq(2)));
    fixture.advance(Duration::from_mins(1));
    leap(&fixture, YEARS);
    let late = fixture.publish_bytes("a", 1);
    assert!(late.time.0 > YEARS, "it is stamped by the machine's clock");
    for _ in 0..3 {
        assert_eq!(short(&fixture.read(&["**"], ReadFrom::Earliest)), ["1", "2", "3"]);
        assert_eq!(key(&fixture, 1), Ok(Seq(2)), "its window is not over");
        assert!(fixture.engine.catalog().is_retained(&topic("a"), Seq(1)));
        assert_eq!((since(&fixture, 59), since(&fixture, 61)), (vec!["3".into()], vec!["1".into(), "3".into()]));
        assert_eq!(status(&*fixture.engine).clock_leapt, Duration::from_millis(YEARS));
        fixture.reopen();
    }
    fixture.advance(Duration::from_secs(39));
    assert_eq!(short(&fixture.read(&["a"], ReadFrom::Earliest)), ["1", "3"]);
    fixture.advance(Duration::from_secs(2));
    assert_eq!(short(&fixture.read(&["a"], ReadFrom::After(Seq(0)))), ["a!3", "3"], "it is past its age");
    fixture.until("swept", |engine| status(engine).events == 1);
    fixture.advance(Duration::from_secs(499));
    assert_eq!(key(&fixture, 1), Ok(Seq(4)), "the window is over");
}

pub(crate) fn after_a_leap_and_back_ages_are_true_over_restarts<F: StoreFactory>() {
    let mut fixture = LogFixture::<F>::with_retention(Retention { max_age: Some(AGE), ..Retention::default() });
    fixture.publish("a");
    fixture.advance(Duration::from_secs(20));
    leap(&fixture, YEARS);
    fixture.publish("a");
    fixture.advance(Duration::from_secs(20));
    fixture.machine().fetch_sub(YEARS, Ordering::SeqCst);
    fixture.reopen();
    let third = fixture.publish_bytes("a", 1);
    fixture.advance(Duration::from_secs(10));
    for _ in 0..3 {
        for (seconds, want) in [(5, &[][..]), (15, &["3"]), (35, &["2", "3"]), (55, &["1", "2", "3"])] {
            assert_eq!(since(&fixture, seconds), want, "{seconds}");
        }
        fixture.reopen();
    }
    let moment = |ms: u64| short(&fixture.read(&["a"], moment(&fixture, Millis(ms))));
    let now = fixture.machine().load(Ordering::SeqCst);
    assert_eq!(moment(now - 31_000), ["2", "3"], "a time of the right clock");
    assert_eq!(moment(now - 51_000), ["1", "2", "3"]);
    assert_eq!(moment(third.time.0), ["3"], "a timestamp is a time, too");
    fixture.advance(Duration::from_secs(55));
    assert_eq!(short(&fixture.read(&["a"], ReadFrom::Earliest)), ["2", "3"], "the first is past its age");
    fixture.advance(Duration::from_secs(25));
    assert_eq!(short(&fixture.read(&["a"], ReadFrom::Earliest)), ["3"]);
}

pub(crate) fn a_moment_stays_one_where_the_clock_leapt<F: StoreFactory>() {
    let fixture = LogFixture::<F>::new();
    let first = fixture.publish_bytes("a", 1);
    fixture.advance(Duration::from_mins(1));
    let second = fixture.publish_bytes("a", 1);
    leap(&fixture, YEARS);
    fixture.advance(Duration::from_mins(1));
    let third = fixture.publish_bytes("a", 1);
    let moment = |time: Millis| short(&fixture.read(&["a"], moment(&fixture, time)));
    assert_eq!(moment(first.time), ["1", "2", "3"]);
    assert_eq!(moment(second.time), ["2", "3"]);
    assert_eq!(moment(second.time.after(Duration::from_secs(1))), ["3"]);
    assert_eq!(moment(third.time), ["3"]);
    assert_eq!(moment(third.time.after(Duration::from_secs(1))), [""; 0]);
}

pub(crate) fn a_clock_that_leaps_more_often_than_is_remembered_trims_nothing_early<F: StoreFactory>() {
    let mut fixture = LogFixture::<F>::with_retention(Retention { max_age: Some(AGE), ..Retention::default() });
    for leaps in 1..=30 {
        fixture.publish("a");
        fixture.advance(Duration::from_secs(1));
        leap(&fixture, leaps * 3_600_000);
        fixture.engine.head();
        status(&*fixture.engine);
    }
    fixture.publish("a");
    let all: Vec<String> = (1..=31).map(|seq: u64| seq.to_string()).collect();
    assert_eq!(short(&fixture.read(&["a"], ReadFrom::Earliest)), all);
    fixture.reopen();
    assert_eq!(short(&fixture.read(&["a"], ReadFrom::Earliest)), all);
    assert_eq!(since(&fixture, 4), ["27", "28", "29", "30", "31"]);
    fixture.advance(Duration::from_secs(101));
    assert_eq!(short(&fixture.read(&["a"], ReadFrom::Earliest)), [""; 0], "nothing is retained for ever");
}

pub(crate) fn a_board_that_begins_in_1970_and_learns_the_time_trims_nothing_early<F: StoreFactory>() {
    let mut fixture = LogFixture::<F>::with_retention(Retention { max_age: Some(AGE), ..Retention::default() });
    let right = fixture.machine().swap(5000, Ordering::SeqCst);
    fixture.factory.store = F::new();
    fixture.reopen();
    let first = fixture.publish_bytes("a", 1);
    assert!(first.time.0 < 10_000);
    fixture.advance(Duration::from_mins(1));
    fixture.machine().store(right, Ordering::SeqCst);
    fixture.publish("a");
    assert_eq!(short(&fixture.read(&["a"], ReadFrom::Earliest)), ["1", "2"]);
    assert_eq!(since(&fixture, 90), ["1", "2"]);
    fixture.advance(Duration::from_secs(41));
    assert_eq!(short(&fixture.read(&["a"], ReadFrom::Earliest)), ["2"]);
}
