use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use super::*;

const HOUR: u64 = 3_600_000;
const YEARS: u64 = 87_600 * HOUR;

/// A log clock over injected wall and monotonic clocks.
struct TestClock {
    wall: Arc<AtomicU64>,
    up: Arc<AtomicU64>,
    clock: LogClock,
}

impl TestClock {
    fn new(machine: u64, last: u64) -> Self {
        Self::reopen(machine, 0, last, &KeptClock::default(), None)
    }

    /// A clock of another process, over the stored state.
    fn reopen(machine: u64, up: u64, last: u64, kept: &KeptClock, boot: Option<&str>) -> Self {
        let (wall, up) = (Arc::new(AtomicU64::new(machine)), Arc::new(AtomicU64::new(up)));
        let (of_wall, of_up) = (Arc::clone(&wall), Arc::clone(&up));
        let config = LogConfig {
            clock: Arc::new(move || Millis(of_wall.load(SeqCst))),
            uptime: Arc::new(move || Duration::from_millis(of_up.load(SeqCst))),
            boot: boot.map(Into::into),
            ..LogConfig::fixture()
        };
        Self { wall, up, clock: LogClock::new(&config, Millis(last), kept, Millis(0)) }
    }

    fn advance(&self, ms: u64) -> u64 {
        self.wall.fetch_add(ms, SeqCst);
        self.up.fetch_add(ms, SeqCst);
        self.clock.now().time.0
    }

    fn leap(&self, ms: u64) -> u64 {
        self.wall.fetch_add(ms, SeqCst);
        self.clock.now().time.0
    }

    fn age(&self, stamp: u64) -> u64 {
        u64::try_from(self.clock.now().age(Millis(stamp)).as_millis()).expect("short")
    }

    /// The state to store, recorded as stored.
    fn save(&self, closing: bool) -> Option<KeptClock> {
        self.clock.due(closing).inspect(|clock| self.clock.saved(clock))
    }
}

fn leap(at: u64, gained: u64) -> Leap {
    Leap { at: Millis(at), to: Millis(at + gained), gained: Duration::from_millis(gained) }
}

#[test]
fn it_shows_the_machines_time_and_never_goes_back() {
    let clock = TestClock::new(50 * HOUR, 49 * HOUR);
    assert_eq!(clock.advance(0), 50 * HOUR);
    assert_eq!(clock.advance(7), 50 * HOUR + 7);
    clock.wall.fetch_sub(5000, SeqCst);
    assert_eq!(clock.advance(0), 50 * HOUR + 7);
    assert!(clock.advance(3200) >= 50 * HOUR + 7 + 3100, "and goes on");
    assert_eq!(clock.advance(HOUR), 51 * HOUR + 3207 - 5000, "until the machine's is later");
}

#[test]
fn behind_a_timestamp_it_continues_by_elapsed_time_until_the_machine_catches_up() {
    let clock = TestClock::new(50 * HOUR, 60 * HOUR);
    assert_eq!(clock.clock.read(), Reading { log: Millis(60 * HOUR), machine: Millis(50 * HOUR) });
    assert_eq!(clock.advance(32 * HOUR), 91 * HOUR, "a 32nd slower");
    clock.wall.store(10, SeqCst);
    assert_eq!(clock.advance(0), 91 * HOUR, "a machine that begins in 1970 changes nothing");
    clock.wall.store(92 * HOUR, SeqCst);
    assert_eq!(clock.clock.read().ahead(), Duration::ZERO);
    assert_eq!(clock.clock.now().leaps, Leaps::default(), "what the log's clock lost is no leap");
}

#[test]
fn it_is_stored_while_it_is_ahead_and_no_longer() {
    let clock = TestClock::new(HOUR, 2 * HOUR);
    let ahead = |time| Some(KeptClock { ahead: Some(Millis(time)), ..KeptClock::default() });
    assert_eq!(clock.clock.due(false), ahead(2 * HOUR));
    assert_eq!(clock.save(false), ahead(2 * HOUR), "again, until it is stored");
    clock.advance(1000);
    assert_eq!(clock.save(false), None, "not all the time");
    assert!(clock.save(true).is_some(), "but at the end");
    clock.wall.store(2 * HOUR + 1500, SeqCst);
    assert_eq!(clock.save(false), Some(KeptClock::default()));
    assert_eq!(clock.save(true), None);
}

