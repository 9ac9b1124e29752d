//! Reads a page: from one topic's events, by a merge of several topics, or by a scan of the commits.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    ops::ControlFlow,
};

use super::{
    header_cursor::{HeaderCursor, cut},
    key_hash::ByKey,
    page::{PageBuilder, SlotView},
    shared::LogShared,
    store::{ReadLimit, Store, StoreError, TopicKey},
    table::for_each,
};
use crate::{
    engine::{LogPage, ReadFrom, ReadRequest},
    event::{Pattern, Selection, Seq, TopicName},
    sync::HashMap,
};

/// Topics that may contribute to a page, each with a snapshot.
#[derive(Default)]
pub(super) struct Candidates {
    pub(super) found: Vec<Candidate>,
    /// Requested names that were not in use.
    pub(super) unused: Vec<TopicName>,
}

/// A topic that may contribute to a page.
pub(super) struct Candidate {
    pub(super) name: TopicName,
    pub(super) key: TopicKey,
    pub(super) before: SlotView,
}

impl Candidate {
    fn topic(&self) -> (TopicKey, &TopicName) {
        (self.key, &self.name)
    }
}

impl<S: Store> LogShared<S> {
    /// Reads a page.
    pub(super) fn page(&self, request: &ReadRequest) -> Result<LogPage, StoreError> {
        self.catalog.startup_trim.wait();
        let limit = ReadLimit { events: request.max_events.max(1), bytes: request.max_bytes };
        let head = self.head();
        let from = request.from;
        let start = match from {
            ReadFrom::Earliest => Seq::ZERO,
            ReadFrom::After(seq) => seq.min(head),
            ReadFrom::Since(time) => self.store.position_before(time)?.min(head),
        };
        if let Some(name) = request.selection.single() {
            return self.read_topic(name, from, start, limit);
        }
        self.range(&request.selection, from, (start, head), limit)
    }

    /// Reads a page of `(start, head]`, whatever the number of topics. `head` may be below the log's: then nothing after it
    /// is in the page.
    pub(super) fn range(
        &self,
        selection: &Selection,
        from: ReadFrom,
        (start, head): (Seq, Seq),
        limit: ReadLimit,
    ) -> Result<LogPage, StoreError> {
        let builder = PageBuilder::new(self, from, start, head);
        // A scan cannot detect holes, so a store with damage above the start is always merged.
        let damaged = start < self.lost_through() || self.store.losses() > self.losses_at_start;
        let most = if damaged { usize::MAX } else { self.config.merge_topics };
        let losses = self.store.losses();
        let page = match self.candidates(selection, from, (start, head), most)? {
            Some(candidates) if damaged || !self.is_better_picked(&candidates, &builder, limit) => {
                return self.merge(selection, candidates, builder, limit);
            }
            Some(candidates) => self.pick(selection, candidates, builder, limit)?,
            None => self.walk(selection, from, builder, limit)?,
        };
        // Damage found by this read is reported by a merge.
        if self.store.losses() > losses { self.range(selection, from, (start, head), limit) } else { Ok(page) }
    }

    fn read_topic(
        &self,
        name: &TopicName,
        from: ReadFrom,
        start: Seq,
        limit: ReadLimit,
    ) -> Result<LogPage, StoreError> {
        self.trim_overdue(name)?;
        let (head, before) = {
            let table = self.catalog.table.read();
            (table.head, table.get(name).map(|slot| (slot.key, SlotView::of(slot))))
        };
        let mut builder = PageBuilder::new(self, from, start, head);
        if let Some((key, before)) = before {
            let (from, last) = (start.max(before.mark), before.tail.min(head));
            let mut events = Vec::new();
            if from < last && key.0 > 0 {
                events = self.store.topic_events((key, name), from, last, limit)?;
            }
            let end = events.last().map_or(from, |last| last.event.seq);
            if end < last {
                let bytes: usize = events.iter().map(|stored| stored.event.new.payload_bytes()).sum();
                // A page at least half full ended by its limit; if not, the next page detects the hole.
                let filled = events.len() >= limit.events || (!events.is_empty() && bytes >= limit.bytes / 2);
                // For a shorter page, the store tells whether the limit or a hole ended it.
                let next = if filled { None } else { self.store.topic_headers((key, name), end, last, 1)?.pop() };
                match next.filter(|next| next.seq <= head) {
                    Some(unreadable) if events.is_empty() => builder.through = unreadable.seq,
                    None if !filled => {}
                    _ => builder.through = end,
                }
            }
            let ended = match builder.through {
                through if through < head => Some(through),
                _ if before.tail <= head => Some(before.tail),
                // Events after the head are withheld: the first of them tells where those up to it end.
                _ if key.0 > 0 => {
                    let beyond = self.store.topic_headers((key, name), head.max(from), before.tail, 1)?;
                    beyond.first().map(|first| first.prev)
                }
                _ => None,
            };
            let after = self.catalog.table.read().get(name).filter(|slot| slot.key == key).map(SlotView::of);
            if let Some(after) = after {
                events.retain(|stored| stored.event.seq > after.mark);
                builder.report_trimmed(name, &after, before.tail);
                let chain = events.iter().map(|stored| (stored.event.seq, stored.prev));
                builder.report_holes(name, after.mark, chain, ended);
                builder.events = events.into_iter().map(|stored| stored.event).collect();
                return Ok(builder.finish());
            }
        }
        self.report_former(name, None, &mut builder);
        Ok(builder.finish())
    }

