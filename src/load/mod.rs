//! The load generator: publishers and subscribers by the thousand, on one thread, that check what they get.
//!
//! It speaks the public protocol and knows nothing of the hub's inside, so it measures other servers as well
//! ([`Dialect`]). Every event says in its data which one it is ([`payload`]), and every stream is held to hear each event
//! of its topics once and in order: a server that loses one has no figures, it has [`DeliveryFaults`].
//!
//! | room | idea |
//! |---|---|
//! | [`generator`] | the loop: sockets in, bytes out, [`Load::run`] |
//! | [`tally`] | what each stream is owed, and what went wrong |
//! | [`dialect`] | how a server is asked, and where its answers say what we look for |
//! | [`traffic`] | how much is published, how fast, and what came of it |
//! | `centrifugo` | the messages of a server whose data are JSON |
//! | `schedule` | which publisher hands in what, and when |
//! | `stream` | one subscriber |
//! | `publisher` | one publisher |
//! | `response` | an HTTP response as it arrives, in pieces of any size |
//!
//! A subscriber costs its socket and about 200 bytes; while a line of it is half read, that line's beginning, too.

mod centrifugo;
pub mod dialect;
mod error;
pub mod generator;
mod publisher;
mod response;
mod schedule;
mod stream;
pub mod tally;
pub mod traffic;

pub use self::{
    dialect::{Dialect, PublishMode},
    error::LoadError,
    generator::{Load, LoadTopics},
    tally::DeliveryFaults,
    traffic::{LoadMode, LoadOutcome, LoadPlan},
};

/// Bytes at the beginning of an event's data that say which one it is: a number of 16 hexadecimal digits.
pub const NUMBER_BYTES: usize = 16;

/// Data of the event `number`: `bytes` of it, at least [`NUMBER_BYTES`].
#[must_use]
pub fn payload(number: u64, bytes: usize) -> String {
    let mut data = String::with_capacity(bytes + FILLER.len());
    write_payload(&mut data, number, bytes);
    data
}

const FILLER: &str = "gapless ";

/// Appends the data of the event `number` to `out`.
fn write_payload(out: &mut String, number: u64, bytes: usize) {
    use std::fmt::Write as _;
    let begin = out.len();
    write!(out, "{number:016x}").expect("memory");
    while out.len() - begin < bytes {
        out.push_str(FILLER);
    }
    out.truncate(begin + bytes.max(NUMBER_BYTES));
}

/// Which event begins so, if it is one of ours.
fn number(data: &[u8]) -> Option<u64> {
    let digits = data.get(..NUMBER_BYTES)?;
    digits.iter().try_fold(0, |number, &digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_which_one_it_is() {
        for n in [0, 1, 0xfedc_ba98_7654_3210] {
            let data = payload(n, 256);
            assert_eq!((data.len(), number(data.as_bytes())), (256, Some(n)));
        }
        assert_eq!(payload(7, 3), "0000000000000007", "never shorter than its number");
        for foreign in [&b"{\"streamNextOffset\":1}"[..], b"00000000000000", b""] {
            assert_eq!(number(foreign), None);
        }
    }
}
