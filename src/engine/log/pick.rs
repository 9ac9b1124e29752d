//! Reads a page of several topics that make up much of the log, by a scan of the commits.
//!
//! A merge reads from each topic, so a page with few events of each costs about two lookups in the store's trees per
//! topic, however many events it yields. A scan costs one lookup per event, and little for each commit between them. It
//! is cheaper when there are many topics and few other events in between.

use std::collections::HashMap;

use super::{
    key_hash::ByKey,
    page::PageBuilder,
    read::{Candidate, Candidates},
    shared::LogShared,
    store::{ReadLimit, Store, StoreError, StoredEvent, TopicKey},
};
use crate::{
    engine::LogPage,
    event::{Selection, Seq, TopicName},
};

/// Costs of both ways, in tenths of a microsecond of CPU (measured by `benches/read.rs`, 2026-11-22).
mod cost {
    /// One topic in a merge.
    pub(super) const RUN: u64 = 180;
    /// One event that a scan returns.
    pub(super) const PICK: u64 = 20;
    /// One position that a scan skips.
    pub(super) const PASS: u64 = 2;
}

impl Candidates {
    /// Whether a scan of the commits is cheaper than a merge. An estimate: it assumes that each topic's events are
    /// spread evenly from its first to its last.
    fn are_dense(&self, builder: &PageBuilder<'_>, limit: ReadLimit) -> bool {
        let (mut own, mut bytes, mut events) = (0, 0, 0);
        for Candidate { before, .. } in &self.found {
            let Some(first) = before.first else { continue };
            let wanted = before.tail.0.saturating_sub(builder.start.0.max(first.0 - 1));
            let part = u128::from(before.events) * u128::from(wanted) / u128::from(before.tail.0 - first.0 + 1);
            own += u64::try_from(part).unwrap_or(u64::MAX);
            (bytes, events) = (bytes + before.bytes, events + before.events);
        }
        let (after, through) = self.range(builder);
        let average = (bytes / events.max(1)).max(1);
        let page = own.min(limit.events as u64).min(limit.bytes as u64 / average).max(1);
        let others = (through.0.saturating_sub(after.0)).saturating_sub(own) / own.max(1);
        own > 0 && self.found.len() as u64 * cost::RUN / page > cost::PICK + others * cost::PASS
    }

    /// The range of positions that contains all of their events.
    fn range(&self, builder: &PageBuilder<'_>) -> (Seq, Seq) {
        let kept = self.found.iter().filter_map(|candidate| candidate.before.first);
        let first = kept.min().map_or(builder.head, |first| Seq(first.0 - 1));
        let last = self.found.iter().map(|candidate| candidate.before.tail).max().unwrap_or(builder.head);
        (first.max(builder.start).min(builder.head), last.min(builder.head))
    }
}

impl<S: Store> LogShared<S> {
    /// Whether a page of them is read by a scan of the commits rather than by a merge.
    pub(super) fn is_better_picked(
        &self,
        candidates: &Candidates,
        builder: &PageBuilder<'_>,
        limit: ReadLimit,
    ) -> bool {
        candidates.found.len() >= self.config.pick_topics && candidates.are_dense(builder, limit)
    }

    /// Scans the commits for these topics.
    pub(super) fn pick(
        &self,
        selection: &Selection,
        candidates: Candidates,
        mut builder: PageBuilder<'_>,
        limit: ReadLimit,
    ) -> Result<LogPage, StoreError> {
        let (after, through) = candidates.range(&builder);
        let Candidates { found, unused: mut former } = candidates;
        let names: HashMap<TopicKey, &TopicName, ByKey> = found.iter().map(|of| (of.key, &of.name)).collect();
        let scan = self.store.scan(after, through, limit, &mut |key| names.get(&key).copied().cloned())?;
        builder.through = if scan.through < through { scan.through } else { builder.head };
        // Marks are read after the events: see `page`.
        let mut chains = HashMap::with_capacity(found.len());
        for candidate in &found {
            match self.view(candidate) {
                Some(view) => drop(chains.insert(&candidate.name, (view, candidate.before.tail, Vec::new()))),
                None => former.push(candidate.name.clone()),
            }
        }
        let keep = |StoredEvent { prev, event }| {
            let (_, _, chain) = chains.get_mut(&event.new.topic).filter(|(view, ..)| event.seq > view.mark)?;
            chain.push((event.seq, prev));
            Some(event)
        };
        builder.events = scan.events.into_iter().filter_map(keep).collect();
        for (name, (view, tail, chain)) in chains {
            builder.report_trimmed(name, &view, tail);
            builder.report_holes(name, view.mark, chain.into_iter(), None);
        }
        self.report_all_former(selection, &found, &former, &mut builder);
        Ok(builder.finish())
    }
}
