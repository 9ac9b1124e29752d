//! Tool calls for the AI SDK.

use super::*;

/// The chunks of complete calls.
fn calls(frames: &[&str]) -> Vec<String> {
    let (body, _) = write(options(&IDS, Format::AiSdk), &run(frames, RunStatus::Completed), &[]);
    let data = seen(Format::AiSdk, &body).into_iter().map(|seen| seen.data);
    data.filter(|data| data.contains("\"tool-input-")).collect()
}

#[test]
fn arguments_arrive_as_the_model_wrote_them() {
    let input = |arguments: &[&str]| {
        let pieces = arguments.iter().map(|piece| format!("args 0 {piece}"));
        let frames: Vec<String> = std::iter::once("tool 0 a f".into()).chain(pieces).collect();
        let last = calls(&frames.iter().map(String::as_str).collect::<Vec<_>>()).pop().expect("a chunk");
        let begin = "{\"type\":\"tool-input-available\",\"toolCallId\":\"a\",\"toolName\":\"f\",\"input\":";
        last.strip_prefix(begin).map(|rest| rest.strip_suffix('}').expect("an end").to_owned()).ok_or(last)
    };
    assert_eq!(input(&["{\"b\":1,", "\"a\":2}"]), Ok("{\"b\":1,\"a\":2}".into()), "in the same order");
    assert_eq!(input(&["{\"n\":12345678901234567890.10}"]), Ok("{\"n\":12345678901234567890.10}".into()));
    assert_eq!(input(&["{\r \"a\":\r1}\r"]), Ok("{  \"a\": 1}".into()), "on one line");
    assert_eq!(input(&[]), Ok("{}".into()), "no arguments are an empty object");
    let error = concat!(
        "{\"type\":\"tool-input-error\",\"toolCallId\":\"a\",\"toolName\":\"f\",\"input\":\"{\\\"b\\\":\",",
        "\"errorText\":\"the arguments of the tool call are not JSON\"}"
    );
    assert_eq!(input(&["{\"b\":"]), Err(error.into()));
}

#[test]
fn a_call_without_an_id_gets_one_and_waits_for_its_name() {
    let chunks = calls(&["tool 0 - f", "tool 1 b -", "args 1 {", "tool 1 - g", "args 1 }", "args 2 lost"]);
    let expected = [
        r#"{"type":"tool-input-start","toolCallId":"r1-0","toolName":"f"}"#,
        r#"{"type":"tool-input-start","toolCallId":"b","toolName":"g"}"#,
        r#"{"type":"tool-input-delta","toolCallId":"b","inputTextDelta":"{"}"#,
        r#"{"type":"tool-input-delta","toolCallId":"b","inputTextDelta":"}"}"#,
        r#"{"type":"tool-input-available","toolCallId":"r1-0","toolName":"f","input":{}}"#,
        r#"{"type":"tool-input-available","toolCallId":"b","toolName":"g","input":{}}"#,
    ];
    assert_eq!(chunks, expected);
}

#[test]
fn a_call_and_an_image_end_the_text_before_them() {
    for next in ["tool 0 a f", "image m m"] {
        let (body, _) = write(options(&IDS, Format::AiSdk), &run(&["text 0 x", next], RunStatus::Completed), &[]);
        let data: Vec<_> = seen(Format::AiSdk, &body).into_iter().map(|seen| seen.data).collect();
        let end = data.iter().position(|data| data.contains("text-end")).expect("an end");
        assert!(data[end + 1].contains("tool-input-start") || data[end + 1].contains("file"), "{data:?}");
    }
}

#[test]
fn the_reason_to_stop_is_the_ai_sdks() {
    let reason = |frames: &[&str]| {
        let (body, _) = write(options(&IDS, Format::AiSdk), &run(frames, RunStatus::Completed), &[]);
        let data = seen(Format::AiSdk, &body).into_iter().rev().nth(1).expect("a finish").data;
        let finish: serde_json::Value = serde_json::from_str(&data).expect("JSON");
        assert_eq!(finish["type"], "finish");
        finish.get("finishReason").map(|reason| reason.as_str().expect("text").to_owned())
    };
    for (provider, expected) in [
        ("stop", "stop"),
        ("STOP", "stop"),
        ("end_turn", "stop"),
        ("MAX_TOKENS", "length"),
        ("max_output_tokens", "length"),
        ("content_filter", "content-filter"),
        ("SAFETY", "content-filter"),
        ("tool_calls", "tool-calls"),
        ("tool_use", "tool-calls"),
        ("MALFORMED_FUNCTION_CALL", "other"),
    ] {
        assert_eq!(reason(&[&format!("finish {provider}")]), Some(expected.into()), "{provider}");
    }
    assert_eq!(reason(&["tool 0 a f", "finish STOP"]), Some("tool-calls".into()), "Gemini and Ollama say no more");
    assert_eq!(reason(&[]), None);
}
