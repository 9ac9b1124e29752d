//! Bytes and options become events. No I/O: everything here can be run on any input.
//!
//! | module | idea |
//! |---|---|
//! | this file | a whole body becomes events |
//! | [`options`] | the format of the body, defaults, condition and key |
//! | `body_format` | the formats that a body can have |
//! | `fast_path` | the JSON that most publishers send, parsed by comparison |
//! | `json` | JSON as an event's data |
//! | `line_splitter` | bytes into lines |
//! | `envelope` | a JSON envelope, or an array of them |
//! | `cloud_event_head` | what the head says of CloudEvents |
//! | `cloud_event` | a CloudEvent, or an array of them |
//! | `batch` | the items of a JSON array |
//! | [`event_reader`] | the events of a stream, one by one |
//! | [`interner`] | a cache of topic names |
//! | [`key`] | an `Idempotency-Key` as the engine stores it |
//! | [`batch_shape`] | whether one event was sent, or a list |

use bytes::Bytes;

use self::{batch_shape::BatchShape, body_format::BodyFormat, options::PublishOptions};
use crate::{
    event::{Data, NewEvent},
    http::message::problem::Problem,
};

mod batch;
pub(super) mod batch_shape;
pub(super) mod body_format;
mod cloud_event;
mod cloud_event_head;
mod envelope;
pub(super) mod event_reader;
mod fast_path;
pub(super) mod interner;
mod json;
pub(super) mod key;
mod line_splitter;
pub(super) mod options;

/// The events of a whole body, each with at most `event_bytes` bytes of data.
///
/// # Errors
/// A problem that says why the body is refused.
pub(super) fn whole(
    body: Bytes,
    options: &PublishOptions,
    event_bytes: usize,
) -> Result<(Vec<NewEvent>, BatchShape), Problem> {
    let one = |event| (vec![event], BatchShape::One);
    match (options.format, &options.topic) {
        (BodyFormat::CloudEvent, _) => cloud_event::structured(&body, options, event_bytes).map(one),
        (BodyFormat::CloudEventBatch, _) => {
            cloud_event::batched(&body, options, event_bytes).map(|events| (events, BatchShape::Many))
        }
        (_, Some(topic)) => {
            if let Some(attributes) = &options.attributes {
                return cloud_event::binary(body, attributes.clone(), options).map(one);
            }
            let data = if options.binary { Data::any(body) } else { Data::new(body)? };
            Ok(one(options.event(topic.clone(), data)))
        }
        // The events have copies of what they need of the body.
        (_, None) => envelope::parse(&body, options, event_bytes),
    }
}
