//! Publishes a body that is read completely before any of it is committed: all of its events or none.

use bytes::Bytes;
use http::{StatusCode, request::Parts};

use crate::http::{
    api::{
        body,
        publish::{
            allowance::CallerAllowance,
            decode::{self, batch_shape::BatchShape, key, options::PublishOptions},
            receipt::ReceiptWriter,
            shard::PublishShard,
            state::PublishState,
        },
    },
    auth::Caller,
    message::problem::Problem,
    net::response::{Response, full},
};

/// Memory that an event of a batch takes besides its data, in bytes.
const EVENT_OVERHEAD_BYTES: usize = 200;

/// Publishes the body; the response has the receipts.
///
/// # Errors
/// A problem that says why nothing was published.
pub(in crate::http::api::publish) async fn response<B>(
    state: &PublishState,
    shard: &PublishShard,
    options: &PublishOptions,
    mut caller: Caller,
    head: Parts,
    body: B,
) -> Result<Response, Problem>
where
    B: http_body::Body<Data = Bytes>,
{
    let limits = shard.publisher.limits();
    let limit = if options.format.is_data() { limits.event_bytes } else { limits.batch_bytes };
    let (bytes, mut permit) = state.bodies.read(&caller.quotas, &head.headers, body, limit).await?;
    // The head keeps the connection's read buffer alive, which can be reused while the event is written.
    drop(head);
    let (events, shape) = decode::whole(bytes, options, limits.event_bytes)?;
    if shape == BatchShape::Many {
        permit.grow_arrived(events.len() * EVENT_OVERHEAD_BYTES)?;
    }
    // The credential may have expired while the body was read.
    caller.authorization.renew(&state.policies)?;
    state.guards.check_publish(&events)?;
    let allowance = CallerAllowance { caller: &caller, hub: &state.hub };
    let admitted = shard.publisher.admit(events, options.expect, &allowance)?;
    let (holder, owner) = (caller.authorization.holder(), caller.quotas.owner);
    let key = options
        .key
        .as_deref()
        .map(|key| key::idempotency(holder, owner, key, admitted.events(), admitted.expect(), shape));
    let acknowledgments = shard.publisher.publish(admitted, key).await?;
    drop(permit);
    if !options.receipts {
        let mut response = Response::new(full(Bytes::new()));
        *response.status_mut() = StatusCode::NO_CONTENT;
        return Ok(response);
    }
    let json = match (shape, acknowledgments.as_slice()) {
        (BatchShape::One, [one]) => shard.receipt(one),
        (_, all) => ReceiptWriter::default().list(all),
    };
    Ok(body::json(json))
}
