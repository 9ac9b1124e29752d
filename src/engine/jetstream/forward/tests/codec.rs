//! Bytes and back.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use fastrand::Rng;
use serde_json::json;

use super::{
    append, event,
    log::{epoch, receipt},
    topic, undecided,
};
use crate::engine::jetstream::forward::{
    FollowerSession, ForwardCodecError, ForwardLimits, HubId, LeaderSessions, Unit, UnitResult,
    codec::{FrameReader, ResultOrFeed, read_result, read_unit, write_result, write_unit},
};
use crate::{
    engine::{Append, AppendError, ExpectedLast, IdempotencyKey, MetadataChange, TopicChange, TopicState},
    event::{Data, EventId, EventName, Metadata, NewEvent, Retention, Seq, TraceParent},
};

const AGE: Duration = Duration::new(3, 5);

fn units() -> Vec<Unit> {
    let all = NewEvent {
        name: EventName::run_ended(),
        retry: Some(5),
        close: true,
        of_run: true,
        traceparent: TraceParent::from_bytes([7; TraceParent::BYTES]).map(Arc::new),
        ..event("ä/\"b\\", "{\"é\":\u{2028}}")
    };
    let binary = NewEvent { data: Data::binary(vec![0xFF, b'"', 0].into()), ..event("a", "") };
    let with_metadata = NewEvent { metadata: Metadata::stored(b"\x01\xFEx"), ..event("b", "text") };
    let both =
        NewEvent { metadata: Metadata::stored(b"\x02"), data: Data::binary(b"text".to_vec().into()), ..all.clone() };
    let events = vec![event("a", ""), all, binary, with_metadata, both, event("a", "three")];
    let id = EventId { epoch: epoch(), seq: Seq(u64::MAX) };
    let key = IdempotencyKey { key: [0; 16], fingerprint: [0xAB; 16], owner: u64::MAX };
    let reset = TopicChange { max_events: Some(None), max_age: Some(None), ..TopicChange::default() };
    let set = TopicChange {
        max_events: Some(Some(u64::MAX)),
        max_age: Some(Some(AGE)),
        max_bytes: Some(Some(1)),
        retry: Some(Some(0)),
        closed: Some(false),
        ..TopicChange::default()
    };
    let metadata = || Metadata::new(1, b"\0\xff").ok();
    let swap = TopicChange {
        closed: Some(true),
        metadata: Some(MetadataChange { from: metadata(), to: None }),
        expect: Some(ExpectedLast::Last(id)),
        ..TopicChange::default()
    };
    let create = TopicChange {
        metadata: Some(MetadataChange { from: None, to: metadata() }),
        expect: Some(ExpectedLast::Empty),
        ..TopicChange::default()
    };
    vec![
        Unit::Append(append(events.clone())),
        Unit::Append(Append { expect: Some(ExpectedLast::Last(id)), key: Some(key), events: events.clone() }),
        Unit::Append(Append { expect: Some(ExpectedLast::Empty), key: None, events: events.clone() }),
        Unit::Each(events),
        Unit::Configure(topic("a"), TopicChange::default()),
        Unit::Configure(topic("a"), reset),
        Unit::Configure(topic("a"), set),
        Unit::Configure(topic("a"), swap),
        Unit::Configure(topic("a"), create),
        Unit::Delete(topic("a")),
        Unit::Remove(topic("a"), Seq(7)),
    ]
}

fn errors() -> Vec<AppendError> {
    let last = EventId { epoch: epoch(), seq: Seq(3) };
    vec![
        AppendError::Precondition { last: None },
        AppendError::Precondition { last: Some(last) },
        AppendError::MetadataChanged { present: None },
        AppendError::MetadataChanged { present: Metadata::new(2, b"").ok() },
        AppendError::Closed { topic: topic("a/b") },
        AppendError::KeyReused,
        AppendError::KeysFull { own: true, wait: AGE },
        AppendError::KeyTooLarge,
        AppendError::TooMany { max: 1000 },
        AppendError::TooLarge { bytes: 2, max: 1 },
        AppendError::LimitUnsupported { limit: "max_age" },
        AppendError::Busy,
        AppendError::Full,
        AppendError::NotNow { reason: "x".into() },
        AppendError::Unavailable { reason: "y".into() },
    ]
}

fn results() -> Vec<UnitResult> {
    let receipts: Vec<_> = [("a", 7), ("a", 8), ("b", 9), ("a", 10), ("a", 12), ("a", 13)]
        .into_iter()
        .map(|(name, position)| receipt(&topic(name), position))
        .collect();
    let each = receipts.iter().cloned().map(Ok).zip(errors().into_iter().map(Err)).flat_map(|(ok, err)| [ok, err]);
    let retention = Retention { max_events: Some(1), max_age: Some(AGE), max_bytes: None };
    let state = TopicState {
        topic: topic("a"),
        epoch: epoch(),
        first: None,
        last: Some(Seq(4)),
        events: 5,
        bytes: 6,
        closed: true,
        retention,
        retry: Some(9),
        metadata: Metadata::new(1, &[7; Metadata::MAX_BYTES - 1]).ok(),
    };
    vec![
        UnitResult::Each(Ok(each.collect())),
        UnitResult::Append(Ok(receipts)),
        UnitResult::Configure(Ok(state)),
        UnitResult::Done(Ok(true)),
        UnitResult::Done(Ok(false)),
    ]
}

