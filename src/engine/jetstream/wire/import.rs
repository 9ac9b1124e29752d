//! What an import of another store leaves in the stream: its record, and the table of old positions.
//!
//! The table is cut into parts, one for each write of the import. The positions of a part's messages are consecutive, so a
//! part tells its first new position, and the old positions as runs of equal steps: a payload is pairs of varints, the
//! length of a run and the step between its old positions. A store of which everything is retained takes some bytes for
//! a thousand events, one with many trimmed topics two bytes an event.

use bytes::Bytes;

use super::{
    error::WireError,
    fields::{FieldText, Fields, GL, HeaderLookup, HeaderText},
    keys::{number, put_number},
};
use crate::event::{Epoch, Millis, Seq};

/// An import of another store into this stream. There is at most one, because positions are in the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine::jetstream) struct ImportRecord {
    /// The epoch of the other store's ids.
    pub(in crate::engine::jetstream) epoch: Epoch,
    /// The newest position of the other store.
    pub(in crate::engine::jetstream) head: Seq,
    /// Until when its ids are translated.
    pub(in crate::engine::jetstream) until: Millis,
    /// All of it is imported. Until then no hub uses the stream.
    pub(in crate::engine::jetstream) done: bool,
}

/// Where old positions are now: those of one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine::jetstream) struct OldIdPart {
    /// The oldest old position.
    pub(in crate::engine::jetstream) first: Seq,
    /// The newest old position.
    pub(in crate::engine::jetstream) last: Seq,
    /// Where `first` is now.
    pub(in crate::engine::jetstream) to: Seq,
    /// How many there are, at consecutive positions.
    pub(in crate::engine::jetstream) count: u64,
}

impl ImportRecord {
    /// The headers of the message, which has no payload.
    pub(in crate::engine::jetstream) fn headers(&self) -> HeaderText {
        let text = FieldText::versioned().text('e', self.epoch.as_str()).number('h', self.head.0);
        vec![(GL, text.number('u', self.until.0).number_unless_0('d', self.done.into()).finish())]
    }

    /// The import that a message tells.
    ///
    /// # Errors
    /// When it tells none, or is of a newer version.
    pub(in crate::engine::jetstream) fn decode(headers: &(impl HeaderLookup + ?Sized)) -> Result<Self, WireError> {
        let fields = Fields::of(headers)?;
        Ok(Self {
            epoch: Epoch::new(&fields.text('e')?).ok_or(WireError::Malformed("an import without an epoch"))?,
            head: Seq(fields.number_or_0('h')?),
            until: Millis(fields.number_or_0('u')?),
            done: fields.number_or_0('d')? > 0,
        })
    }
}

impl OldIdPart {
    /// A part and its payload. `old`: the old positions in order, not empty, which are now at `to` and after it.
    pub(in crate::engine::jetstream) fn of(old: &[Seq], to: Seq) -> (Self, Bytes) {
        let (first, last) = (old[0], old[old.len() - 1]);
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for pair in old.windows(2) {
            let step = pair[1].0 - pair[0].0;
            match runs.last_mut() {
                Some((length, of)) if *of == step => *length += 1,
                _ => runs.push((1, step)),
            }
        }
        let mut payload = Vec::new();
        for (length, step) in runs {
            put_number(&mut payload, length);
            put_number(&mut payload, step);
        }
        (Self { first, last, to, count: old.len() as u64 }, payload.into())
    }

    /// Where the newest one is now.
    pub(in crate::engine::jetstream) fn end(&self) -> Seq {
        Seq(self.to.0 + self.count - 1)
    }

    /// Where the newest of its old positions at or below `old`, which must not be below the first, is now. `None` when the
    /// payload is not that of this part.
    pub(in crate::engine::jetstream) fn find(&self, payload: &[u8], old: Seq) -> Option<Seq> {
        let (mut at, mut now, mut from) = (self.first.0, self.to.0, payload);
        if old >= self.last {
            return Some(self.end());
        }
        while !from.is_empty() {
            let (length, step) = (number(&mut from)?, number(&mut from)?);
            let whole = step.checked_mul(length).and_then(|more| at.checked_add(more))?;
            if whole > old.0 {
                return now.checked_add((old.0 - at) / step).map(Seq);
            }
            (at, now) = (whole, now.checked_add(length)?);
        }
        None
    }

    /// The headers of the message.
    pub(in crate::engine::jetstream) fn headers(&self) -> HeaderText {
        let text = FieldText::versioned().number('o', self.first.0).number('l', self.last.0);
        vec![(GL, text.number('n', self.to.0).number('c', self.count).finish())]
    }

    /// The part that a message tells.
    ///
    /// # Errors
    /// When it tells none, or is of a newer version.
    pub(in crate::engine::jetstream) fn decode(headers: &(impl HeaderLookup + ?Sized)) -> Result<Self, WireError> {
        let fields = Fields::of(headers)?;
        let [first, last, to, count] = ['o', 'l', 'n', 'c'].map(|key| fields.number_or_0(key));
        let part = Self { first: Seq(first?), last: Seq(last?), to: Seq(to?), count: count? };
        if part.count == 0 || part.last < part.first || part.to.0.checked_add(part.count).is_none() {
            return Err(WireError::Malformed("a part of a table of positions"));
        }
        Ok(part)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_old_position_is_found(first in 1..1000u64, steps in prop::collection::vec(0..6u64, 0..60), to in 1..1000u64) {
            let mut old = vec![Seq(first)];
            for step in steps {
                old.push(Seq(old[old.len() - 1].0 + step));
            }
            let (part, payload) = OldIdPart::of(&old, Seq(to));
            prop_assert_eq!(OldIdPart::decode(part.headers().as_slice()), Ok(part));
            for asked in first..=part.last.0 + 3 {
                let index = old.partition_point(|one| one.0 <= asked) as u64 - 1;
                prop_assert_eq!(part.find(&payload, Seq(asked)), Some(Seq(to + index)), "{}", asked);
            }
        }

        #[test]
        fn no_payload_panics(payload in prop::collection::vec(any::<u8>(), 0..40), old in any::<u64>(), part in any::<[u64; 4]>()) {
            let [first, last, to, count] = part.map(Seq);
            let part = OldIdPart { first, last, to, count: count.0 };
            if let Ok(part) = OldIdPart::decode(part.headers().as_slice()) {
                let _ = part.find(&payload, Seq(old.max(first.0)));
            }
        }
    }

    #[test]
    fn a_dense_log_takes_some_bytes() {
        let old: Vec<Seq> = (5..1005).map(Seq).collect();
        assert_eq!(OldIdPart::of(&old, Seq(9)).1.len(), 3);
    }

    #[test]
    fn an_import_survives_its_message() {
        let epoch = Epoch::new("abcd1234").expect("valid");
        for done in [false, true] {
            let record = ImportRecord { epoch, head: Seq(7), until: Millis(9), done };
            assert_eq!(ImportRecord::decode(record.headers().as_slice()), Ok(record));
        }
    }
}
