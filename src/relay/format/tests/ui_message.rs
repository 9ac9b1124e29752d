//! A UI message as the AI SDK builds it from chunks (`process-ui-message-stream.ts` of `ai` 6): the same states, and a
//! panic where the SDK throws.

use std::collections::BTreeMap;

use serde_json::Value;

/// A message that is complete.
#[derive(Debug, Default, PartialEq)]
pub(super) struct UiMessage {
    /// Texts, reasonings and files in order: the type, and the content.
    pub(super) parts: Vec<(String, String)>,
    /// The arguments of tool calls by their id, as they were streamed.
    pub(super) calls: BTreeMap<String, String>,
    /// `finish` or `error`.
    pub(super) ending: String,
}

/// Reads the data of all events of a response, or of several that continue each other.
pub(super) fn read<'a>(data: impl Iterator<Item = &'a str>) -> UiMessage {
    let mut message = UiMessage::default();
    let mut open: BTreeMap<(String, String), usize> = BTreeMap::new();
    let (mut started, mut done) = (false, false);
    for data in data {
        assert!(!done, "nothing follows [DONE]");
        if data == "[DONE]" {
            done = true;
            continue;
        }
        let chunk: Value = serde_json::from_str(data).expect("a chunk is JSON");
        let text = |key: &str| chunk[key].as_str().unwrap_or_else(|| panic!("{key} in {data}")).to_owned();
        let kind = text("type");
        assert!(message.ending.is_empty(), "{kind} after {}", message.ending);
        assert_eq!(started, kind != "start", "one start, before all else: {kind}");
        match kind.split_once('-') {
            None if kind == "start" => started = true,
            Some((part @ ("text" | "reasoning"), "start")) => {
                let before = open.insert((part.into(), text("id")), message.parts.len());
                assert_eq!(before, None, "a block is opened once");
                message.parts.push((part.into(), String::new()));
            }
            Some((part @ ("text" | "reasoning"), "delta")) => {
                let at = open.get(&(part.into(), text("id"))).expect("an open block");
                message.parts[*at].1.push_str(&text("delta"));
            }
            Some((part @ ("text" | "reasoning"), "end")) => {
                open.remove(&(part.into(), text("id"))).expect("an open block");
            }
            Some(("tool", "input-start")) => {
                let before = message.calls.insert(text("toolCallId"), String::new());
                assert_eq!(before, None, "a call begins once");
            }
            Some(("tool", "input-delta")) => {
                let call = message.calls.get_mut(&text("toolCallId")).expect("a call that has begun");
                call.push_str(&text("inputTextDelta"));
            }
            Some(("tool", "input-available" | "input-error")) => {
                assert!(message.calls.contains_key(&text("toolCallId")));
            }
            None if kind == "file" => message.parts.push((kind, text("url"))),
            None if ["finish", "error"].contains(&&*kind) => message.ending = kind,
            _ => assert!(["start-step", "finish-step", "abort"].contains(&&*kind), "{kind}"),
        }
    }
    assert!(open.is_empty() && started && done && !message.ending.is_empty(), "{message:?}");
    message
}
