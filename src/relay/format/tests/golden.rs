//! One run in every format, byte for byte.

use super::{
    scripted::{BARE, LINES},
    *,
};

/// Reasoning, text, a tool call in pieces, an image, counts, an unknown frame and the provider's end.
const ANSWER: &[&str] = &[
    "block 0\nthink 0 hm",
    "block 1\ntext 0 Hel",
    "whatever",
    "text 0 lo\nusage 9 -",
    "image image/png AAAA",
    "tool 0 call_1 weather",
    "args 0 {\"city\":",
    "args 0 \"Oslo\"}",
    "usage - 12\nfinish tool_use",
    "end",
];

fn golden(format: Format, expected: &str) {
    let (body, finished) = write(options(&IDS, format), &run(ANSWER, RunStatus::Completed), &[]);
    assert_eq!(body, expected);
    assert_eq!(finished, Some(Finished::Complete));
}

#[test]
fn events_have_one_shape() {
    golden(
        Format::Events,
        r#"event: run.started
data: {"run":"r1","provider":"openai","model":"m"}
id: abcd-1

event: reasoning
data: {"text":"hm","choice":0,"block":0}
id: abcd-2

event: delta
data: {"text":"Hel","choice":0,"block":1}
id: abcd-3

event: usage
data: {"input":9,"output":null}

event: delta
data: {"text":"lo","choice":0,"block":1}
id: abcd-5

event: image
data: {"mime":"image/png","data":"AAAA"}
id: abcd-6

event: tool
data: {"index":0,"id":"call_1","name":"weather","arguments":""}
id: abcd-7

event: tool
data: {"index":0,"id":null,"name":null,"arguments":"{\"city\":"}
id: abcd-8

event: tool
data: {"index":0,"id":null,"name":null,"arguments":"\"Oslo\"}"}
id: abcd-9

event: usage
data: {"input":9,"output":12}
id: abcd-10

event: run.ended
data: {"run":"r1","status":"completed","usage":{"input":9,"output":12,"source":"upstream"}}
id: abcd-12

"#,
    );
}

#[test]
fn a_frame_that_says_nothing_is_no_event() {
    let frames = ["text 0 ", "think 0 ", "args 0 ", "error code message", "finish stop", "end", "unknown"];
    let (body, _) = write(options(&IDS, Format::Events), &run(&frames, RunStatus::Completed), &[]);
    let names: Vec<_> = seen(Format::Events, &body).into_iter().map(|seen| seen.name).collect();
    assert_eq!(names, ["run.started", "run.ended"]);
}

#[test]
fn lines_are_the_same_events() {
    golden(
        Format::Ndjson,
        r#"{"event":"run.started","data":{"run":"r1","provider":"openai","model":"m"},"id":"abcd-1"}
{"event":"reasoning","data":{"text":"hm","choice":0,"block":0},"id":"abcd-2"}
{"event":"delta","data":{"text":"Hel","choice":0,"block":1},"id":"abcd-3"}
{"event":"usage","data":{"input":9,"output":null}}
{"event":"delta","data":{"text":"lo","choice":0,"block":1},"id":"abcd-5"}
{"event":"image","data":{"mime":"image/png","data":"AAAA"},"id":"abcd-6"}
{"event":"tool","data":{"index":0,"id":"call_1","name":"weather","arguments":""},"id":"abcd-7"}
{"event":"tool","data":{"index":0,"id":null,"name":null,"arguments":"{\"city\":"},"id":"abcd-8"}
{"event":"tool","data":{"index":0,"id":null,"name":null,"arguments":"\"Oslo\"}"},"id":"abcd-9"}
{"event":"usage","data":{"input":9,"output":12},"id":"abcd-10"}
{"event":"run.ended","data":{"run":"r1","status":"completed","usage":{"input":9,"output":12,"source":"upstream"}},"id":"abcd-12"}
"#,
    );
}

#[test]
fn text_is_the_first_choice_alone() {
    golden(Format::Text, "Hello");
    let other_choice = run(&["text 0 a", "text 1 b", "text 0 c"], RunStatus::Completed);
    assert_eq!(write(options(&IDS, Format::Text), &other_choice, &[]).0, "ac");
    let message = write(options(&IDS, Format::AiSdk), &other_choice, &[]).0;
    assert!(!message.contains("\"delta\":\"b\"") && message.contains("\"delta\":\"c\""), "{message}");
}

