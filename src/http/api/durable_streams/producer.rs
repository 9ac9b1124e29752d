//! Producers that send each append again until it is acknowledged: their headers, and which appends are new.

use std::{cmp::Ordering, collections::HashMap};

use aws_lc_rs::digest::{SHA256, digest};
use http::{HeaderMap, HeaderName};

use crate::http::message::{
    headers,
    problem::{Code, Problem},
};

/// The name of a producer, unique among those of its stream.
pub const PRODUCER_ID: HeaderName = HeaderName::from_static("producer-id");
/// The incarnation of a producer: a higher one shuts out the lower ones.
pub const PRODUCER_EPOCH: HeaderName = HeaderName::from_static("producer-epoch");
/// The number of an append of one incarnation, from 0.
pub const PRODUCER_SEQ: HeaderName = HeaderName::from_static("producer-seq");

/// Largest epoch and number: the greatest that JavaScript counts exactly, as the protocol asks.
pub const MAX_NUMBER: u64 = (1 << 53) - 1;

/// Longest id in bytes, as of a topic.
const MAX_ID_BYTES: usize = 255;

/// Most producers of one stream that are remembered: those that were used last. So many take at most 12 KB in the record of
/// the stream.
pub const MAX_PRODUCERS: usize = 500;

/// Names a producer: the first bytes of the SHA-256 of its id.
pub type ProducerKey = [u8; 8];

/// One append of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerAppend {
    /// The producer.
    pub producer: ProducerKey,
    /// Its incarnation.
    pub epoch: u64,
    /// The number of the append.
    pub seq: u64,
}

/// Whether an append is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProducerVerdict {
    /// It is the next one.
    New,
    /// It was accepted before.
    Duplicate {
        /// The highest number of its incarnation that was.
        highest: u64,
    },
    /// A later incarnation has taken over.
    Fenced {
        /// That one.
        epoch: u64,
    },
    /// A new incarnation must begin with 0.
    NotFromZero,
    /// Appends before it are missing.
    Gap {
        /// The next number.
        expected: u64,
    },
}

/// The producers of one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Producers {
    known: HashMap<ProducerKey, Standing>,
    /// Appends accepted so far: the clock of their last use.
    clock: u64,
}

/// What is known of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Standing {
    epoch: u64,
    seq: u64,
    used: u64,
}

impl ProducerAppend {
    /// What the headers of a request tell; `None` without any of the three.
    ///
    /// # Errors
    /// When one is missing or not valid.
    pub fn of_request(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let of = |name| headers::one(headers, &name);
        let (id, epoch, seq) = match (of(PRODUCER_ID)?, of(PRODUCER_EPOCH)?, of(PRODUCER_SEQ)?) {
            (None, None, None) => return Ok(None),
            (Some(id), Some(epoch), Some(seq)) => (id, epoch, seq),
            _ => {
                let detail = "send Producer-Id, Producer-Epoch and Producer-Seq together, or none of them";
                return Err(Problem::new(Code::HeaderInvalid, detail));
            }
        };
        if id.is_empty() || id.len() > MAX_ID_BYTES {
            let detail = format!("Producer-Id must have 1 to {MAX_ID_BYTES} bytes");
            return Err(Problem::new(Code::HeaderInvalid, detail));
        }
        let number = |name: &str, value: &http::HeaderValue| {
            let text = value.to_str().ok().filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
            let number = text.and_then(|text| text.parse().ok()).filter(|number| *number <= MAX_NUMBER);
            let detail = || format!("{name} must be a whole number from 0 to {MAX_NUMBER}");
            number.ok_or_else(|| Problem::new(Code::HeaderInvalid, detail()))
        };
        let producer = *digest(&SHA256, id.as_bytes()).as_ref().first_chunk().expect("32 bytes");
        Ok(Some(Self { producer, epoch: number("Producer-Epoch", epoch)?, seq: number("Producer-Seq", seq)? }))
    }
}

impl Producers {
    /// Whether an append is new.
    #[must_use]
    pub fn check(&self, append: ProducerAppend) -> ProducerVerdict {
        let Some(known) = self.known.get(&append.producer) else {
            return if append.seq == 0 { ProducerVerdict::New } else { ProducerVerdict::Gap { expected: 0 } };
        };
        match append.epoch.cmp(&known.epoch) {
            Ordering::Less => ProducerVerdict::Fenced { epoch: known.epoch },
            Ordering::Greater if append.seq > 0 => ProducerVerdict::NotFromZero,
            Ordering::Greater => ProducerVerdict::New,
            Ordering::Equal if append.seq <= known.seq => ProducerVerdict::Duplicate { highest: known.seq },
            Ordering::Equal if append.seq == known.seq + 1 => ProducerVerdict::New,
            Ordering::Equal => ProducerVerdict::Gap { expected: known.seq + 1 },
        }
    }