fn parse_unit(frame: &[u8]) -> Result<(u64, Unit), ForwardCodecError> {
    FrameReader::frames(frame).next().expect("a frame").and_then(read_unit)
}

fn parse_result(frame: &[u8]) -> Result<ResultOrFeed, ForwardCodecError> {
    let framed = FrameReader::frames(frame).next().expect("a frame").and_then(read_result)?;
    assert_eq!((framed.number, framed.at), (3, Seq(9)));
    Ok(framed.result)
}

/// A frame as another version of this code could write it.
fn frame(json: &serde_json::Value, data: &[u8]) -> Vec<u8> {
    let json = json.to_string();
    let length = |length: usize| u32::try_from(length).expect("short").to_le_bytes();
    [&length(json.len()), &length(data.len()), json.as_bytes(), data].concat()
}

#[test]
fn a_unit_survives_its_bytes() {
    for unit in units() {
        let (n, read) = parse_unit(&write_unit(5, &unit)).expect("what was written");
        assert_eq!((n, format!("{read:?}")), (5, format!("{unit:?}")));
    }
}

#[test]
fn a_result_survives_its_bytes() {
    for result in results() {
        let read = parse_result(&write_result(3, Seq(9), &result, usize::MAX)).expect("what was written");
        assert_eq!(read, ResultOrFeed::Known(result));
    }
    for error in errors() {
        let result = UnitResult::Each(Err(error.clone()));
        let read = parse_result(&write_result(3, Seq(9), &result, usize::MAX)).expect("what was written");
        assert_eq!(read, ResultOrFeed::Refused(error));
    }
}

#[test]
fn a_result_that_is_too_large_refers_to_the_feed() {
    let frame = write_result(3, Seq(9), &results()[0], 100);
    assert!(frame.len() < 100);
    assert_eq!(parse_result(&frame), Ok(ResultOrFeed::SeeFeed));
}

#[test]
fn receipts_of_one_topic_take_as_much_space_as_one() {
    let receipts = |count| UnitResult::Append(Ok((0..count).map(|at| receipt(&topic("a"), 8 + at % 8)).collect()));
    let size = |result: &UnitResult| write_result(3, Seq(9), result, usize::MAX).len();
    assert!(size(&receipts(8)) <= size(&receipts(1)) + 2);
}

#[test]
fn what_a_later_version_of_the_code_adds_is_ignored_or_refused() {
    let unit = json!({"n": 5, "new": 1, "op": {"delete": {"topic": "a", "also": true}}});
    assert!(matches!(parse_unit(&frame(&unit, b"")), Ok((5, Unit::Delete(_)))));
    let unit = json!({"n": 5, "op": {"rename": {"topic": "a"}}});
    assert!(matches!(parse_unit(&frame(&unit, b"")), Err(ForwardCodecError::Malformed(_))));
    let error = json!({"k": 3, "at": 9, "r": {"refused": {"kind": "sleepy", "text": "later"}}});
    let refused = ResultOrFeed::Refused(AppendError::NotNow { reason: "later".into() });
    assert_eq!(parse_result(&frame(&error, b"")), Ok(refused), "an unknown error refuses too");
}

/// A hub that does not know conditions would carry such a change out without them.
#[test]
fn a_conditional_change_is_an_operation_of_its_own() {
    let operation = |change: TopicChange| {
        let bytes = write_unit(5, &Unit::Configure(topic("a"), change));
        let text = String::from_utf8_lossy(&bytes).into_owned();
        ["configure", "compare_and_set"].map(|name| text.contains(&format!("\"op\":{{\"{name}\"")))
    };
    let nothing = TopicChange::default();
    let expect = TopicChange { expect: Some(ExpectedLast::Empty), ..nothing.clone() };
    let metadata = TopicChange { metadata: Some(MetadataChange::default()), ..nothing.clone() };
    assert_eq!([nothing, expect, metadata].map(operation), [[true, false], [false, true], [false, true]]);
    for metadata in ["", "AQ", "?"] {
        let change = json!({"metadata": {"from": null, "to": metadata}});
        let unit = json!({"n": 5, "op": {"compare_and_set": {"topic": "a", "change": change}}});
        assert!(parse_unit(&frame(&unit, b"")).is_err(), "{metadata}");
    }
}

#[test]
fn a_hub_that_knows_only_text_refuses_a_unit_with_more_and_no_other() {
    // What such a hub needs of each event.
    #[derive(serde::Deserialize)]
    struct TextEvent {
        #[serde(rename = "b")]
        _bytes: usize,
    }
    let read = |event: NewEvent| {
        let written = write_unit(5, &Unit::Each(vec![event]));
        let length = u32::from_le_bytes(written[..4].try_into().expect("4 bytes")) as usize;
        let json: serde_json::Value = serde_json::from_slice(&written[8..8 + length]).expect("JSON");
        serde_json::from_value::<Vec<TextEvent>>(json["op"]["each"]["events"].clone()).is_ok()
    };
    assert!(read(event("a", "text")));
    assert!(!read(NewEvent { data: Data::binary("text".into()), ..event("a", "") }));
    assert!(!read(NewEvent { metadata: Metadata::stored(b"\x01"), ..event("a", "text") }));
}

