//! An update as an event of a stream: as any event is, but with the id of the update.

use super::update_id::UpdateId;
use crate::{
    event::sse,
    hub::frame::{EventEncoder, Frame},
};

/// The encoding of an update in a stream.
pub static UPDATE_EVENT: EventEncoder = EventEncoder {
    encode: |frame, out| {
        out.reserve(frame.event.new.data.len() + 96);
        sse::begin(out, &frame.event.new.name, &frame.event);
        sse::data_part(out, frame.event.new.data.text().as_bytes());
        end(frame, out);
    },
};

/// Writes what follows the data.
pub fn end(frame: &Frame, out: &mut Vec<u8>) {
    sse::end(out, UpdateId::of(frame));
}
