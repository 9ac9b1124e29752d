//! The text of `systemctl status`.

use std::fmt::Write as _;

use crate::progress::ProgressState;

/// What a failed reload adds to the text, until a reload succeeds.
pub(super) const RELOAD_FAILED: &str = "the last reload failed and changed nothing; the log says why";

/// The text of a hub that serves.
pub(super) fn serving(streams: u64, topics: u64, refusing: Option<&str>, reload_failed: bool) -> String {
    let mut text = format!("serving {} of {}", count(streams, "stream"), count(topics, "topic"));
    if let Some(reason) = refusing {
        let _memory = write!(text, "; publishes are refused: {reason}");
    }
    if reload_failed {
        let _memory = write!(text, "; {RELOAD_FAILED}");
    }
    text
}

/// The text of a hub that opens its store.
pub(super) fn opening(progress: &ProgressState) -> String {
    let ProgressState { step, done, total } = progress;
    match *total {
        0 => "opening the store".into(),
        total => format!("opening the store: {step}, {done} of {total}"),
    }
}

/// The text of a hub that drains.
pub(super) fn draining(connections: u64) -> String {
    format!("draining: {} left", count(connections, "connection"))
}

fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_streams_and_topics_and_what_is_wrong() {
        assert_eq!(serving(1, 20, None, false), "serving 1 stream of 20 topics");
        assert_eq!(
            serving(0, 1, Some("the disk is full"), true),
            "serving 0 streams of 1 topic; publishes are refused: the disk is full; the last reload failed and changed \
             nothing; the log says why"
        );
    }
}
