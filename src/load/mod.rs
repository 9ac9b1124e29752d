//! The load generator: thousands of publishers and subscribers on one thread, which verify what they receive.
//!
//! It uses only the public protocol, so it can measure other servers, too ([`PeerDialect`]). Every event carries its number
//! in its data ([`payload`]), and every stream must receive each event of its topics once and in order. Violations are
//! counted as [`DeliveryFaults`]; with any of them the other figures of a run are void.
//!
//! | module | purpose |
//! |---|---|
//! | [`generator`] | the event loop over all sockets: [`Load::run`] |
//! | [`tally`] | expected and received events of each stream; faults and latencies |
//! | [`dialect`] | the request and response formats of the supported servers |
//! | [`topics`] | the topics of a run, and those of a stream |
//! | [`traffic`] | the plan of a run (how much, how fast), and its results |
//! | `centrifugo` | the JSON messages of Centrifugo |
//! | `error` | errors that end a load early |
//! | `schedule` | which publisher sends which event, and when |
//! | `stream` | one subscriber |
//! | `stream_line` | the meaning of a line of a stream, in every dialect |
//! | `publisher` | one publisher |
//! | `response` | incremental parser for HTTP/1.1 responses |
//! | `watch` | time, and whether a load gets on |
//!
//! A subscriber takes its socket and about 200 bytes, and the beginning of a line that has arrived in part.

mod centrifugo;
pub mod dialect;
mod error;
pub mod generator;
mod publisher;
mod response;
mod schedule;
mod stream;
mod stream_line;
pub mod tally;
pub mod topics;
pub mod traffic;
mod watch;

pub use self::{
    dialect::{PeerDialect, PublishMode},
    error::LoadError,
    generator::Load,
    tally::DeliveryFaults,
    topics::{LoadTopics, Wants},
    traffic::{LoadMode, LoadOutcome, LoadPlan},
};

/// Length of the number at the beginning of an event's data: 16 hexadecimal digits.
pub const NUMBER_BYTES: usize = 16;

/// The data of event `number`: `bytes` long, at least [`NUMBER_BYTES`].
#[must_use]
pub fn payload(number: u64, bytes: usize) -> String {
    let mut data = String::with_capacity(bytes + FILLER.len());
    write_payload(&mut data, number, bytes);
    data
}

const FILLER: &str = "gapless ";

/// Appends the data of event `number` to `out`.
fn write_payload(out: &mut String, number: u64, bytes: usize) {
    use std::fmt::Write as _;
    let begin = out.len();
    write!(out, "{number:016x}").expect("memory");
    while out.len() - begin < bytes {
        out.push_str(FILLER);
    }
    out.truncate(begin + bytes.max(NUMBER_BYTES));
}

/// The number at the beginning of `data`; `None` when it has none, and so is not from this generator.
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
    fn the_data_of_an_event_begin_with_its_number() {
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