#[test]
fn the_ai_sdk_gets_one_message() {
    golden(
        Format::AiSdk,
        r#"data: {"type":"start","messageId":"r1"}

data: {"type":"start-step"}
id: abcd-1

data: {"type":"reasoning-start","id":"1"}

data: {"type":"reasoning-delta","id":"1","delta":"hm"}
id: abcd-2

data: {"type":"reasoning-end","id":"1"}

data: {"type":"text-start","id":"2"}

data: {"type":"text-delta","id":"2","delta":"Hel"}
id: abcd-3

data: {"type":"text-delta","id":"2","delta":"lo"}
id: abcd-5

data: {"type":"text-end","id":"2"}

data: {"type":"file","url":"data:image/png;base64,AAAA","mediaType":"image/png"}
id: abcd-6

data: {"type":"tool-input-start","toolCallId":"call_1","toolName":"weather"}
id: abcd-7

data: {"type":"tool-input-delta","toolCallId":"call_1","inputTextDelta":"{\"city\":"}
id: abcd-8

data: {"type":"tool-input-delta","toolCallId":"call_1","inputTextDelta":"\"Oslo\"}"}
id: abcd-9

data: {"type":"tool-input-available","toolCallId":"call_1","toolName":"weather","input":{"city":"Oslo"}}

data: {"type":"finish-step"}

data: {"type":"finish","finishReason":"tool-calls","messageMetadata":{"run":"r1","status":"completed","usage":{"input":9,"output":12,"source":"upstream"}}}

data: [DONE]
id: abcd-12

"#,
    );
}

#[test]
fn raw_is_what_the_provider_sent() {
    let frames = run(&["one", "two\nlines", ""], RunStatus::Completed);
    let with_ids = "data: one\nid: abcd-2\n\ndata: two\ndata: lines\nid: abcd-3\n\ndata: \nid: abcd-4\n\n";
    assert_eq!(write(options(&IDS, Format::Raw), &frames, &[]), (with_ids.into(), Some(Finished::Complete)));
    let bare = "data: one\n\ndata: two\ndata: lines\n\ndata: \n\n";
    assert_eq!(write(options(&BARE, Format::Raw), &frames, &[]).0, bare);
    let lines = run(&["{\"a\":1}", "{\"done\":true}"], RunStatus::Completed);
    assert_eq!(write(options(&LINES, Format::Raw), &lines, &[]).0, "{\"a\":1}\n{\"done\":true}\n");
}

#[test]
fn raw_frames_keep_their_names() {
    let mut encoder = AnswerEncoder::new(options(&IDS, Format::Raw));
    let mut out = Vec::new();
    for (at, name) in [(1, "content_block_delta"), (2, "message"), (3, "")] {
        encoder.push(id(at), RunEvent::Frame { name, data: "{}" }, Instant::now(), &mut out);
    }
    let expected =
        "event: content_block_delta\ndata: {}\nid: abcd-1\n\ndata: {}\nid: abcd-2\n\ndata: {}\nid: abcd-3\n\n";
    assert_eq!(String::from_utf8(out).expect("UTF-8"), expected);
}

#[test]
fn an_array_has_the_frames_as_its_elements() {
    let array = AnswerOptions { raw: RawShape::JsonArray, ..options(&BARE, Format::Raw) };
    let body = |frames: &[&str], status| write(array.clone(), &run(frames, status), &[]).0;
    assert_eq!(body(&["{}", "1"], RunStatus::Completed), "[{},\r\n1]");
    assert_eq!(body(&[], RunStatus::Completed), "[]");
    assert_eq!(body(&["{}"], RunStatus::Interrupted), "[{},\r\nerror  the hub ended before the run]");
    assert_eq!(body(&[], RunStatus::Truncated), "[error  the provider closed its stream before its end]");
}

#[test]
fn each_format_says_what_it_is() {
    let facts = |api, format, raw| {
        let encoder = AnswerEncoder::new(AnswerOptions { raw, ..options(api, format) });
        let mut keepalive = Vec::new();
        encoder.keepalive(&mut keepalive);
        (encoder.content_type(), encoder.headers().len(), String::from_utf8(keepalive).expect("UTF-8"))
    };
    let sse = "text/event-stream; charset=utf-8";
    assert_eq!(facts(&IDS, Format::Raw, RawShape::Stream), (sse, 0, ":\n".into()));
    assert_eq!(facts(&BARE, Format::Raw, RawShape::Stream), (sse, 0, String::new()));
    assert_eq!(facts(&LINES, Format::Raw, RawShape::Stream), ("application/x-ndjson", 0, String::new()));
    let json = "application/json; charset=utf-8";
    assert_eq!(facts(&IDS, Format::Raw, RawShape::JsonArray), (json, 0, String::new()));
    assert_eq!(facts(&LINES, Format::Events, RawShape::Stream), (sse, 0, ":\n".into()));
    assert_eq!(facts(&IDS, Format::Ndjson, RawShape::Stream), ("application/x-ndjson", 0, "\n".into()));
    assert_eq!(facts(&IDS, Format::Text, RawShape::Stream), ("text/plain; charset=utf-8", 0, String::new()));
    assert_eq!(facts(&IDS, Format::AiSdk, RawShape::Stream), (sse, 1, ":\n".into()));
}