    /// Topics of the selection with events or gaps after `start`; `None` if there are more than `most`. Topics that began
    /// after `head` are left out.
    fn candidates(
        &self,
        selection: &Selection,
        from: ReadFrom,
        (start, head): (Seq, Seq),
        most: usize,
    ) -> Result<Option<Candidates>, StoreError> {
        let (now, mut found, mut unused, mut overdue) = (self.now(), Vec::new(), Vec::new(), Vec::new());
        let mut consider = |slot: &super::slot::Slot, limits: &crate::event::Retention| {
            let before = SlotView::of(slot);
            let is_later = before.mark <= start && before.first.is_some_and(|first| first > head);
            if (before.tail > start && !is_later) || before.lost_since(from) {
                if self.catalog.is_overdue(slot, limits, &now) {
                    overdue.push(found.len());
                }
                found.push(Candidate { name: slot.name.clone(), key: slot.key, before });
            }
            found.len()
        };
        if selection.is_open_ended() {
            for_each(&self.catalog.table, |entry| {
                let slot = entry.slot;
                let may_contribute = slot.tail > start || matches!(from, ReadFrom::Since(_));
                if may_contribute && selection.matches(&slot.name) && consider(slot, &entry.limits()) > most {
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            });
        } else {
            for name in selection.names() {
                let table = self.catalog.table.read();
                match table.get(name) {
                    Some(slot) => {
                        consider(slot, &table.limits(name));
                    }
                    None => unused.push(name.clone()),
                }
            }
        }
        if found.len() > most {
            return Ok(None);
        }
        for index in overdue {
            let candidate: &mut Candidate = &mut found[index];
            self.trim_overdue(&candidate.name)?;
            if let Some(after) = self.view(candidate) {
                candidate.before.mark = after.mark;
            }
        }
        Ok(Some(Candidates { found, unused }))
    }

    /// A candidate's current snapshot; `None` if it was deleted.
    pub(super) fn view(&self, candidate: &Candidate) -> Option<SlotView> {
        self.catalog.table.read().get(&candidate.name).filter(|slot| slot.key == candidate.key).map(SlotView::of)
    }

    /// Merges the topics by `seq`: first their headers, so that no more data is read than the page holds.
    fn merge(
        &self,
        selection: &Selection,
        Candidates { found: candidates, unused: mut former }: Candidates,
        mut builder: PageBuilder<'_>,
        limit: ReadLimit,
    ) -> Result<LogPage, StoreError> {
        let mut cursors = Vec::with_capacity(candidates.len());
        // A few headers of each topic first; more of the busy ones later.
        let share = limit.events / candidates.len().max(1);
        for candidate in &candidates {
            let mut cursor = HeaderCursor::after(builder.start.max(candidate.before.mark));
            cursor.extend(self, candidate.topic(), candidate.before.tail, cursor.step(share))?;
            cursors.push(cursor);
        }
        loop {
            let known =
                cursors.iter().filter(|cursor| !cursor.exhausted).map(HeaderCursor::end).min().unwrap_or(builder.head);
            builder.through = known.min(builder.head);
            let held: Vec<&[_]> = cursors.iter().map(|cursor| cursor.up_to(builder.through)).collect();
            let events: usize = held.iter().map(|cursor| cursor.len()).sum();
            let bytes: u64 = held.iter().flat_map(|cursor| cursor.iter()).map(|header| header.bytes).sum();
            if builder.through == builder.head || events >= limit.events || bytes >= limit.bytes as u64 {
                break;
            }
            for (cursor, candidate) in cursors.iter_mut().zip(&candidates) {
                if !cursor.exhausted && cursor.end() == known {
                    let step = cursor.step(limit.events - events);
                    cursor.extend(self, candidate.topic(), candidate.before.tail, step)?;
                }
            }
        }
        builder.through = cut(&cursors, builder.through, limit);
        for (candidate, cursor) in candidates.iter().zip(&cursors) {
            let wanted = cursor.up_to(builder.through).len();
            let (mut events, newest) = (Vec::new(), cursor.headers[..wanted].last());
            if let Some(last) = newest {
                let all = ReadLimit { events: wanted, bytes: usize::MAX };
                let after = builder.start.max(candidate.before.mark);
                events = self.store.topic_events(candidate.topic(), after, last.seq, all)?;
            }
            let Some(view) = self.view(candidate) else {
                former.push(candidate.name.clone());
                continue;
            };
            events.retain(|stored| stored.event.seq > view.mark);
            builder.report_trimmed(&candidate.name, &view, candidate.before.tail);
            let beyond = cursor.headers[wanted..].iter().map(|header| (header.seq, header.prev));
            let chain = events.iter().map(|stored| (stored.event.seq, stored.prev)).chain(beyond);
            // What had a header is here or missing, also when no header after it was read.
            let tail = if cursor.exhausted { Some(candidate.before.tail) } else { newest.map(|last| last.seq) };
            builder.report_holes(&candidate.name, view.mark, chain, tail);
            builder.events.extend(events.into_iter().map(|stored| stored.event));
        }
        builder.events.sort_unstable_by_key(|event| event.seq);
        self.report_all_former(selection, &candidates, &former, &mut builder);
        builder.report_unknown(selection);
        Ok(builder.finish())
    }

    /// Reports the topics that were not in use at some time since the page was begun: the `former` ones, and those with
    /// a deleted incarnation that are not candidates.
    pub(super) fn report_all_former(
        &self,
        selection: &Selection,
        candidates: &[Candidate],
        former: &[TopicName],
        builder: &mut PageBuilder<'_>,
    ) {
        for name in former {
            self.report_former(name, None, builder);
        }
        let deleted = self.deleted_after(selection, builder.start);
        if !deleted.is_empty() {
            let reported: HashSet<&TopicName> = candidates.iter().map(|of| &of.name).chain(former).collect();
            for (name, mark) in deleted.iter().filter(|(name, _)| !reported.contains(name)) {
                self.report_former(name, Some(*mark), builder);
            }
        }
    }

    /// Scans the commits: for selections with too many topics to look up each.
    fn walk(
        &self,
        selection: &Selection,
        from: ReadFrom,
        mut builder: PageBuilder<'_>,
        limit: ReadLimit,
    ) -> Result<LogPage, StoreError> {
        let mut wanted: HashMap<TopicKey, Option<TopicName>, ByKey> = HashMap::default();
        let scan = self.store.scan(builder.start, builder.head, limit, &mut |key| {
            let name = || {
                let table = self.catalog.table.read();
                table.by_key(key).map(|slot| slot.name.clone()).filter(|name| selection.matches(name))
            };
            wanted.entry(key).or_insert_with(name).clone()
        })?;
        builder.through = scan.through.min(builder.head);
        builder.events = scan.events.into_iter().map(|stored| stored.event).collect();
        // Snapshots of the topics that have events in this page or may have a gap; `None` if the name is not in use.
        // The last snapshot is used. A name may be deleted and created again between two of these lookups, so names
        // that were ever deleted are looked up last, whether or not they are in use.
        let mut views: HashMap<TopicName, (Option<SlotView>, Option<Seq>)> = HashMap::default();
        let (start, head) = (builder.start, builder.head);
        if self.catalog.table.read().newest_mark > start || matches!(from, ReadFrom::Since(_)) {
            for_each(&self.catalog.table, |entry| {
                let slot = entry.slot;
                let view = SlotView::of(slot);
                if (builder.reports(&view) || view.lost_since(from)) && selection.matches(&slot.name) {
                    views.insert(slot.name.clone(), (Some(view), None));
                }
                ControlFlow::Continue(())
            });
        }
        let topics: BTreeSet<TopicName> = builder.events.iter().map(|event| event.new.topic.clone()).collect();
        for name in topics.iter().chain(selection.names()) {
            self.trim_overdue(name)?;
            views.insert(name.clone(), (self.catalog.table.read().get(name).map(SlotView::of), None));
        }
        for (name, mark) in self.deleted_after(selection, start) {
            let view = self.catalog.table.read().get(&name).map(SlotView::of);
            views.insert(name, (view, Some(mark)));
        }
        // A name that is not in use retains no events.
        builder.events.retain(|event| matches!(views[&event.new.topic], (Some(view), _) if event.seq > view.mark));
        for (name, (view, mark)) in &views {
            match view {
                Some(view) => builder.report_trimmed(name, view, head),
                None => builder.report_deleted(name, mark.unwrap_or_else(|| self.unused_tail(name))),
            }
        }
        Ok(builder.finish())
    }

    /// Reports a name that was not in use at some time since the page was begun; `mark` is the last position of its
    /// deleted incarnation, if known. If it is in use again, the mark of the new incarnation is that position.
    fn report_former(&self, name: &TopicName, mark: Option<Seq>, builder: &mut PageBuilder<'_>) {
        let view = self.catalog.table.read().get(name).map(SlotView::of);
        match view {
            Some(view) => builder.report_trimmed(name, &view, builder.head),
            None => builder.report_deleted(name, mark.unwrap_or_else(|| self.unused_tail(name))),
        }
    }

    /// Names that match a pattern of the selection and have an incarnation that was deleted above `start`, with the
    /// last position of it. They may be in use again.
    fn deleted_after(&self, selection: &Selection, start: Seq) -> BTreeMap<TopicName, Seq> {
        if start >= self.newest_deleted() {
            return BTreeMap::new();
        }
        let marks = |pattern: &Pattern| self.store.marks(pattern.literal_prefix(), start);
        let matching = |pattern: &Pattern| {
            marks(pattern)
                .into_iter()
                .filter(|(name, _)| pattern.matches(name) && selection.admits_topic(name))
                .collect()
        };
        selection.patterns().flat_map(|pattern| -> Vec<_> { matching(pattern) }).collect()
    }
}
