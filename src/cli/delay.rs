//! The delay before a retry.

use std::{fmt::Display, time::Duration};

pub(super) use gapless_client::delay::{DEFAULT_RETRY, next};

/// The message before a retry.
pub(super) fn retry_message(reason: &impl Display, wait: Duration) -> String {
    format!("{reason}; trying again in {:.1} s", wait.as_secs_f64())
}