#[test]
fn an_age_counts_the_time_that_passes_and_no_leap() {
    let clock = TestClock::new(50 * HOUR, 0);
    clock.advance(HOUR);
    assert_eq!(clock.leap(YEARS), 51 * HOUR + YEARS, "stamps follow the machine's clock");
    assert_eq!(clock.clock.now().leaps.iter().collect::<Vec<_>>(), [&leap(51 * HOUR, YEARS)]);
    assert_eq!((clock.age(50 * HOUR), clock.age(51 * HOUR + YEARS)), (HOUR, 0));
    clock.advance(2 * HOUR);
    assert_eq!((clock.age(50 * HOUR), clock.age(51 * HOUR + YEARS)), (3 * HOUR, 2 * HOUR));
    clock.wall.fetch_sub(YEARS, SeqCst);
    clock.advance(32 * HOUR);
    let slower = 31 * HOUR;
    assert_eq!(
        (clock.age(50 * HOUR), clock.age(51 * HOUR + YEARS)),
        (3 * HOUR + slower, 2 * HOUR + slower),
        "and back"
    );
    clock.leap(YEARS + 20 * HOUR);
    assert_eq!(clock.clock.now().leaps.iter().count(), 2, "beyond where it was");
    assert_eq!(clock.age(50 * HOUR), 35 * HOUR, "and the lost time is regained");
}

#[test]
fn small_steps_and_suspend_are_no_leaps() {
    let clock = TestClock::new(50 * HOUR, 0);
    clock.leap(999);
    clock.advance(48 * HOUR);
    clock.leap(999);
    assert_eq!(clock.clock.now().leaps, Leaps::default());
    assert_eq!(clock.age(50 * HOUR), 48 * HOUR + 1998);
    clock.leap(1000);
    assert_eq!(clock.clock.now().leaps.iter().count(), 1);
    assert_eq!(clock.age(50 * HOUR), 48 * HOUR + 1998);
}

#[test]
fn a_leap_is_stored_once_and_retried_until_stored() {
    let clock = TestClock::new(50 * HOUR, 0);
    assert_eq!(clock.save(false), None);
    clock.leap(YEARS);
    let kept = KeptClock { leaps: Leaps::default().with(leap(50 * HOUR, YEARS)), ..KeptClock::default() };
    assert!(clock.clock.unsaved.load(SeqCst));
    assert_eq!(clock.clock.due(false), Some(kept.clone()));
    clock.leap(HOUR);
    clock.clock.saved(&kept);
    let both = kept.leaps.with(leap(50 * HOUR + YEARS, HOUR));
    assert_eq!(clock.save(false).map(|kept| kept.leaps), Some(both), "one that came meanwhile is stored, too");
    assert_eq!(clock.save(false), None);
    assert!(!clock.clock.unsaved.load(SeqCst));
}

#[test]
fn a_leap_is_known_after_a_restart_if_anything_was_stamped_after_it() {
    let clock = TestClock::new(50 * HOUR, 0);
    clock.advance(HOUR);
    clock.leap(YEARS);
    let kept = clock.save(false).expect("a leap");
    let age = |machine, last, kept: &KeptClock| {
        let again = TestClock::reopen(machine, 0, last, kept, None);
        (again.age(50 * HOUR), again.clock.unsaved.load(SeqCst))
    };
    let (right, wrong) = (52 * HOUR, 52 * HOUR + YEARS);
    assert_eq!(age(wrong, 51 * HOUR, &kept), (2 * HOUR, false));
    assert_eq!(age(wrong, wrong, &kept), (2 * HOUR, false));
    assert_eq!(age(right, wrong, &kept), (2 * HOUR, false), "while it is ahead");
    let ahead = KeptClock { ahead: Some(Millis(wrong + HOUR)), ..kept.clone() };
    assert_eq!(age(right, 51 * HOUR, &ahead), (3 * HOUR, false));
    assert_eq!(age(right, 51 * HOUR, &kept), (2 * HOUR, true), "and otherwise it is forgotten, here");
    let kept = TestClock::reopen(right, 0, 51 * HOUR, &kept, None).save(false).expect("to be forgotten");
    assert_eq!(kept, KeptClock::default(), "and by the store");
}

