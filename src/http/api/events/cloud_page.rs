//! A page as a batch of CloudEvents: an array and nothing else. Its gaps are events of the hub, before the others. The
//! cursor after it is the header `Last-Event-ID`, which the client sends back; `Stream-Closed: true` says that no event can
//! follow.

use http::{HeaderName, HeaderValue, header};

use super::page::{Page, PageEdge, PageFormat};
use crate::{
    http::{
        api::{
            cloud_events::{
                BATCH_TYPE, context,
                json_event::{self, CLOUD_EVENT},
            },
            cursor_text::EVENT_IDS,
            stream::encoding::GapNotice,
        },
        net::response::{Response, full},
    },
    hub::subscription::Gap,
};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

const STREAM_CLOSED: HeaderName = HeaderName::from_static("stream-closed");

/// The type of a gap.
const GAP: &str = "hub.gap";

/// A batch of CloudEvents.
pub(super) static FORMAT: PageFormat = PageFormat {
    event: &CLOUD_EVENT,
    gap_bytes: |gap| {
        let mut text = Vec::new();
        write_gap(gap, &mut text);
        text.len()
    },
    response,
};

fn response(page: Page) -> Response {
    let mut text = b"[".to_vec();
    for gap in &page.gaps {
        write_gap(gap, &mut text);
        text.push(b',');
    }
    for frame in &page.frames {
        frame.write(&CLOUD_EVENT, &mut text);
        text.push(b',');
    }
    if text.ends_with(b",") {
        text.pop();
    }
    text.extend_from_slice(b"]\n");
    let mut response = Response::new(full(page.permit.hold(text)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(BATCH_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(LAST_EVENT_ID, HeaderValue::from_str(&EVENT_IDS.text(page.next)).expect("an id is ASCII"));
    if page.edge == (PageEdge::Newer { closed: true }) {
        headers.insert(STREAM_CLOSED, HeaderValue::from_static("true"));
    }
    response
}

fn write_gap(gap: &Gap, out: &mut Vec<u8>) {
    let notice = GapNotice::new(gap, &EVENT_IDS);
    let source = gap.topic.as_ref().map_or_else(|| "/events".to_owned(), context::source);
    json_event::hub_message(out, format!("{GAP}:{}", notice.place()), source, GAP, &notice);
}
