//! A small cache of topic names: a name that was just validated is not validated again, and the events of a topic share
//! one allocation.

use crate::event::{TopicName, topic::TopicError};

/// Slots of the cache, a power of two: 1 KiB. A publisher that cycles through more names pays for validation as if
/// there were no cache.
const SLOTS: usize = 64;

/// Recently used names, each in the slot of its hash. No allocation until the first name.
#[derive(Debug, Default)]
pub(in crate::http::api::publish) struct TopicInterner(Vec<Option<TopicName>>);

impl TopicInterner {
    /// `text` as a topic name.
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub(in crate::http::api::publish) fn topic(&mut self, text: &str) -> Result<TopicName, TopicError> {
        self.0.resize(SLOTS, None);
        let slot = &mut self.0[slot(text)];
        if let Some(name) = slot.as_ref().filter(|name| name.as_str() == text) {
            return Ok(name.clone());
        }
        let name = TopicName::new(text)?;
        *slot = Some(name.clone());
        Ok(name)
    }
}

/// FNV-1a, folded. A collision only evicts a name, so a publisher that provokes one slows down its own requests.
fn slot(text: &str) -> usize {
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash ^ (hash >> 16)) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_names_is_returned_as_given() {
        let mut interner = TopicInterner::default();
        for _ in 0..2 {
            for n in 0..1000 {
                let text = format!("jobs/{n}");
                assert_eq!(interner.topic(&text).expect("valid").as_str(), text);
            }
        }
        assert_eq!(interner.0.len(), SLOTS);
        assert_eq!(interner.topic("a*"), Err(TopicError::Wildcard));
    }

    #[test]
    fn a_repeated_name_shares_its_allocation() {
        let mut interner = TopicInterner::default();
        let first = interner.topic("a/b").expect("valid");
        assert!(std::ptr::eq(interner.topic("a/b").expect("valid").as_str(), first.as_str()));
    }
}
