//! The log engine over every store: pages.

use super::*;

pub(crate) fn a_walk_and_a_pick_read_what_a_merge_reads<F: StoreFactory>() {
    let mut fixture = LogFixture::<F>::with(LogConfig { pick_topics: usize::MAX, ..LogConfig::fixture() });
    for n in 0..40 {
        fixture.publish(&format!("jobs/{}", n % 7));
        fixture.publish("other");
    }
    fixture.trim("jobs/3", 2);
    fixture.delete("jobs/5");
    let all = ["jobs/0", "jobs/1", "jobs/2", "jobs/3", "jobs/4", "jobs/5", "jobs/6"];
    let pages = |fixture: &LogFixture<F>| {
        [0, 1, 7, 40, 79].map(|start| {
            let page = fixture.read(&["jobs/*"], ReadFrom::After(Seq(start)));
            assert_eq!(page, fixture.read(&all, ReadFrom::After(Seq(start))), "after {start}");
            assert_eq!(fixture.read_in_pages(&["jobs/*"], ReadFrom::After(Seq(start)), 3, 25), page, "after {start}");
            page
        })
    };
    let merged = pages(&fixture);
    for (merge_topics, pick_topics) in [(usize::MAX, 0), (0, 0)] {
        fixture.factory.config = LogConfig { merge_topics, pick_topics, ..fixture.factory.config.clone() };
        fixture.reopen();
        assert_eq!(pages(&fixture), merged, "{merge_topics}, {pick_topics}");
    }
}

pub(crate) fn since_starts_at_a_time<F: StoreFactory>() {
    let fixture = LogFixture::<F>::new();
    let times: Vec<Millis> = (0..6)
        .map(|n| {
            fixture.advance(Duration::from_secs(1));
            fixture.publish_bytes(["a", "b"][n % 2], 1).time
        })
        .collect();
    assert_eq!(short(&fixture.read(&["a", "b"], ReadFrom::Since(times[3]))), ["4", "5", "6"]);
    assert_eq!(short(&fixture.read(&["a"], ReadFrom::Since(times[3]))), ["5"]);
    assert_eq!(short(&fixture.read(&["a"], ReadFrom::Since(Millis(times[5].0 + 1)))), [""; 0]);
    assert_eq!(short(&fixture.read(&["**"], ReadFrom::Since(Millis(0)))), ["1", "2", "3", "4", "5", "6"]);
}
