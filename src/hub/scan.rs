//! Reads of the log by the hub's protocols themselves: for no stream, and without following it.

use std::sync::Arc;

use super::{Hub, tail::TailPage};
use crate::{
    engine::{PageItem, ReadError, ReadFrom, ReadLimit, ReadRequest},
    event::{Epoch, Event, Selection, Seq},
    sync::spawn,
};

impl Hub {
    /// The events of a selection after a position, or from the oldest one on: a page of at most `limit`. What is no longer
    /// kept is left out. Waits in the same order as readers.
    ///
    /// # Errors
    /// When the log cannot be read now.
    pub async fn scan(
        self: &Hub,
        selection: Selection,
        after: Option<Seq>,
        limit: ReadLimit,
    ) -> Result<TailPage, ReadError> {
        let permit = Arc::clone(&self.readers).acquire_owned().await.expect("never closed");
        let request = ReadRequest {
            selection: selection.clone(),
            from: after.map_or(ReadFrom::Earliest, ReadFrom::After),
            max_events: limit.events,
            max_bytes: limit.bytes,
        };
        let reading = self.engine.read(request);
        // In a task, so that the permit is held until the read has ended, also when this future is dropped.
        let page = spawn(async move {
            let page = reading.await;
            drop(permit);
            page
        });
        let page = page.await.unwrap_or_else(|panic| Err(ReadError { reason: panic.to_string().into() }))?;
        let events = page.items.into_iter().filter_map(|item| match item {
            PageItem::Event(event) if selection.admits(&event.new) => Some(event),
            _ => None,
        });
        Ok(TailPage { epoch: page.epoch, events: events.collect(), through: page.through, at_end: page.at_end })
    }

    /// The event at a position, if the selection has it and it is kept; with the epoch of the log.
    ///
    /// # Errors
    /// When the log cannot be read now.
    pub async fn event_at(&self, selection: Selection, seq: Seq) -> Result<Option<(Epoch, Arc<Event>)>, ReadError> {
        let limit = ReadLimit { events: 1, bytes: 1 };
        let page = self.scan(selection, Some(Seq(seq.0.saturating_sub(1))), limit).await?;
        let event = page.events.into_iter().next().filter(|event| event.seq == seq);
        Ok(event.map(|event| (page.epoch, event)))
    }
}
