//! How far a client knows the changes, as a part of its cursor: `#<epoch>-<seq>~<process>-<number>`. What is before `~` is an
//! id of the log, so that the cursor continues both. Each process of a hub keeps changes of its own, in its memory.

use crate::{
    event::{Epoch, EventId, Seq},
    http::api::mercure_log::update_id::UPDATE_IDS,
};

/// The number of the next change that a client is to be sent, of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeId {
    /// The process that has counted them.
    pub process: Epoch,
    /// The number.
    pub next: u64,
}

impl ChangeId {
    /// The cursor of a client that knows the log up to `log`, and the changes before this one.
    #[must_use]
    pub fn with(self, log: EventId) -> String {
        let changes = EventId { epoch: self.process, seq: Seq(self.next) };
        format!("{}~{changes}", UPDATE_IDS.display(log))
    }

    /// The part of a cursor that is of the log, and that of the changes; all of it when it has no such part.
    #[must_use]
    pub fn split(cursor: &str) -> (&str, Option<Self>) {
        let parts = cursor.split_once('~').filter(|_| cursor.starts_with('#'));
        let read = parts.and_then(|(log, changes)| {
            let changes = EventId::parse(changes)?;
            (UPDATE_IDS.parse)(log)?;
            Some((log, Some(Self { process: changes.epoch, next: changes.seq.0 })))
        });
        read.unwrap_or((cursor, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_of_both_is_read_and_others_stay_what_they_are() {
        let (process, log) = (Epoch::new("k2m4").expect("valid"), EventId::parse("abcd-7").expect("valid"));
        let id = ChangeId { process, next: 12 };
        assert_eq!(id.with(log), "#abcd-7~k2m4-12");
        assert_eq!(ChangeId::split("#abcd-7~k2m4-12"), ("#abcd-7", Some(id)));
        for other in ["", "#abcd-7", "abcd-7~k2m4-12", "#abcd-7~", "#abcd-7~k2m4", "#x~k2m4-12", "a~b", "earliest"] {
            assert_eq!(ChangeId::split(other), (other, None));
        }
    }
}
