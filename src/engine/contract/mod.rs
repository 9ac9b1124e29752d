//! The contract of an engine as tests: what every engine promises.
//!
//! Each test is a function over an [`EngineFactory`]; the last lines of this file list all tests, and the engines that run
//! them. What only the log engine promises, with its clocks and its configuration, is in `engine/log/contract`.

use std::{
    convert::Infallible,
    sync::{Arc, OnceLock, Weak},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{
    Append, AppendError, Engine, ExpectedLast, IdempotencyKey, LifecycleChange, LogPage, MetadataChange, Observer,
    PageItem, ReadFrom, ReadRequest, Receipt, Status, TopicChange, TopicQuery, TopicState,
};
use crate::event::{Event, EventId, Filter, Metadata, NewEvent, Retention, Selection, Seq, TopicName};

pub(crate) mod appending;
pub(crate) mod backwards;
pub(crate) mod gaps;
pub(crate) mod lifecycle;
pub(crate) mod locating;
pub(crate) mod metadata;
pub(crate) mod numbered;
pub(crate) mod reading;
pub(crate) mod removal;
pub(crate) mod retention;

/// Opens an engine over the same stored data, again and again.
pub(crate) trait EngineFactory {
    fn new() -> Self;
    fn open(&mut self, observer: Arc<dyn Observer>) -> Arc<dyn Engine>;
    /// The position in event ids of the event that the tests call `seq`: another one where positions have holes.
    fn position(&self, seq: Seq) -> Seq {
        seq
    }
}

/// An engine under test with a recording observer.
pub(crate) struct Fixture<F> {
    pub(crate) factory: F,
    pub(crate) observer: Arc<RecordingObserver>,
    pub(crate) engine: Arc<dyn Engine>,
}

/// Records what the observer receives, and checks that it is readable at that time.
#[derive(Default)]
pub(crate) struct RecordingObserver {
    pub(crate) engine: OnceLock<Weak<dyn Engine>>,
    pub(crate) events: Mutex<Vec<Arc<Event>>>,
    pub(crate) lifecycle_changes: Mutex<Vec<(TopicName, LifecycleChange)>>,
    /// Removals: topic, position, and the newest position observed before.
    pub(crate) removed: Mutex<Vec<(TopicName, Seq, Seq)>>,
    /// Heads up to which events were passed over.
    pub(crate) skipped: Mutex<Vec<Seq>>,
}

impl Observer for RecordingObserver {
    fn committed(&self, events: &[Arc<Event>]) {
        if let Some(engine) = self.engine.get().and_then(Weak::upgrade) {
            let last = events.last().expect("never called without events");
            assert!(engine.head().seq >= last.seq, "the head includes observed events");
            let request = request(Selection::from(last.new.topic.clone()), ReadFrom::After(Seq(last.seq.0 - 1)));
            let page = wait(engine.read(request)).expect("readable");
            assert_eq!(
                page.items,
                [PageItem::Event(Arc::clone(last))],
                "readable, and not trimmed, when it is observed"
            );
        }
        self.events.lock().extend_from_slice(events);
    }

    fn skipped(&self, head: Seq) {
        self.skipped.lock().push(head);
    }

    fn removed(&self, topic: &TopicName, seq: Seq) {
        if let Some(engine) = self.engine.get().and_then(Weak::upgrade) {
            let request = request(topic.clone().into(), ReadFrom::After(Seq(seq.0 - 1)));
            let page = wait(engine.read(request)).expect("readable");
            let tombstone =
                matches!(&page.items[0], PageItem::Event(event) if event.seq == seq && event.is_tombstone());
            assert!(tombstone, "its old bytes are not readable any more when it is observed");
        }
        let newest = self.events.lock().last().map_or(Seq::ZERO, |event| event.seq);
        self.removed.lock().push((topic.clone(), seq, newest));
    }

    fn lifecycle_changed(&self, topic: &TopicName, change: LifecycleChange) {
        self.lifecycle_changes.lock().push((topic.clone(), change));
    }

    fn epoch_changed(&self, head: EventId) {
        panic!("no engine of the contract is replaced while it is open: {head}");
    }
}

impl<F: EngineFactory> Fixture<F> {
    pub(crate) fn new() -> Self {
        Self::over(F::new())
    }

    /// Opens the factory's engine.
    pub(crate) fn over(mut factory: F) -> Self {
        let (engine, observer) = open(&mut factory);
        Self { factory, observer, engine }
    }

    pub(crate) fn reopen(&mut self) {
        self.engine.close();
        self.start();
    }

    /// Opens the engine again after it was closed.
    pub(crate) fn start(&mut self) {
        (self.engine, self.observer) = open(&mut self.factory);
    }

    /// Publishes one event with `bytes` bytes of data.
    pub(crate) fn publish_bytes(&self, name: &str, bytes: usize) -> Receipt {
        let events = vec![NewEvent::new(topic(name), "x".repeat(bytes))];
        wait(self.engine.append(plain(events))).expect("accepted").remove(0)
    }

    pub(crate) fn append(&self, append: Append) -> Result<Vec<Receipt>, AppendError> {
        wait(self.engine.append(append))
    }

    pub(crate) fn configure(&self, name: &str, change: TopicChange) -> TopicState {
        wait(self.engine.configure(topic(name), change)).expect("accepted")
    }

    pub(crate) fn delete(&self, name: &str) -> bool {
        wait(self.engine.delete(topic(name))).expect("accepted")
    }

    pub(crate) fn remove(&self, name: &str, seq: Seq) -> bool {
        wait(self.engine.remove(topic(name), self.id(seq))).expect("accepted")
    }

    pub(crate) fn state(&self, name: &str) -> Option<TopicState> {
        wait(self.engine.measure(&topic(name))).expect("readable")
    }

    pub(crate) fn deleted_through(&self, name: &str) -> Option<Seq> {
        wait(self.engine.deleted_through(vec![topic(name)])).expect("readable")[0]
    }

    /// Trims a topic to its newest events.
    pub(crate) fn trim(&self, name: &str, max_events: u64) {
        self.configure(name, TopicChange { max_events: Some(Some(max_events)), ..TopicChange::default() });
        self.until("trimmed", |engine| {
            let state = wait(engine.measure(&topic(name))).expect("readable");
            state.is_some_and(|state| state.events <= max_events)
        });
    }

    pub(crate) fn id(&self, seq: Seq) -> EventId {
        EventId { epoch: self.engine.epoch(), seq: self.factory.position(seq) }
    }

    pub(crate) fn publish_all(&self, names: &[&str]) {
        for name in names {
            self.publish(name);
        }
    }

    pub(crate) fn publish(&self, name: &str) -> Seq {
        self.publish_bytes(name, 10).seq
    }

    pub(crate) fn close_topic(&self, name: &str) -> Seq {
        let events = vec![NewEvent { close: true, ..NewEvent::new(topic(name), "bye") }];
        wait(self.engine.append(plain(events))).expect("accepted")[0].seq
    }

    /// Reads everything in one page.
    pub(crate) fn read(&self, filters: &[&str], from: ReadFrom) -> LogPage {
        wait(self.engine.read(request(selection(filters), from))).expect("readable")
    }

    /// Reads in pages of these limits, and joins them.
    pub(crate) fn read_in_pages(
        &self,
        filters: &[&str],
        from: ReadFrom,
        max_events: usize,
        max_bytes: usize,
    ) -> LogPage {
        let mut request = ReadRequest { selection: selection(filters), from, max_events, max_bytes };
        let mut whole = LogPage { epoch: self.engine.epoch(), items: vec![], through: Seq::ZERO, at_end: false };
        loop {
            let page = wait(self.engine.read(request.clone())).expect("readable");
            let moved = page.through > whole.through || !page.items.is_empty() || page.at_end;
            assert!(moved, "a page that is not the last makes progress");
            assert!(page.items.iter().filter(|item| matches!(item, PageItem::Event(_))).count() <= max_events);
            whole.items.extend(page.items);
            (whole.through, whole.at_end) = (page.through, page.at_end);
            if whole.at_end {
                return whole;
            }
            request.from = ReadFrom::After(whole.through);
        }
    }

    /// Waits at most 5 s for a condition that another thread will make true.
    pub(crate) fn until(&self, what: &str, mut holds: impl FnMut(&dyn Engine) -> bool) {
        let began = Instant::now();
        while !holds(&*self.engine) {
            assert!(began.elapsed() < Duration::from_secs(5), "never came true: {what}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn open<F: EngineFactory>(factory: &mut F) -> (Arc<dyn Engine>, Arc<RecordingObserver>) {
    let observer = Arc::new(RecordingObserver::default());
    let engine = factory.open(Arc::clone(&observer) as Arc<dyn Observer>);
    drop(observer.engine.set(Arc::downgrade(&engine)));
    (engine, observer)
}

/// The engine's status.
pub(crate) fn status(engine: &dyn Engine) -> Status {
    wait(async { Ok::<_, Infallible>(engine.status().await) }).unwrap_or_else(|never| match never {})
}

/// Waits at most 20 s for the answer.
pub(crate) fn wait<T, E>(answer: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), answer).await }).expect("an answer in time")
}