#[test]
fn numbers_that_do_not_fit_are_malformed() {
    let receipts = |count: u64, first: u64| json!({"k": 3, "at": 9, "r": {"append": {"topics": ["a"], "runs": [[0, "abcd", first, count, 0]]}}});
    assert!(parse_result(&frame(&receipts(65_536, 1), b"")).is_ok());
    for (count, first) in [(65_537, 1), (u64::MAX, 1), (2, u64::MAX)] {
        assert!(parse_result(&frame(&receipts(count, first), b"")).is_err(), "{count} {first}");
    }
    let each = json!({"k": 3, "at": 9, "r": {"each": {"count": 2, "receipts": {"topics": [], "runs": []},
        "errors": [[0, {"kind": "busy", "text": ""}], [0, {"kind": "busy", "text": ""}]]}}});
    assert!(parse_result(&frame(&each, b"")).is_err());
    for (bytes, data) in [(4, b"abc".as_slice()), (usize::MAX, b"abc"), (1, b"\xff")] {
        let unit = json!({"n": 5, "op": {"each": {"events": [{"t": "a", "b": bytes}]}}});
        assert!(parse_unit(&frame(&unit, data)).is_err(), "{bytes}");
    }
    for payload in [
        json!({"b": 3, "bin": false, "m": 1}),
        json!({"b": 1, "bin": true, "m": usize::MAX}),
        json!({"b": 1, "bin": true}),
        json!({"b": 1, "bin": false, "m": 0}),
        json!(null),
    ] {
        let unit = json!({"n": 5, "op": {"each": {"events": [{"t": "a", "x": payload}]}}});
        assert!(parse_unit(&frame(&unit, b"\xffab")).is_err(), "{payload}");
    }
    let two_sizes =
        json!({"n": 5, "op": {"each": {"events": [{"t": "a", "b": 1, "x": {"b": 1, "bin": true, "m": 0}}]}}});
    assert!(parse_unit(&frame(&two_sizes, b"a")).is_err());
    let none = json!({"n": 5, "op": {"append": {"events": []}}});
    assert!(parse_unit(&frame(&none, b"")).is_err());
}

/// Damaged units, results and messages are read, or refused; either side goes on.
#[test]
fn damaged_bytes_are_an_error_at_most() {
    let mut rng = Rng::with_seed(7);
    let now = Instant::now();
    let hub = |name: &str| HubId::new(name).expect("an id");
    let mut follower = FollowerSession::new(hub("f"), ForwardLimits::DEFAULT);
    let mut leader = LeaderSessions::new(hub("l"), Seq(1), ForwardLimits::DEFAULT);
    follower.leader_seen(now, hub("l"), Seq(1));
    let mut samples: Vec<Vec<u8>> = units().iter().map(|unit| write_unit(1, unit)).collect();
    samples.extend(results().iter().map(|result| write_result(1, Seq(1), result, usize::MAX)));
    let mut messages = Vec::new();
    for unit in units() {
        follower.push(now, undecided(unit, (), now));
        for (_, bytes) in follower.poll(now).send {
            messages.push(bytes.clone());
            let handled = leader.handle(now, Seq(1), &bytes).expect("a request");
            for unit in handled.execute {
                leader.complete(&unit.ticket, &unit.unit.refused(AppendError::Busy), Seq(1));
            }
            let answers = handled.answer.into_iter().chain(leader.flush().into_iter().map(|(_, bytes)| bytes));
            for answer in answers {
                messages.push(answer.clone());
                follower.message(now, &answer).expect("an answer");
            }
        }
    }
    assert!(messages.len() > 10, "{}", messages.len());
    samples.extend(messages);
    for sample in &samples {
        for _ in 0..2000 {
            let mut bytes = sample.clone();
            for _ in 0..rng.usize(1..4) {
                let at = rng.usize(..bytes.len());
                match rng.u32(..4) {
                    0 => bytes[at] = rng.u8(..),
                    1 => bytes[at] ^= 1 << rng.u32(..8),
                    2 => bytes.insert(at, rng.u8(..)),
                    _ => bytes.truncate(at.max(1)),
                }
            }
            for frame in FrameReader::frames(&bytes).flatten() {
                let _ = (read_unit(frame), read_result(frame));
            }
            let _ = (follower.message(now, &bytes), leader.handle(now, Seq(1), &bytes));
            let _ = LeaderSessions::refuse(&hub("l"), &bytes);
        }
    }
    follower.poll(now);
    leader.flush();
}

#[test]
fn a_hub_id_is_a_token_of_a_subject() {
    assert_eq!(HubId::new("hub-1_X").expect("an id").as_str(), "hub-1_X");
    for text in ["", "a.b", "a b", "*", "ä", &"x".repeat(65)] {
        assert_eq!(HubId::new(text), None, "{text}");
    }
}
