//! Bytes and options become events. No I/O: everything here can be run on any input.
//!
//! | module | idea |
//! |---|---|
//! | this file | a whole body becomes events |
//! | `media_type` | whether a Content-Type says text |
//! | [`options`] | the format of the body, defaults, condition and key |
//! | `envelope` | a JSON envelope, or an array of them |
//! | [`event_reader`] | the events of a stream, one by one |
//! | [`interner`] | a cache of topic names |
//! | [`key`] | an `Idempotency-Key` as the engine stores it |
//! | [`batch_shape`] | whether one event was sent, or a list |

use bytes::Bytes;

use self::{batch_shape::BatchShape, options::PublishOptions};
use crate::{
    event::{Data, NewEvent},
    http::message::problem::Problem,
};

pub(super) mod batch_shape;
mod envelope;
pub(super) mod event_reader;
mod fast_path;
pub(super) mod interner;
mod json;
pub(super) mod key;
mod line_splitter;
mod media_type;
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
    match &options.topic {
        Some(topic) => {
            let data = if options.binary { Data::any(body) } else { Data::new(body)? };
            Ok((vec![options.event(topic.clone(), data)], BatchShape::One))
        }
        // The events have copies of what they need of the body.
        None => envelope::parse(&body, options, event_bytes),
    }
}
