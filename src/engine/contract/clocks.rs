//! Promises about a machine's clock that is wrong for a while.

use super::*;

const YEARS: u64 = 3650 * 24 * 3600 * 1000;
const AGE: Duration = Duration::from_secs(100);

/// Keeps [`AGE`], with a first event when the machine's clock was `ahead` by so much, and right again.
fn once_ahead<B: Bed>(ahead: u64) -> House<B> {
    let house = House::<B>::keeping(Retention { max_age: Some(AGE), ..Retention::default() });
    house.machine().fetch_add(ahead, Ordering::SeqCst);
    house.publish("a");
    house.machine().fetch_sub(ahead, Ordering::SeqCst);
    house
}

/// The moment so long ago, by the machine's clock.
fn ago<B: Bed>(house: &House<B>, time: Duration) -> From {
    From::Since(Millis(house.machine().load(Ordering::SeqCst)).before(time))
}

pub(crate) fn after_a_clock_that_was_ahead_age_and_since_and_keys_go_by_the_time_that_passes<B: Bed>() {
    for ahead in [3_600_000, YEARS] {
        let house = once_ahead::<B>(ahead);
        let keyed_publish = || house.append(keyed(1, 1, vec![event("b", "x")])).map(|receipts| receipts[0].seq);
        assert_eq!(keyed_publish(), Ok(Seq(2)));
        house.pass(Duration::from_mins(1));
        assert_eq!(short(&house.read(&["a", "b"], ago(&house, Duration::from_secs(30)))), [""; 0]);
        let late = house.publish_bytes("a", 1);
        assert_eq!(short(&house.read(&["a"], ago(&house, Duration::from_secs(30)))), ["3"]);
        assert_eq!(short(&house.read(&["a", "b"], ago(&house, Duration::from_secs(90)))), ["1", "2", "3"]);
        assert_eq!(short(&house.read(&["a"], From::Since(late.time))), ["3"], "a stamp is a moment, too");
        house.pass(Duration::from_secs(50));
        assert_eq!(short(&house.read(&["a"], From::Earliest)), ["3"], "older ones are past their age");
        let told = house.engine.status().clock_ahead;
        let was = Duration::from_millis(ahead);
        assert!(told <= was && told + Duration::from_secs(10) > was, "{told:?}");
        house.pass(Duration::from_mins(10));
        assert_eq!(keyed_publish(), Ok(Seq(4)), "the key's window is over");
    }
}

pub(crate) fn a_store_that_was_stamped_ahead_heals_over_restarts<B: Bed>() {
    let mut house = once_ahead::<B>(YEARS);
    // Nothing is published, and no start lives as long as an event may.
    for _ in 0..4 {
        assert_eq!(short(&house.read(&["a"], From::Earliest)), ["1"]);
        house.pass(Duration::from_secs(30));
        house.reopen();
    }
    assert_eq!(short(&house.read(&["a"], From::Earliest)), [""; 0]);
    house.publish("a");
    house.reopen();
    let mut told = short(&house.read(&["a"], ago(&house, Duration::from_secs(10))));
    // After a start it is not known when the trimmed event was published: a gap may be told to be on the safe side.
    told.retain(|item| item != "a!2");
    assert_eq!(told, ["2"]);
}

pub(crate) fn since_reaches_back_before_the_clock_leapt<B: Bed>() {
    let house = House::<B>::new();
    house.publish("a");
    house.pass(Duration::from_mins(1));
    house.publish("a");
    house.pass(Duration::from_mins(1));
    house.machine().fetch_add(YEARS, Ordering::SeqCst);
    house.publish("a");
    house.machine().fetch_sub(YEARS, Ordering::SeqCst);
    house.pass(Duration::from_mins(1));
    house.publish("a");
    let told = |seconds| short(&house.read(&["a"], ago(&house, Duration::from_secs(seconds))));
    assert_eq!(told(30), ["4"]);
    assert_eq!(told(130), ["2", "3", "4"]);
    assert_eq!(told(1000), ["1", "2", "3", "4"]);
}

pub(crate) fn a_clock_that_begins_in_1970_trims_nothing_early_and_forgets_no_key<B: Bed>() {
    let mut house = House::<B>::keeping(Retention { max_age: Some(AGE), ..Retention::default() });
    let keyed_publish =
        |house: &House<B>, key| house.append(keyed(key, 1, vec![event("a", "x")])).map(|receipts| receipts[0].seq);
    assert_eq!(keyed_publish(&house, 1), Ok(Seq(1)));
    let right = house.machine().swap(5000, Ordering::SeqCst);
    house.reopen();
    assert_eq!(keyed_publish(&house, 1), Ok(Seq(1)), "a retry is known");
    assert_eq!(keyed_publish(&house, 2), Ok(Seq(2)));
    assert_eq!(short(&house.read(&["a"], ago(&house, Duration::from_secs(2)))), ["1", "2"]);
    house.machine().store(right + 3000, Ordering::SeqCst);
    house.reopen();
    assert_eq!((keyed_publish(&house, 1), keyed_publish(&house, 2)), (Ok(Seq(1)), Ok(Seq(2))));
    assert_eq!(short(&house.read(&["a"], From::Earliest)), ["1", "2"]);
    assert_eq!(house.engine.status().clock_ahead, Duration::ZERO);
}
