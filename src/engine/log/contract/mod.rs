//! What the log engine promises beyond the [contract of every engine](crate::engine::contract), as tests, run with every
//! store: its configuration and its clocks.
//!
//! Each test is a function over a [`StoreFactory`]; the last lines of this file list all tests and stores.

use std::{sync::atomic::Ordering, time::Duration};

use super::LogConfig;
use crate::{
    engine::{
        Append, AppendError, ExpectedLast, IdempotencyKey, PageItem, ReadFrom, TopicChange, When,
        contract::{contract_tests, event, keyed, plain, selection, short, status, topic, wait},
    },
    event::{Millis, Retention, Seq, retention::Rules},
};

pub(crate) mod appending;
pub(crate) mod clocks;
mod factories;
pub(crate) mod gaps;
pub(crate) mod lifecycle;
pub(crate) mod locating;
pub(crate) mod model;
pub(crate) mod reading;
pub(crate) mod removal;
pub(crate) mod retention;

pub(crate) use factories::{LogFactory, LogFixture, MemoryFactory, SledFactory, StoreFactory};

contract_tests! {
    log_contract, all_log_tests:
    appending:
        a_retry_gets_the_first_receipts_and_adds_nothing,
        a_retry_is_known_after_a_restart,
        a_key_is_for_one_request_and_for_one_window,
        too_many_keys_are_refused_until_the_window_has_passed,
        a_batch_under_a_key_takes_the_capacity_of_one_event,
        as_many_events_are_appended_at_once_as_the_engine_says,
        an_owner_of_many_keys_leaves_room_for_others_also_after_a_restart,
        timestamps_never_decrease;
    lifecycle:
        settings_merge_and_go_back_to_the_rule;
    reading:
        a_walk_and_a_pick_read_what_a_merge_reads,
        since_starts_at_a_time;
    locating:
        a_time_resolves_to_a_position_that_reports_later_losses;
    gaps:
        an_emptied_topic_is_remembered_after_a_restart,
        since_reports_a_gap_only_for_events_after_that_time;
    retention:
        a_topic_keeps_its_newest_events_by_count,
        a_topic_keeps_its_newest_bytes_but_always_one_event,
        no_reader_sees_an_event_past_its_age,
        age_is_swept_without_a_reader,
        the_whole_store_stays_under_its_cap_by_trimming_the_oldest,
        new_rules_hold_for_old_topics_at_a_restart,
        a_topics_own_limit_holds_at_once,
        events_past_their_age_are_known_not_to_be_retained;
    removal:
        every_read_path_returns_the_tombstone,
        retention_counts_the_notice_and_its_id_is_the_last;
    clocks:
        after_a_clock_that_was_ahead_age_and_since_and_keys_use_elapsed_time,
        a_store_that_was_stamped_ahead_heals_over_restarts,
        since_reaches_back_before_the_clock_leapt,
        since_reaches_back_before_a_start_whose_clock_was_ahead,
        a_clock_that_begins_in_1970_trims_nothing_early_and_forgets_no_key,
        a_clock_that_leaps_ahead_ages_no_event_and_no_key,
        after_a_leap_and_back_ages_are_true_over_restarts,
        a_moment_stays_one_where_the_clock_leapt,
        a_clock_that_leaps_more_often_than_is_remembered_trims_nothing_early,
        a_board_that_begins_in_1970_and_learns_the_time_trims_nothing_early;
    model:
        every_page_matches_a_plain_list;
}

pub(crate) use all_log_tests;

log_contract!(memory, super::super::MemoryFactory);
log_contract!(sled, super::super::SledFactory);
