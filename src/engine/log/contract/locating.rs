//! The log engine over every store: starts by time and by count.

use super::*;
use crate::engine::LocateBy;
use crate::engine::contract::locating::{locate, read_located};

pub(crate) fn a_time_resolves_to_a_position_that_reports_later_losses<F: StoreFactory>() {
    let fixture = LogFixture::<F>::new();
    let mut times = Vec::new();
    for _ in 0..6 {
        fixture.advance(Duration::from_secs(1));
        times.push(fixture.publish_bytes("a", 1).time);
        fixture.publish("b");
    }
    let by = LocateBy::Since(times[3]);
    assert_eq!(read_located(&fixture, &["a", "b"], by), short(&fixture.read(&["a", "b"], ReadFrom::Since(times[3]))));
    assert_eq!(locate(&fixture, &["a"], LocateBy::Since(Millis(times[5].0 + 1))), fixture.engine.head().seq);
    fixture.trim("a", 1);
    for filters in [&["a"][..], &["a", "b"], &["*"]] {
        let first = short(&fixture.read(filters, ReadFrom::Since(times[3])));
        assert!(first.contains(&"a!11".to_owned()), "{first:?}");
        assert!(read_located(&fixture, filters, by).contains(&"a!11".to_owned()), "and again: {filters:?}");
    }
}
