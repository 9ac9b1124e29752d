//! The log engine over every store: gaps.

use super::*;

pub(crate) fn an_emptied_topic_is_remembered_after_a_restart<F: StoreFactory>() {
    let age = Retention { max_age: Some(Duration::from_secs(10)), ..Retention::default() };
    let mut fixture = LogFixture::<F>::with_retention(age);
    fixture.publish("open");
    let last = fixture.close_topic("closed");
    fixture.advance(Duration::from_secs(11));
    for _ in 0..3 {
        fixture.until("swept", |engine| status(engine).events == 0);
        std::thread::sleep(Duration::from_millis(20)); // some reclamation rounds
        for filters in [&["closed", "open"][..], &["**"]] {
            let page = fixture.read(filters, ReadFrom::After(Seq(0)));
            assert_eq!(short(&page), ["open!-", "closed!-"], "{filters:?}");
        }
        let state = fixture.state("closed").expect("it still exists");
        assert_eq!((state.last, state.closed), (Some(last), true));
        fixture.reopen();
    }
    fixture.publish("open");
    assert_eq!(short(&fixture.read(&["open"], ReadFrom::After(Seq(0)))), ["open!3", "3"]);
    assert_eq!(short(&fixture.read(&["open"], ReadFrom::After(Seq(1)))), ["3"]);
}

pub(crate) fn since_reports_a_gap_only_for_events_after_that_time<F: StoreFactory>() {
    let fixture = LogFixture::<F>::new();
    let times: Vec<Millis> = (0..4)
        .map(|_| {
            fixture.advance(Duration::from_secs(1));
            fixture.publish_bytes("a", 1).time
        })
        .collect();
    fixture.trim("a", 1);
    for filters in [&["a"][..], &["a", "b"], &["**"]] {
        assert_eq!(short(&fixture.read(filters, ReadFrom::Since(times[2]))), ["a!4", "4"], "{filters:?}");
        assert_eq!(short(&fixture.read(filters, ReadFrom::Since(Millis(times[2].0 + 1)))), ["4"], "{filters:?}");
    }
}