pub(crate) fn topic(name: &str) -> TopicName {
    TopicName::new(name).expect("valid")
}

pub(crate) fn selection(filters: &[&str]) -> Selection {
    Selection::new(filters.iter().map(|text| Filter::new(text).expect("valid"))).expect("not empty")
}

pub(crate) fn request(selection: Selection, from: ReadFrom) -> ReadRequest {
    ReadRequest { selection, from, max_events: 100_000, max_bytes: usize::MAX }
}

pub(crate) fn event(name: &str, data: &str) -> NewEvent {
    NewEvent::new(topic(name), data)
}

pub(crate) fn closing(name: &str) -> NewEvent {
    NewEvent { close: true, ..event(name, "bye") }
}

pub(crate) fn keyed(key: u8, fingerprint: u8, events: Vec<NewEvent>) -> Append {
    Append { key: Some(IdempotencyKey { key: [key; 16], fingerprint: [fingerprint; 16], owner: 0 }), ..plain(events) }
}

pub(crate) fn plain(events: Vec<NewEvent>) -> Append {
    Append { events, expect: None, key: None }
}

/// A page in compact notation: `5` for an event, `topic!5` for a gap that resumes there, `topic!-` when nothing is
/// retained, `topic?5` when events were lost.
pub(crate) fn short(page: &LogPage) -> Vec<String> {
    let item = |item: &PageItem| match item {
        PageItem::Event(event) => event.seq.to_string(),
        PageItem::Gap(gap) => {
            let resumes = gap.resumes_at.map_or("-".into(), |seq| seq.to_string());
            let topic = gap.topic.as_ref().map_or("*", TopicName::as_str);
            format!("{topic}{}{resumes}", if gap.lost { '?' } else { '!' })
        }
    };
    page.items.iter().map(item).collect()
}

