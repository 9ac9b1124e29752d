//! The contract of an engine as tests, run with every store.
//!
//! Each test is a function over a [`StoreFactory`]; the last lines of this file list all tests and stores.

use std::{
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{
    Append, AppendError, Engine, EngineFuture, ExpectedLast, IdempotencyKey, LifecycleChange, LogPage, Observer,
    PageItem, ReadFrom, ReadRequest, Receipt, TopicChange, TopicState, When, log::LogConfig,
};
use crate::event::{Event, EventId, Filter, Millis, NewEvent, Retention, Selection, Seq, TopicName, retention::Rules};

mod appending;
mod clocks;
mod factories;
mod gaps;
mod lifecycle;
mod locating;
mod model;
mod reading;
mod removal;
mod retention;

pub(crate) use factories::{MemoryFactory, SledFactory, StoreFactory};

/// An engine under test with a recording observer and an injected clock.
pub(crate) struct Fixture<F> {
    pub(crate) factory: F,
    pub(crate) config: LogConfig,
    clock: Arc<AtomicU64>,
    uptime: Arc<AtomicU64>,
    pub(crate) observer: Arc<RecordingObserver>,
    pub(crate) engine: Arc<dyn Engine>,
}

/// Records what the observer receives, and checks that it is readable at that time.
#[derive(Default)]
pub(crate) struct RecordingObserver {
    engine: OnceLock<Weak<dyn Engine>>,
    pub(crate) events: Mutex<Vec<Arc<Event>>>,
    pub(crate) lifecycle_changes: Mutex<Vec<(TopicName, LifecycleChange)>>,
    /// Removals: topic, position, and the newest position observed before.
    pub(crate) removed: Mutex<Vec<(TopicName, Seq, Seq)>>,
    subscriber_count: AtomicU32,
}

impl Observer for RecordingObserver {
    fn subscriber_count(&self, _: &TopicName) -> u32 {
        self.subscriber_count.load(Ordering::SeqCst)
    }

    fn committed(&self, events: &[Arc<Event>]) {
        if let Some(engine) = self.engine.get().and_then(Weak::upgrade) {
            let last = events.last().expect("never called without events");
            assert!(engine.head() >= last.seq, "the head includes observed events");
            let request = request(Selection::from(last.new.topic.clone()), ReadFrom::After(Seq(last.seq.0 - 1)));
            let page = engine.read(&request).expect("readable");
            let trimmed = matches!(&*page.items, [PageItem::Gap(_)]);
            assert!(trimmed || page.items == [PageItem::Event(Arc::clone(last))], "readable before it is observed");
        }
        self.events.lock().extend_from_slice(events);
    }

    fn removed(&self, topic: &TopicName, seq: Seq) {
        if let Some(engine) = self.engine.get().and_then(Weak::upgrade) {
            let page = engine.read(&request(topic.clone().into(), ReadFrom::After(Seq(seq.0 - 1)))).expect("readable");
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
}

impl<F: StoreFactory> Fixture<F> {
    pub(crate) fn new() -> Self {
        Self::with(LogConfig::fixture())
    }

    pub(crate) fn with_retention(default: Retention) -> Self {
        Self::with(LogConfig { rules: Rules { default, ..Rules::default() }, ..LogConfig::fixture() })
    }

    pub(crate) fn with(mut config: LogConfig) -> Self {
        // Starts at the machine's time, which a store may read too; advances only by `advance`.
        let clock = Arc::new(AtomicU64::new((LogConfig::fixture().clock)().0));
        let hand = Arc::clone(&clock);
        config.reclaim_every = Duration::from_millis(5);
        config.clock = Arc::new(move || Millis(hand.load(Ordering::SeqCst)));
        let uptime = Arc::new(AtomicU64::new(0));
        let hand = Arc::clone(&uptime);
        config.uptime = Arc::new(move || Duration::from_millis(hand.load(Ordering::SeqCst)));
        config.boot = None;
        let mut factory = F::new();
        let (engine, observer) = open(&mut factory, &config);
        Self { factory, config, clock, uptime, observer, engine }
    }

    pub(crate) fn reopen(&mut self) {
        self.engine.close();
        self.start();
    }

    /// Opens the engine again after it was closed.
    pub(crate) fn start(&mut self) {
        (self.engine, self.observer) = open(&mut self.factory, &self.config);
    }

    pub(crate) fn advance(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).expect("short");
        self.clock.fetch_add(ms, Ordering::SeqCst);
        self.uptime.fetch_add(ms, Ordering::SeqCst);
    }

    /// The injected machine's clock.
    pub(crate) fn machine(&self) -> &AtomicU64 {
        &self.clock
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
        wait(self.engine.remove(topic(name), seq)).expect("accepted")
    }

    pub(crate) fn state(&self, name: &str) -> Option<TopicState> {
        self.engine.topic(&topic(name))
    }

    /// Trims a topic to its newest events.
    pub(crate) fn trim(&self, name: &str, max_events: u64) {
        self.configure(name, TopicChange { max_events: Some(Some(max_events)), ..TopicChange::default() });
        self.until("trimmed", |engine| engine.topic(&topic(name)).is_some_and(|state| state.events <= max_events));
    }

    pub(crate) fn id(&self, seq: Seq) -> EventId {
        EventId { epoch: self.engine.epoch(), seq }
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
        self.engine.read(&request(selection(filters), from)).expect("readable")
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
        let mut whole = LogPage::default();
        loop {
            let page = self.engine.read(&request).expect("readable");
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

fn open<F: StoreFactory>(factory: &mut F, config: &LogConfig) -> (Arc<dyn Engine>, Arc<RecordingObserver>) {
    let observer = Arc::new(RecordingObserver::default());
    let engine = factory.open(config.clone(), Arc::clone(&observer) as Arc<dyn Observer>);
    drop(observer.engine.set(Arc::downgrade(&engine)));
    (engine, observer)
}

/// Waits at most 20 s for the answer.
pub(crate) fn wait<T, E>(answer: EngineFuture<T, E>) -> Result<T, E> {
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
            format!("{}{}{resumes}", gap.topic, if gap.lost { '?' } else { '!' })
        }
    };
    page.items.iter().map(item).collect()
}

/// Instantiates every test with a factory.
macro_rules! contract_tests {
    ($($module:ident: $($test:ident),+;)+) => {
        macro_rules! contract {
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

contract_tests! {
    appending:
        positions_rise_and_each_event_names_the_one_before_it_in_its_topic,
        nothing_is_acknowledged_before_it_is_readable_and_observed,
        concurrent_appenders_share_commits_and_are_observed_once_in_order,
        an_append_is_taken_whole_or_not_at_all,
        independent_events_are_refused_one_by_one_and_share_a_commit,
        an_append_may_depend_on_the_last_id,
        a_retry_gets_the_first_receipts_and_adds_nothing,
        a_retry_is_known_after_a_restart,
        a_key_is_for_one_request_and_for_one_window,
        a_refused_append_uses_up_no_key,
        a_retried_close_and_a_retried_condition_get_their_receipt,
        too_many_keys_are_refused_until_the_window_has_passed,
        a_batch_under_a_key_takes_the_capacity_of_one_event,
        an_owner_of_many_keys_leaves_room_for_others_also_after_a_restart,
        timestamps_never_decrease,
        receipts_contain_the_subscriber_count;
    lifecycle:
        a_restart_keeps_everything,
        an_id_is_never_used_twice,
        a_closed_topic_takes_no_more_until_it_is_reopened,
        a_setting_closes_a_topic_until_a_later_event_overrides_it,
        settings_merge_and_go_back_to_the_rule,
        a_deleted_topic_leaves_its_mark_and_its_name_may_be_used_again,
        deleting_an_unused_topic_changes_nothing,
        topics_are_listed_in_byte_order,
        closing_finishes_what_is_queued_and_then_refuses;
    reading:
        a_pattern_reads_every_topic_it_matches,
        a_walk_and_a_pick_read_what_a_merge_reads,
        a_page_ends_at_its_limit_and_the_next_continues,
        a_cursor_at_the_head_reads_nothing,
        since_starts_at_a_time;
    locating:
        the_newest_events_are_those_of_a_plain_list,
        the_newest_of_nothing_begin_at_the_end,
        the_newest_are_among_the_retained_events,
        removed_events_are_not_counted_among_the_newest,
        looking_for_the_newest_reads_no_more_than_is_asked_for,
        a_time_resolves_to_a_position_that_reports_later_losses;
    gaps:
        a_cursor_before_trimmed_events_gets_a_gap,
        earliest_reports_no_gap,
        a_gap_is_reported_although_other_topics_advanced_the_cursor,
        a_gap_is_reported_by_one_page_only,
        an_emptied_topic_reports_that_nothing_is_retained,
        an_emptied_topic_is_remembered_after_a_restart,
        a_deleted_topic_is_reported_by_name_and_by_pattern,
        since_reports_a_gap_only_for_events_after_that_time;
    retention:
        a_topic_keeps_its_newest_events_by_count,
        a_topic_keeps_its_newest_bytes_but_always_one_event,
        no_reader_sees_an_event_past_its_age,
        age_is_swept_without_a_reader,
        the_whole_store_stays_under_its_cap_by_trimming_the_oldest,
        new_rules_hold_for_old_topics_at_a_restart,
        a_topics_own_limit_holds_at_once,
        retained_events_are_known_without_a_read,
        events_past_their_age_are_known_not_to_be_retained;
    removal:
        a_removed_event_leaves_a_tombstone,
        every_read_path_returns_the_tombstone,
        readers_get_a_notice_before_a_removal_is_acknowledged,
        an_event_is_removed_once,
        an_event_that_is_not_retained_cannot_be_removed,
        a_closed_topic_stays_closed_and_gets_no_notice,
        sizes_count_only_the_bytes_left_by_a_removal,
        retention_counts_the_notice_and_its_id_is_the_last,
        a_deleted_topic_is_used_again_after_one_of_its_events_was_removed;
    clocks:
        after_a_clock_that_was_ahead_age_and_since_and_keys_use_elapsed_time,
        a_store_that_was_stamped_ahead_heals_over_restarts,
        since_reaches_back_before_the_clock_leapt,
        a_clock_that_begins_in_1970_trims_nothing_early_and_forgets_no_key,
        a_clock_that_leaps_ahead_ages_no_event_and_no_key,
        after_a_leap_and_back_ages_are_true_over_restarts,
        a_moment_stays_one_where_the_clock_leapt,
        a_clock_that_leaps_more_often_than_is_remembered_trims_nothing_early,
        a_board_that_begins_in_1970_and_learns_the_time_trims_nothing_early;
    model:
        every_page_matches_a_plain_list;
}

contract!(memory, super::super::MemoryFactory);
contract!(sled, super::super::SledFactory);
