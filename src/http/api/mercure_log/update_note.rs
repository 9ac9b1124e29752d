//! What an event of the log knows of its update. An update of one topic without an id of its publisher needs no note.

use crate::event::{
    Metadata,
    metadata::{MERCURE, MetadataTooLong},
};

/// The version of the encoding.
const VERSION: u8 = 1;

/// The note of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateNote<'n> {
    /// All topics of the update, the canonical one first.
    pub topics: Vec<&'n str>,
    /// Which of them this event is in.
    pub place: usize,
    /// The publisher's own id.
    pub id: Option<&'n str>,
}

impl<'n> UpdateNote<'n> {
    /// The note as metadata of its event.
    ///
    /// # Errors
    /// When it is too long.
    pub fn metadata(&self) -> Result<Metadata, MetadataTooLong> {
        let mut body = vec![VERSION];
        // Longer ones do not fit into metadata.
        let number = |number: usize| u16::try_from(number).unwrap_or(u16::MAX).to_be_bytes();
        body.extend(number(self.place));
        body.extend(number(self.topics.len()));
        for text in std::iter::once(self.id.unwrap_or_default()).chain(self.topics.iter().copied()) {
            body.extend(number(text.len()));
            body.extend_from_slice(text.as_bytes());
        }
        Metadata::new(MERCURE, &body)
    }

    /// The note of an event with this metadata; `None` when it has none, or one of another protocol or version.
    #[must_use]
    pub fn read(metadata: Option<&'n Metadata>) -> Option<Self> {
        let metadata = metadata.filter(|metadata| metadata.tag() == MERCURE)?;
        let mut rest = metadata.body().strip_prefix(&[VERSION])?;
        let (place, count) = (number(&mut rest)?, number(&mut rest)?);
        let id = text(&mut rest)?;
        let topics: Vec<&str> = std::iter::repeat_with(|| text(&mut rest)).take(count).collect::<Option<_>>()?;
        (place < topics.len()).then_some(Self { topics, place, id: Some(id).filter(|id| !id.is_empty()) })
    }

    /// Events of the update that follow this one in its commit.
    #[must_use]
    pub fn following(&self) -> u64 {
        (self.topics.len() - 1 - self.place) as u64
    }
}

fn number(rest: &mut &[u8]) -> Option<usize> {
    let (number, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u16::from_be_bytes(*number).into())
}

fn text<'n>(rest: &mut &'n [u8]) -> Option<&'n str> {
    let length = number(rest)?;
    let (text, after) = rest.split_at_checked(length)?;
    *rest = after;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_survives_its_encoding() {
        let long = "x".repeat(4096);
        for note in [
            UpdateNote { topics: vec!["a"], place: 0, id: Some("id") },
            UpdateNote { topics: vec!["a", "", &long], place: 2, id: None },
        ] {
            let metadata = note.metadata().expect("short");
            assert_eq!(UpdateNote::read(Some(&metadata)), Some(note));
        }
        let topics = vec![&*long; 4];
        assert!(UpdateNote { topics, place: 0, id: None }.metadata().is_err());
    }

    #[test]
    fn what_is_no_note_is_none() {
        let note = UpdateNote { topics: vec!["a", "b"], place: 1, id: Some("id") }.metadata().expect("short");
        for length in 0..note.body().len() {
            let cut = Metadata::new(MERCURE, &note.body()[..length]).expect("short");
            assert_eq!(UpdateNote::read(Some(&cut)), None, "{length} bytes");
        }
        let other = Metadata::new(MERCURE + 1, note.body()).expect("short");
        assert_eq!((UpdateNote::read(Some(&other)), UpdateNote::read(None)), (None, None));
        let outside = Metadata::new(MERCURE, &[VERSION, 0, 1, 0, 1, 0, 0, 0, 1, b'a']).expect("short");
        assert_eq!(UpdateNote::read(Some(&outside)), None, "no such place");
    }
}
