//! A second protocol over the same log, with its own path, offsets and pages: the data of the events, and nothing else.

use std::sync::Arc;

use http_body_util::BodyExt;

use super::{
    native::NATIVE,
    page::{Page, PageFormat},
    *,
};
use crate::{
    engine::Append,
    event::{NewEvent, TopicName},
    http::{
        api::{
            cursor_text::CursorText,
            state::{AppState, ShardState},
            stream::encoding::Keepalive,
        },
        message::query::Query,
        testing::{self, app, caller, request, scope},
    },
    hub::frame::EventEncoder,
};

static OFFSETS: CursorText = CursorText {
    parse: |text| EventId::parse(&text.replacen('_', "-", 1)),
    write: |id, f| write!(f, "{}_{}", id.epoch, id.seq),
};

static BYTES: EventEncoder = EventEncoder { encode: |frame, out| out.extend_from_slice(frame.event.new.data.bytes()) };

static FORMAT: PageFormat = PageFormat { event: &BYTES, gap_bytes: |_| 0, response: bytes_response };

static BYTE_STREAMS: Protocol = Protocol {
    from_head: |parts, filters| {
        let topic = parts.uri.path().strip_prefix("/v1/stream/").expect("the route has this prefix");
        let query = Query::new(parts.uri.query());
        let begin = match query.one("offset")? {
            None | Some("-1") => StreamStart::At(Start::Earliest),
            Some(text) => StreamStart::At(Start::Cursor(OFFSETS.cursor(text))),
        };
        Ok(EventsRequest {
            selection: events_request::selection(&[topic], filters)?,
            begin,
            mode: ResponseMode::Page { limit: 2, wait: Duration::ZERO, form: PageForm::Protocol },
            keepalive: Keepalive::Comment,
            eventsource: false,
        })
    },
    check_head_of_body: |_| Ok(()),
    from_body: |parts, _, filters| (BYTE_STREAMS.from_head)(parts, filters),
    max_body_bytes: 0,
    page: &FORMAT,
};

fn bytes_response(page: Page) -> Response {
    let Page { frames, next, gaps, .. } = page;
    let mut bytes = Vec::new();
    for frame in &frames {
        frame.write(&BYTES, &mut bytes);
    }
    let mut response = Response::new(full(bytes));
    let headers = response.headers_mut();
    headers.insert("stream-next-offset", OFFSETS.text(next).parse().expect("ASCII"));
    headers.insert("gaps", gaps.len().into());
    response
}

/// The bytes after `offset`, the next offset, and the number of gaps.
async fn read(app: &Arc<AppState>, offset: &str) -> (String, String, String) {
    let shard = ShardState::new(Arc::clone(app), 0);
    let target = format!("/v1/stream/a/b?offset={offset}");
    let request = request("GET", &target, &[], "");
    let response =
        get(&shard.events, &scope(&target, false), &BYTE_STREAMS, caller(app), request).await.expect("a page");
    let header = |name: &str| response.headers()[name].to_str().expect("ASCII").to_owned();
    let (next, gaps) = (header("stream-next-offset"), header("gaps"));
    let bytes = response.into_body().collect().await.expect("whole").to_bytes();
    (String::from_utf8(bytes.to_vec()).expect("UTF-8"), next, gaps)
}

#[tokio::test]
async fn another_protocol_reads_the_log_with_its_own_cursors_and_pages() {
    let (app, _) = app();
    let topic = TopicName::new("a/b").expect("valid");
    let events = ["1", "2", "3"].map(|data| NewEvent::new(topic.clone(), data)).to_vec();
    app.hub.publish(Append { events, expect: None, key: None }).await.expect("published");
    let epoch = app.hub.epoch();
    let (first, middle) = (read(&app, "-1").await, format!("{epoch}_2"));
    assert_eq!(first, ("12".into(), middle.clone(), "0".into()));
    assert_eq!(read(&app, &middle).await, ("3".into(), format!("{epoch}_3"), "0".into()));
    let native = format!("{epoch}-2x");
    assert_eq!(read(&app, &native).await, ("12".into(), middle, "1".into()), "no offset: a gap, and what is kept");

    let shard = ShardState::new(Arc::clone(&app), 0);
    let target = "/events?topic=a/b&from=earliest&limit=1";
    let same = request("GET", target, &[("accept", "application/json")], "");
    let page = get(&shard.events, &scope(target, false), &NATIVE, caller(&app), same).await.expect("a page");
    let page = testing::json(page).await;
    assert_eq!((&page["events"][0]["data"], &page["next"]), (&"1".into(), &format!("{epoch}-1").into()));
}
