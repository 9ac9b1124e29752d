//! What is no longer kept is told, never passed over.

use serde_json::Value;

use crate::{
    stream::{JSON, PROTOCOL, SseReader, Stream, TEXT, next_offset},
    support::{assert_problem, hub::Hub},
};

fn gap(reader: &mut SseReader) -> Value {
    let block = reader.next().unwrap();
    assert_eq!(block.event, "hub.gap");
    serde_json::from_str(&block.data.unwrap()).unwrap()
}

#[test]
fn an_offset_before_what_is_kept_is_gone_and_the_answer_says_from_where_to_go_on() {
    let mut hub = Hub::start_with(&PROTOCOL);
    let stream = Stream::create(&hub, "t", TEXT);
    let offsets: Vec<_> = (0..10).map(|n| stream.append(TEXT, n.to_string())).collect();
    let mut live = stream.sse("-1", None);
    assert_eq!(live.data(10).concat(), "0123456789");
    hub.trim("t", 3);
    for restarted in [false, true] {
        if restarted {
            hub.kill();
            hub = hub.again();
        }
        for offset in &offsets[..6] {
            for live in ["", "&live=long-poll"] {
                let answer = stream.get(&format!("?offset={offset}{live}"));
                assert_problem(&answer, 410, "offset-gone");
                assert_eq!(stream.read_after(&next_offset(&answer)).0, b"789", "{offset}");
            }
            for mut reader in [stream.sse(offset, None), stream.sse("-1", Some(offset))] {
                let gap = gap(&mut reader);
                assert_eq!(stream.read_after(gap["streamNextOffset"].as_str().unwrap()).0, b"789", "{gap}");
                assert_eq!(gap["reason"], "trimmed", "{gap}");
                assert_eq!(reader.data(3).concat(), "789", "it goes on");
            }
        }
        assert_eq!(stream.read_after(&offsets[6]).0, b"789", "nothing is missing after this one");
        assert_eq!(stream.read_after(&offsets[8]).0, b"9");
        for start in ["?offset=-1", "", "?offset=0000000000000000_0000000000000000"] {
            assert_eq!(stream.get(start).text(), "789", "{start}: the beginning is the oldest that is kept");
        }
    }
    assert_eq!(stream.sse("-1", None).data(3).concat(), "789");
}

#[test]
fn an_offset_of_another_store_is_gone() {
    let (hub, other) = (Hub::start_with(&PROTOCOL), Hub::start_with(&PROTOCOL));
    let theirs = Stream::create(&other, "t", JSON).append(JSON, "0");
    let event = other.publish("t", "1");
    let stream = Stream::create(&hub, "t", JSON);
    stream.append(JSON, "[1,2]");
    for foreign in [theirs, event] {
        for live in ["", "&live=long-poll"] {
            let answer = stream.get(&format!("?offset={foreign}{live}"));
            assert_problem(&answer, 410, "offset-gone");
            assert_eq!(stream.read_after(&next_offset(&answer)).0, b"[1,2]");
        }
        for mut reader in [stream.sse(&foreign, None), stream.sse("-1", Some(&foreign))] {
            assert_eq!(gap(&mut reader)["reason"], "unknown");
            assert_eq!(reader.data(2), ["[1]", "[2]"]);
        }
        let fork = Stream::at(&hub, "fork").fork_of(&stream, &[("stream-fork-offset", &foreign)], b"");
        assert_problem(&fork, 400, "header-invalid");
    }
}

#[test]
fn a_fork_whose_source_is_trimmed_tells_it() {
    let hub = Hub::start_with(&PROTOCOL);
    let stream = Stream::create(&hub, "t", TEXT);
    let offsets: Vec<_> = (0..6).map(|n| stream.append(TEXT, n.to_string())).collect();
    let fork = Stream::at(&hub, "fork");
    assert_eq!(fork.fork_of(&stream, &[("stream-fork-offset", &offsets[4])], b"own").status, 201);
    assert_eq!(fork.text(), "01234own");
    hub.trim("t", 3);
    let answer = fork.get(&format!("?offset={}", offsets[0]));
    assert_problem(&answer, 410, "offset-gone");
    assert_eq!(fork.read_after(&next_offset(&answer)).0, b"34own");
    let mut reader = fork.sse(&offsets[0], None);
    assert_eq!(gap(&mut reader)["reason"], "trimmed");
    assert_eq!(reader.data(3).concat(), "34own");
    assert_eq!(fork.text(), "34own", "the beginning is the oldest that is kept");
    // All that it has from its source.
    hub.trim("t", 1);
    let answer = fork.get(&format!("?offset={}", offsets[0]));
    assert_problem(&answer, 410, "offset-gone");
    assert_eq!(fork.read_after(&next_offset(&answer)).0, b"own");
    assert_eq!(fork.text(), "own");
}

#[test]
fn an_offset_of_a_deleted_namesake_reads_the_new_stream_or_is_told() {
    let hub = Hub::start_with(&PROTOCOL);
    let stream = Stream::create(&hub, "t", TEXT);
    let old = stream.append(TEXT, "old");
    stream.append(TEXT, "older");
    assert_eq!(stream.delete().status, 204);
    assert_eq!(stream.put(&[("content-type", TEXT)], b"new").status, 201);
    let mut answer = stream.get(&format!("?offset={old}"));
    if answer.status == 410 {
        answer = stream.get(&format!("?offset={}", next_offset(&answer)));
    }
    assert_eq!((answer.status, &*answer.text()), (200, "new"));
    assert_eq!(stream.text(), "new");
}