#[test]
fn within_one_boot_a_leap_between_two_processes_is_seen() {
    let first = TestClock::reopen(50 * HOUR, 7 * HOUR, 0, &KeptClock::default(), Some("one"));
    let kept = first.save(false).expect("the boot");
    first.advance(HOUR);
    let age = |machine: u64, up: u64, last: u64, boot| {
        let again = TestClock::reopen(machine, up, last, &kept, Some(boot));
        (again.age(50 * HOUR), again.clock.unsaved.load(SeqCst))
    };
    assert_eq!(age(53 * HOUR, 10 * HOUR, 51 * HOUR, "one"), (3 * HOUR, false));
    assert_eq!(age(53 * HOUR + YEARS, 10 * HOUR, 51 * HOUR, "one"), (3 * HOUR, true));
    let seen = age(53 * HOUR + YEARS, 10 * HOUR, 53 * HOUR + YEARS, "one");
    assert_eq!(seen, (3 * HOUR + YEARS, false), "not below a stamp: the process before would have kept it");
    assert_eq!(
        age(53 * HOUR + YEARS, 10 * HOUR, 51 * HOUR, "two"),
        (3 * HOUR + YEARS, false),
        "unknown after a reboot"
    );
    assert_eq!(age(53 * HOUR + YEARS, 6 * HOUR, 51 * HOUR, "one"), (3 * HOUR + YEARS, false), "it is another clock");
    assert_eq!(age(20 * HOUR, 10 * HOUR, 51 * HOUR, "one"), (HOUR, false), "behind, it goes on from the newest stamp");
    let last = first.save(true).and_then(|kept| kept.seen).expect("at the end");
    assert_eq!((last.time, last.uptime), (Millis(51 * HOUR), Duration::from_millis(8 * HOUR)));
    assert_eq!(first.save(false), None);
}

#[test]
fn leaps_before_the_oldest_event_are_dropped() {
    let leaps = Leaps::default().with(leap(10 * HOUR, HOUR)).with(leap(20 * HOUR, HOUR));
    let kept = KeptClock { leaps, ..KeptClock::default() };
    let config = LogConfig { clock: Arc::new(|| Millis(50 * HOUR)), boot: None, ..LogConfig::fixture() };
    let left = |oldest| LogClock::new(&config, Millis(40 * HOUR), &kept, oldest).now().leaps.iter().count();
    assert_eq!([10 * HOUR, 11 * HOUR, 20 * HOUR + 1, u64::MAX].map(Millis).map(left), [2, 1, 0, 0]);
}

#[test]
fn a_thread_suspended_between_the_clocks_sees_no_leap() {
    let up = Arc::new(AtomicU64::new(0));
    let (of_up, of_wall) = (Arc::clone(&up), Arc::clone(&up));
    let held_up = AtomicU64::new(0);
    let config = LogConfig {
        clock: Arc::new(move || Millis(50 * HOUR + of_wall.load(SeqCst))),
        uptime: Arc::new(move || {
            // The machine's clock is read before every second look.
            let looks = held_up.fetch_add(1, SeqCst);
            let late = if looks == 3 { 3000 } else { 0 };
            Duration::from_millis(of_up.fetch_add(late, SeqCst) + late)
        }),
        boot: None,
        ..LogConfig::fixture()
    };
    let clock = LogClock::new(&config, Millis(0), &KeptClock::default(), Millis(0));
    for _ in 0..5 {
        clock.read();
    }
    assert_eq!(up.load(SeqCst), 3000, "it was held up");
    assert_eq!(clock.now().leaps, Leaps::default());
}
