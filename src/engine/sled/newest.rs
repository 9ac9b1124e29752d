//! A topic's newest positions, read backwards: for readers that request the last N events.

use std::ops::ControlFlow;

use crate::event::Seq;

use super::super::log::store::{Position, StoreError, TopicKey};
use super::shared::StoreShared;

impl StoreShared {
    /// Positions of a topic with `after < seq <= through`, newest first; at most `max`. Damaged blocks are skipped.
    pub(super) fn topic_newest(
        &self,
        key: TopicKey,
        after: Seq,
        through: Seq,
        max: usize,
    ) -> Result<Vec<Position>, StoreError> {
        let mut at = through.min(self.head());
        let mut found = Vec::new();
        self.visit_list(
            || self.segments.between(after, through).into_iter().rev().collect(),
            |_, tables| {
                while found.len() < max && at > after {
                    let Some((first, positions)) = tables.block_back(key, at)? else {
                        return Ok(ControlFlow::Continue(()));
                    };
                    let wanted = positions.into_iter().rev().filter(|it| it.seq > after && it.seq <= at);
                    found.extend(wanted.take(max - found.len()));
                    at = Seq(first.0.saturating_sub(1));
                }
                Ok(ControlFlow::Break(()))
            },
            |segment| match segment.summary() {
                None => true,
                Some(summary) => match summary.find(key) {
                    Ok(found) => found.is_some_and(|(first, last)| last > after && first <= through),
                    Err(_) => true,
                },
            },
        )?;
        Ok(found)
    }
}