    /// Records an append that was accepted. Beyond [`MAX_PRODUCERS`] the one that was not used for the longest time is
    /// forgotten.
    pub fn accept(&mut self, ProducerAppend { producer, epoch, seq }: ProducerAppend) {
        self.clock += 1;
        self.known.insert(producer, Standing { epoch, seq, used: self.clock });
        if self.known.len() > MAX_PRODUCERS {
            let oldest = self.known.iter().min_by_key(|(_, standing)| standing.used).map(|(key, _)| *key);
            oldest.map(|key| self.known.remove(&key));
        }
    }

    /// The newest accepted append of each, the one that was used last at the end.
    #[must_use]
    pub fn newest(&self) -> Vec<ProducerAppend> {
        let mut all: Vec<_> = self.known.iter().collect();
        all.sort_unstable_by_key(|(_, standing)| standing.used);
        all.into_iter()
            .map(|(&producer, &Standing { epoch, seq, .. })| ProducerAppend { producer, epoch, seq })
            .collect()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.known.len()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn append(producer: u8, epoch: u64, seq: u64) -> ProducerAppend {
        ProducerAppend { producer: [producer; 8], epoch, seq }
    }

    fn after(appends: &[ProducerAppend]) -> Producers {
        let mut producers = Producers::default();
        for append in appends {
            assert_eq!(producers.check(*append), ProducerVerdict::New);
            producers.accept(*append);
        }
        producers
    }

    #[test]
    fn each_append_is_accepted_once_and_in_order() {
        let producers = after(&[append(1, 5, 0), append(1, 5, 1), append(2, 0, 0)]);
        for (asked, verdict) in [
            (append(1, 5, 2), ProducerVerdict::New),
            (append(1, 5, 1), ProducerVerdict::Duplicate { highest: 1 }),
            (append(1, 5, 0), ProducerVerdict::Duplicate { highest: 1 }),
            (append(1, 5, 4), ProducerVerdict::Gap { expected: 2 }),
            (append(1, 4, 2), ProducerVerdict::Fenced { epoch: 5 }),
            (append(1, 6, 0), ProducerVerdict::New),
            (append(1, 6, 2), ProducerVerdict::NotFromZero),
            (append(2, 0, 1), ProducerVerdict::New),
            (append(3, 9, 0), ProducerVerdict::New),
            (append(3, 9, 1), ProducerVerdict::Gap { expected: 0 }),
        ] {
            assert_eq!(producers.check(asked), verdict, "{asked:?}");
        }
    }

    #[test]
    fn of_too_many_producers_the_one_that_is_idle_for_the_longest_time_is_forgotten() {
        let key = |n: usize| ProducerAppend { producer: (n as u64).to_be_bytes(), epoch: 0, seq: 0 };
        let mut producers = Producers::default();
        (0..MAX_PRODUCERS).for_each(|n| producers.accept(key(n)));
        producers.accept(ProducerAppend { seq: 1, ..key(0) });
        producers.accept(key(MAX_PRODUCERS));
        assert_eq!(producers.count(), MAX_PRODUCERS);
        assert_eq!(producers.check(key(1)), ProducerVerdict::New, "forgotten");
        assert_eq!(producers.check(key(0)), ProducerVerdict::Duplicate { highest: 1 });
        assert_eq!(producers.newest().last(), Some(&key(MAX_PRODUCERS)));
    }

    #[test]
    fn the_three_headers_come_together_and_their_numbers_are_plain() {
        let of = |values: [Option<&str>; 3]| {
            let names = [PRODUCER_ID, PRODUCER_EPOCH, PRODUCER_SEQ];
            let given = names.into_iter().zip(values).filter_map(|(name, value)| Some((name, value?)));
            let header = |text: &str| HeaderValue::from_str(text).expect("visible");
            ProducerAppend::of_request(&given.map(|(name, text)| (name, header(text))).collect())
        };
        assert_eq!(of([None; 3]), Ok(None));
        let Ok(Some(read)) = of([Some("p"), Some("0"), Some("9007199254740991")]) else { panic!("valid") };
        assert_eq!((read.epoch, read.seq), (0, MAX_NUMBER));
        let long = "x".repeat(MAX_ID_BYTES + 1);
        for values in [
            [Some("p"), Some("0"), None],
            [Some("p"), None, Some("0")],
            [None, Some("0"), Some("0")],
            [Some(""), Some("0"), Some("0")],
            [Some(&long), Some("0"), Some("0")],
            [Some("p"), Some("-1"), Some("0")],
            [Some("p"), Some("0"), Some("1.0")],
            [Some("p"), Some("0"), Some("9007199254740992")],
            [Some("p"), Some(""), Some("0")],
        ] {
            assert_eq!(of(values).expect_err("refused").code, Code::HeaderInvalid, "{values:?}");
        }
    }
}
