//! The log engine over every store: the lifecycle of topics and of the engine.

use super::*;

pub(crate) fn settings_merge_and_go_back_to_the_rule<F: StoreFactory>() {
    let rule = Retention { max_events: Some(100), max_age: None, max_bytes: Some(1000) };
    let mut fixture = LogFixture::<F>::with_retention(rule);
    let change = |max_events, retry| TopicChange { max_events, retry, ..TopicChange::default() };
    let state = fixture.configure("a", change(Some(Some(5)), None));
    assert_eq!((state.first, state.last, state.events), (None, None, 0), "created without events");
    let state = fixture.configure("a", change(None, Some(Some(7))));
    assert_eq!((state.retention, state.retry), (Retention { max_events: Some(5), ..rule }, Some(7)));
    fixture.reopen();
    assert_eq!(fixture.state("a"), Some(state));
    let state = fixture.configure("a", change(Some(None), Some(None)));
    assert_eq!((state.retention, state.retry), (rule, None));
}
