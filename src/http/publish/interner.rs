//! Topic names of one publisher, kept for its next events: a name that was just checked is not checked again, and the
//! events of a topic share one allocation.

use crate::event::{TopicName, topic::TopicError};

/// Names kept, a power of two: a publisher that goes round among more pays what everyone paid before. 1 KiB.
const PLACES: usize = 64;

/// Names seen lately, each in the place that its bytes say. Bounded, and empty until the first.
#[derive(Debug, Default)]
pub(super) struct TopicInterner(Vec<Option<TopicName>>);

impl TopicInterner {
    /// `text` as a topic's name.
    ///
    /// # Errors
    /// Says which rule it breaks.
    pub(super) fn topic(&mut self, text: &str) -> Result<TopicName, TopicError> {
        self.0.resize(PLACES, None);
        let place = &mut self.0[place(text)];
        if let Some(name) = place.as_ref().filter(|name| name.as_str() == text) {
            return Ok(name.clone());
        }
        let name = TopicName::new(text)?;
        *place = Some(name.clone());
        Ok(name)
    }
}

/// FNV-1a, folded: names differ in few bytes, and whoever makes two meet only slows down their own stream.
fn place(text: &str) -> usize {
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash ^ (hash >> 16)) as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_names_come_back_as_they_were_given() {
        let mut interner = TopicInterner::default();
        for _ in 0..2 {
            for n in 0..1000 {
                let text = format!("jobs/{n}");
                assert_eq!(interner.topic(&text).expect("valid").as_str(), text);
            }
        }
        assert_eq!(interner.0.len(), PLACES);
        assert_eq!(interner.topic("a*"), Err(TopicError::Wildcard));
    }

    #[test]
    fn a_name_given_again_is_not_made_again() {
        let mut interner = TopicInterner::default();
        let first = interner.topic("a/b").expect("valid");
        assert!(std::ptr::eq(interner.topic("a/b").expect("valid").as_str(), first.as_str()));
    }
}
