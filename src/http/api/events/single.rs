//! `GET /events/<id>?topic=T`: one event. Its data as it is stored, with its attributes as headers (the binary mode of
//! CloudEvents); or as JSON.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

use super::{
    event_address::EventAddress,
    page::{out_of_memory, store_unreadable},
    state::EventsState,
    within_timeout,
};
use crate::{
    event::{Data, Selection},
    http::{
        api::{
            cloud_events::{
                EVENT_TYPE,
                attributes::{CloudAttributes, SPEC_VERSION},
                context, header_value,
                json_event::CLOUD_EVENT,
                payload::PayloadForm,
            },
            envelope::ENVELOPE,
            request_log,
        },
        auth::Caller,
        message::{accept, destination, problem::Problem},
        net::response::{Response, full},
    },
    hub::frame::{EventEncoder, Frame},
};

/// Nothing in a browser runs what is served here, whatever type its publisher has chosen: it is of the hub's own origin.
const POLICY: &str = "sandbox; default-src 'none'; frame-ancestors 'none'";

const CE_SPEC_VERSION: HeaderName = HeaderName::from_static("ce-specversion");

/// Bytes of the headers of attributes, with their names, at most: those of proxies and clients have 8 KiB for a whole head.
/// An event with more is sent as JSON.
const MAX_HEADER_BYTES: usize = 6 << 10;

/// Attributes at most that are sent as headers: Python's `http.client` reads 100 headers.
const MAX_HEADERS: usize = 64;

/// Answers with the event.
///
/// # Errors
/// A problem that says what to change, or that there is no such event.
pub async fn handle(
    events: &EventsState,
    Caller { mut authorization, quotas }: Caller,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    destination::not_code(headers)?;
    let address = EventAddress::of(uri)?;
    request_log::set_topic(&address.topic);
    let selection = Selection::from(address.topic.clone());
    authorization.subscribe(&selection)?;
    let hub = &events.stream.hub;
    let removals = hub.removals();
    let present = within_timeout(hub.present_id(address.id)).await?;
    let found = within_timeout(hub.event_at(selection.clone(), present.seq)).await?;
    let (epoch, event) = found.filter(|(epoch, _)| *epoch == present.epoch).ok_or_else(|| address.unknown())?;
    // The credential may have ended while the log was read, and the event may have been removed.
    authorization.renew_subscription(&events.stream.policies, &selection)?;
    let frames = hub.without_removed(vec![Frame::replayed(epoch, event).into()], removals);
    let frame = frames.and_then(|mut frames| frames.pop()).ok_or_else(store_unreadable)?;
    let (mut response_headers, body) = if accept::names(headers, EVENT_TYPE) {
        json(&frame, &CLOUD_EVENT, EVENT_TYPE)
    } else if accept::names(headers, "application/json") {
        json(&frame, &ENVELOPE, "application/json")
    } else {
        data(&frame).unwrap_or_else(|| json(&frame, &CLOUD_EVENT, EVENT_TYPE))
    };
    response_headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response_headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    let mut permit = quotas.memory(&events.pages);
    permit.grow(body.len()).map_err(|_| out_of_memory())?;
    let stats = hub.stats();
    stats.events_out.add(1);
    stats.bytes_out.add(body.len() as u64);
    let mut response = Response::new(full(permit.hold(body)));
    *response.headers_mut() = response_headers;
    Ok(response)
}

fn json(frame: &Frame, encoder: &EventEncoder, media_type: &'static str) -> (HeaderMap, Bytes) {
    let mut text = Vec::new();
    (encoder.encode)(frame, &mut text);
    text.push(b'\n');
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(media_type))]);
    (headers, text.into())
}

/// The data as it is stored, described by headers; `None` when those would be too large.
fn data(frame: &Frame) -> Option<(HeaderMap, Bytes)> {
    let attributes = context::attributes(frame);
    let described = attributes.iter().filter(|(name, _)| *name != "datacontenttype");
    let mut headers: HeaderMap = described.filter_map(|(name, value)| header_value::header(name, value)).collect();
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum();
    if bytes > MAX_HEADER_BYTES || headers.len() > MAX_HEADERS {
        return None;
    }
    headers.insert(CE_SPEC_VERSION, HeaderValue::from_static(SPEC_VERSION));
    headers.extend(content_type(&frame.event.new.data, &attributes).map(|value| (header::CONTENT_TYPE, value)));
    Some((headers, frame.event.new.data.bytes().clone()))
}

/// The type of the data; `None` when there is neither.
fn content_type(data: &Data, attributes: &CloudAttributes) -> Option<HeaderValue> {
    const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");
    match (attributes.content_type(), PayloadForm::of(data, None)) {
        (Some(text), _) => Some(HeaderValue::from_str(text).unwrap_or(BYTES)),
        (None, PayloadForm::Absent) => None,
        (None, PayloadForm::Json) => Some(HeaderValue::from_static("application/json")),
        (None, PayloadForm::Text | PayloadForm::Base64) => Some(BYTES),
    }
}
