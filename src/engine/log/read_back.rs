//! Reads the page that ends before a position: finds where it begins, near its end, and reads it forwards.
//!
//! The work depends on the page, and not on the size of its topics. Topics whose newest event is before the position need no
//! look-up, as long as others have newer events. Where too many topics have newer ones, the commits before the position are
//! scanned instead, in windows that grow.

use std::collections::VecDeque;

use super::{
    key_hash::ByKey,
    locate::Newest,
    shared::LogShared,
    store::{ReadLimit, Store, StoreError, TopicKey},
};
use crate::{
    engine::{BackwardPage, BackwardRequest, PageItem, ReadFrom},
    event::{Selection, Seq, TopicName},
    sync::HashMap,
};

/// Bytes of data of one forward read, of which a page takes as many as it needs.
const READ_BYTES: usize = 1 << 20;

/// Events of one forward read.
const READ_EVENTS: usize = 1024;

impl<S: Store> LogShared<S> {
    /// Reads a page. Stops with [`StoreError::NotNow`] when `keep_going` returns `false`.
    pub(super) fn page_back(
        &self,
        request: &BackwardRequest,
        keep_going: &(dyn Fn() -> bool + Sync),
    ) -> Result<BackwardPage, StoreError> {
        self.catalog.startup_trim.wait();
        let selection = &request.selection;
        for name in selection.names() {
            self.trim_overdue(name)?;
        }
        let through = Seq(request.before.0.saturating_sub(1)).min(self.head());
        let limit = ReadLimit { events: request.limit.events.max(1), ..request.limit };
        let (mut items, mut end) = (Vec::new(), through);
        loop {
            check(keep_going)?;
            let start = self.start_of_last(selection, end, limit, keep_going)?;
            items.splice(..0, self.read_all(selection, (start, end), keep_going)?);
            let older = self.retains_any(selection, start);
            // The newest events may be trimmed or deleted when they are read: those of a pattern are trimmed only then.
            if !older || items.iter().any(|item| matches!(item, PageItem::Event(_))) {
                return Ok(BackwardPage { epoch: self.epoch, items, start, through, older });
            }
            end = start;
        }
    }

    /// All of `(start, end]`, which is small.
    fn read_all(
        &self,
        selection: &Selection,
        (start, end): (Seq, Seq),
        keep_going: &(dyn Fn() -> bool + Sync),
    ) -> Result<Vec<PageItem>, StoreError> {
        let (mut items, mut at) = (Vec::new(), start);
        while at < end {
            check(keep_going)?;
            let limit = ReadLimit { events: READ_EVENTS, bytes: READ_BYTES };
            // What retention trimmed is not missing in a page that is asked for backwards; what the disk lost is.
            let page = self.range(selection, ReadFrom::Earliest, (at, end), limit)?;
            items.extend(page.items);
            at = page.through;
        }
        Ok(items)
    }

    /// The position before the newest events up to `through` that fit into `limit`; of them at least one.
    fn start_of_last(
        &self,
        selection: &Selection,
        through: Seq,
        limit: ReadLimit,
        keep_going: &(dyn Fn() -> bool + Sync),
    ) -> Result<Seq, StoreError> {
        let wanted = Newest { through, events: limit.events as u64, bytes: limit.bytes as u64, counts_removed: true };
        let beyond = self.count_beyond(selection, through);
        if beyond > self.config.merge_topics {
            return self.scan_back(selection, wanted, keep_going);
        }
        self.newest(selection, wanted, beyond, keep_going)
    }

    /// The same by a scan of the commits.
    fn scan_back(
        &self,
        selection: &Selection,
        mut wanted: Newest,
        keep_going: &(dyn Fn() -> bool + Sync),
    ) -> Result<Seq, StoreError> {
        let mut names: HashMap<TopicKey, Option<TopicName>, ByKey> = HashMap::default();
        let mut topic = |key| {
            let name = || {
                let table = self.catalog.table.read();
                table.by_key(key).map(|slot| slot.name.clone()).filter(|name| selection.matches(name))
            };
            names.entry(key).or_insert_with(name).clone()
        };
        let floor = self.floor(selection);
        let (mut through, mut width) = (wanted.through, 2 * wanted.events);
        let mut start = None;
        loop {
            let after = Seq(through.0.saturating_sub(width)).max(floor);
            let (mut at, mut window) = (after, VecDeque::new());
            while at < through {
                check(keep_going)?;
                let limit = ReadLimit { events: READ_EVENTS, bytes: READ_BYTES };
                let scan = self.store.scan(at, through, limit, &mut topic)?;
                let table = self.catalog.table.read();
                let retained = scan
                    .events
                    .iter()
                    .map(|stored| &stored.event)
                    .filter(|event| table.get(&event.new.topic).is_some_and(|slot| slot.mark < event.seq));
                window.extend(retained.map(|event| (event.seq, event.new.payload_bytes() as u64)));
                // A window may be as large as the log; older events than those wanted are not looked at.
                window.drain(..window.len().saturating_sub(usize::try_from(wanted.events).unwrap_or(usize::MAX)));
                at = scan.through;
            }
            for (seq, bytes) in window.into_iter().rev() {
                if let Some(start) = start.filter(|_| bytes > wanted.bytes) {
                    return Ok(start);
                }
                wanted.take(bytes);
                start = Some(Seq(seq.0 - 1));
                if wanted.events == 0 {
                    return Ok(Seq(seq.0 - 1));
                }
            }
            if after <= floor {
                return Ok(floor.min(wanted.through));
            }
            (through, width) = (after, 2 * width);
        }
    }
}

fn check(keep_going: &(dyn Fn() -> bool + Sync)) -> Result<(), StoreError> {
    if keep_going() { Ok(()) } else { Err(StoreError::NotNow("reading the page took too long; ask for less".into())) }
}