/// Defines the macro `$contract`, which instantiates every test with a factory; and the macro `$list`, if it is named, which is
/// the names of all tests and functions that run them, where the modules of the tests are in scope.
macro_rules! contract_tests {
    ($contract:ident, $list:ident: $($module:ident: $($test:ident),+;)+) => {
        contract_tests! { $contract: $($module: $($test),+;)+ }
        macro_rules! $list {
            ($factory:ty) => {
                &[$($((
                    concat!(stringify!($module), "::", stringify!($test)),
                    $module::$test::<$factory> as fn(),
                )),+),+]
            };
        }
    };
    ($contract:ident: $($module:ident: $($test:ident),+;)+) => {
        macro_rules! $contract {
            ($store:ident, $factory:ty) => {
                mod $store {
                    $(mod $module {
                        $(#[test]
                        fn $test() {
                            super::super::$module::$test::<$factory>();
                        })+
                    })+
                }
            };
        }
    };
}

pub(crate) use contract_tests;

contract_tests! {
    contract, all_tests:
    appending:
        positions_rise_over_all_topics,
        nothing_is_acknowledged_before_it_is_readable_and_observed,
        concurrent_appenders_share_commits_and_are_observed_once_in_order,
        an_append_is_taken_whole_or_not_at_all,
        independent_events_are_refused_one_by_one_and_share_a_commit,
        an_append_may_depend_on_the_last_id,
        a_refused_append_uses_up_no_key,
        a_retried_close_and_a_retried_condition_get_their_receipt;
    lifecycle:
        a_restart_keeps_everything,
        an_id_is_never_used_twice,
        a_closed_topic_takes_no_more_until_it_is_reopened,
        a_setting_closes_a_topic_until_a_later_event_overrides_it,
        a_deleted_topic_leaves_its_mark_and_its_name_may_be_used_again,
        deleting_an_unused_topic_changes_nothing,
        topics_are_listed_in_byte_order,
        closing_finishes_what_is_queued_and_then_refuses;
    metadata:
        metadata_is_replaced_only_if_it_is_the_expected_one,
        of_callers_at_once_one_changes_the_metadata,
        a_change_depends_on_the_last_id_too,
        metadata_and_closed_change_together_or_not_at_all,
        a_topic_keeps_its_metadata_when_it_is_emptied_and_over_restarts,
        a_deleted_topic_has_no_metadata;
    reading:
        a_pattern_reads_every_topic_it_matches,
        a_page_ends_at_its_limit_and_the_next_continues,
        binary_data_and_metadata_are_kept_exactly_and_count_for_sizes,
        a_cursor_at_the_head_reads_nothing;
    locating:
        the_newest_events_are_those_of_a_plain_list,
        the_newest_of_nothing_begin_at_the_end,
        the_newest_are_among_the_retained_events,
        removed_events_are_not_counted_among_the_newest;
    backwards:
        pages_read_backwards_join_to_a_plain_list,
        a_page_read_backwards_ends_at_its_bytes_with_at_least_one_event,
        what_is_read_backwards_is_what_is_retained;
    gaps:
        a_cursor_before_trimmed_events_gets_a_gap,
        earliest_reports_no_gap,
        a_gap_is_reported_although_other_topics_advanced_the_cursor,
        a_gap_is_reported_by_one_page_only,
        an_emptied_topic_reports_that_nothing_is_retained,
        a_deleted_topic_is_reported_by_name_and_by_pattern;
    retention:
        retained_events_are_known_without_a_read;
    removal:
        a_removed_event_leaves_a_tombstone,
        nothing_is_left_of_binary_data_and_metadata_that_were_removed,
        readers_get_a_notice_before_a_removal_is_acknowledged,
        an_id_of_another_epoch_removes_nothing,
        an_event_is_removed_once,
        an_event_that_is_not_retained_cannot_be_removed,
        a_closed_topic_stays_closed_and_gets_no_notice,
        sizes_count_only_the_bytes_left_by_a_removal,
        a_deleted_topic_is_used_again_after_one_of_its_events_was_removed;
}

pub(crate) use all_tests;

contract!(memory, crate::engine::log::contract::LogFactory<crate::engine::log::contract::MemoryFactory>);
contract!(sled, crate::engine::log::contract::LogFactory<crate::engine::log::contract::SledFactory>);
