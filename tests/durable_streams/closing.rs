//! The last data of a stream reaches who waits for it.

use std::{thread, time::Duration};

use crate::{
    stream::{BYTES, CLOSES, JSON, PROTOCOL, ProducerHeaders, Stream, TEXT, data, next_offset},
    support::hub::Hub,
};

/// Moments at which the last append comes, from before the poll to when it has waited for a while.
const MOMENTS: u64 = 40;

#[test]
fn a_poll_that_waits_gets_the_data_of_the_append_that_closes() {
    let hub = Hub::start_with(&[&PROTOCOL[..2], &["--durable-streams-long-poll", "20s"]].concat());
    for moment in 0..MOMENTS {
        for (content_type, last, want) in [(TEXT, "last", "last"), (JSON, "[1,2]", "[1,2]"), (BYTES, "l", "l")] {
            let stream = Stream::create(&hub, &format!("{moment}/{}", content_type.replace('/', ".")), content_type);
            let tail = stream.append(content_type, "[0]");
            let (poll, closed) = thread::scope(|scope| {
                let poll = scope.spawn(|| stream.get(&format!("?offset={tail}&live=long-poll")));
                thread::sleep(Duration::from_micros(moment * 400));
                let producer = ProducerHeaders::new("p", 0, 0);
                let own = producer.with(content_type, &[CLOSES]);
                let headers = if moment % 2 == 0 { &own[..] } else { &[("content-type", content_type), CLOSES] };
                let closed = stream.post(headers, last.as_bytes());
                assert!(matches!(closed.status, 200 | 204), "{}", closed.text());
                (poll.join().unwrap(), closed)
            });
            let told = |name| poll.headers.get(name);
            assert_eq!((poll.status, &*poll.text()), (200, want), "{content_type}, moment {moment}");
            assert_eq!((told("stream-closed"), told("stream-up-to-date")), (Some("true"), Some("true")));
            assert_eq!(next_offset(&poll), next_offset(&closed));
            let after = stream.get(&format!("?offset={}&live=long-poll", next_offset(&poll)));
            assert_eq!((after.status, after.headers.get("stream-closed")), (204, Some("true")), "at once");
        }
    }
}

#[test]
fn a_poll_that_waits_is_told_of_an_end_without_data() {
    let hub = Hub::start_with(&[&PROTOCOL[..2], &["--durable-streams-long-poll", "20s"]].concat());
    for moment in 0..MOMENTS {
        let stream = Stream::create(&hub, &moment.to_string(), TEXT);
        let tail = stream.append(TEXT, "x");
        let poll = thread::scope(|scope| {
            let poll = scope.spawn(|| stream.get(&format!("?offset={tail}&live=long-poll")));
            thread::sleep(Duration::from_micros(moment * 400));
            assert_eq!(stream.post(&[CLOSES], b"").status, 204);
            poll.join().unwrap()
        });
        assert_eq!((poll.status, poll.headers.get("stream-closed")), (204, Some("true")), "moment {moment}");
        assert_eq!(next_offset(&poll), next_offset(&stream.head()));
    }
}

#[test]
fn a_reader_of_sse_gets_the_last_data_and_then_the_end() {
    let hub = Hub::start_with(&PROTOCOL);
    for moment in 0..MOMENTS {
        let stream = Stream::create(&hub, &moment.to_string(), TEXT);
        let tail = stream.append(TEXT, "x");
        let mut blocks = thread::scope(|scope| {
            let reader = scope.spawn(|| stream.sse(&tail, None).rest());
            thread::sleep(Duration::from_micros(moment * 400));
            assert_eq!(stream.post(&[("content-type", TEXT), CLOSES], b"last").status, 204);
            reader.join().unwrap()
        });
        assert_eq!(data(&blocks), "last", "moment {moment}");
        let end = blocks.pop().unwrap();
        assert!(end.data.unwrap().contains("\"streamClosed\":true"), "moment {moment}");
        let before = blocks.iter().filter(|block| block.data.as_ref().unwrap().contains("streamClosed"));
        assert_eq!(before.count(), 0);
    }
}
