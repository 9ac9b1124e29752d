//! Any text is an offset that means one position, or none. Offsets sort as their positions do.
//!
//! Input: two texts, separated by the first line feed; an `E` in them stands for the epoch of the store.

use gapless::{
    event::{Epoch, EventId, Seq},
    http::api::durable_streams::offset::{Offset, ReadOffset},
};

/// Positions from which on an offset has no 16 digits.
const LIMIT: u64 = 10_u64.pow(16);

/// Checks each text, and both against each other.
pub(crate) fn holds_for(input: &[u8]) {
    let epoch = Epoch::new("0a1b2c3d").expect("valid");
    let text = String::from_utf8_lossy(input).replace('E', epoch.as_str());
    let (one, other) = text.split_once('\n').unwrap_or((&text, &text));
    let (one, other) = (read(one, epoch), read(other, epoch));
    if let (Some(one), Some(other)) = (one, other) {
        assert_eq!(one.0.cmp(&other.0), one.1.cmp(&other.1), "{one:?} {other:?}");
    }
}

/// The position of an offset of this store, and the offset as it is written. `None` for any other text.
fn read(text: &str, epoch: Epoch) -> Option<(Seq, String)> {
    let offset = ReadOffset::parse(text, epoch)?;
    let written = |epoch, seq| Offset(EventId { epoch, seq }).to_string();
    match offset {
        ReadOffset::Now => assert_eq!((text, offset.seq()), ("now", None)),
        ReadOffset::Start => assert_eq!(offset.seq(), Some(Seq::ZERO), "{text:?}"),
        ReadOffset::After(seq) | ReadOffset::Foreign(seq) => {
            assert!(seq > Seq::ZERO && offset.seq() == Some(seq), "{text:?}");
        }
    }
    let ReadOffset::After(seq) = offset else { return None };
    if seq.0 >= LIMIT {
        return None;
    }
    let here = written(epoch, seq);
    assert!(here.len() == 33 && here.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_'), "{here}");
    assert_eq!(ReadOffset::parse(&here, epoch), Some(offset));
    let elsewhere = written(Epoch::new("3d2c1b0a").expect("valid"), seq);
    assert_eq!(ReadOffset::parse(&elsewhere, epoch), Some(ReadOffset::Foreign(seq)));
    Some((seq, here))
}
