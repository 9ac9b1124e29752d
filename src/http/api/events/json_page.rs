//! A page as JSON: `{"events":[…],"next","gaps":[…],"closed"}`; one that was read backwards has `previous` in place of
//! `closed`.

use serde::Serialize;
use serde_json::value::RawValue;

use super::page::{Page, PageEdge, PageFormat};
use crate::{
    http::{
        api::{
            body,
            cursor_text::EVENT_IDS,
            envelope::{ENVELOPE, EXPORTED_ENVELOPE},
            stream::encoding::GapNotice,
        },
        message::json_text,
        net::response::Response,
    },
    hub::{
        frame::{EventEncoder, Frame},
        subscription::Gap,
    },
};

/// A page of envelopes.
pub(super) static FORMAT: PageFormat = PageFormat {
    event: &ENVELOPE,
    gap_bytes: |gap| json_text::bytes(&notice(gap)).len(),
    response: |page| response(page, &ENVELOPE),
};

/// A page of envelopes with metadata.
pub(super) static EXPORT: PageFormat = PageFormat {
    event: &EXPORTED_ENVELOPE,
    gap_bytes: FORMAT.gap_bytes,
    response: |page| response(page, &EXPORTED_ENVELOPE),
};

#[derive(Serialize)]
struct PageBody {
    events: Vec<Box<RawValue>>,
    next: String,
    gaps: Vec<GapNotice>,
    #[serde(flatten)]
    edge: EdgeBody,
}

#[derive(Serialize)]
#[serde(untagged)]
enum EdgeBody {
    Newer { closed: bool },
    Older { previous: Option<String> },
}

fn response(page: Page, event: &'static EventEncoder) -> Response {
    let text = text(&page, event);
    body::json_of(page.permit.hold(text))
}

fn text(page: &Page, event: &'static EventEncoder) -> Vec<u8> {
    let body = PageBody {
        events: page.frames.iter().map(|frame| raw_envelope(frame, event)).collect(),
        next: EVENT_IDS.text(page.next),
        gaps: page.gaps.iter().map(notice).collect(),
        edge: match page.edge {
            PageEdge::Newer { closed } => EdgeBody::Newer { closed },
            PageEdge::Older { previous } => EdgeBody::Older { previous: previous.map(|id| EVENT_IDS.text(id)) },
        },
    };
    let mut text = json_text::bytes(&body);
    text.push(b'\n');
    text
}

fn notice(gap: &Gap) -> GapNotice {
    GapNotice::new(gap, &EVENT_IDS)
}

fn raw_envelope(frame: &Frame, event: &'static EventEncoder) -> Box<RawValue> {
    let mut text = Vec::new();
    frame.write(event, &mut text);
    let text = String::from_utf8(text).expect("JSON is UTF-8");
    RawValue::from_string(text).expect("an envelope is JSON")
}
