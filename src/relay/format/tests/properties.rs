//! However a reader resumes, and however deltas are merged: the same answer, one ending, rising ids.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*, sample::select};

use super::{ui_message::UiMessage, *};

/// Frames of one part or several, as scripts; what they mean depends on the frames before.
fn frame() -> impl Strategy<Value = String> {
    let text = select(vec!["a", "b ", "é", "{}", "\u{2028}", "", "data:"]);
    let texts = (select(vec!["text", "think"]), 0..2_u8, text);
    let part = prop_oneof![
        6 => texts.prop_map(|(kind, choice, text)| format!("{kind} {choice} {text}")),
        2 => (0..2_u8).prop_map(|block| format!("block {block}")),
        3 => (0..3_u8, select(vec!["{", "\"", "1"])).prop_map(|(index, more)| format!("args {index} {more}")),
        1 => (0..4_u8).prop_map(|output| format!("usage 9 {output}")),
        1 => Just("image image/png AAAA".into()),
        1 => Just("unknown".into()),
    ];
    vec(part, 1..4).prop_map(|parts| parts.join("\n"))
}

fn events() -> impl Strategy<Value = Vec<Logged>> {
    let status = select(vec![RunStatus::Completed, RunStatus::Failed, RunStatus::Stopped]);
    (vec(frame(), 0..20), status).prop_map(|(mut frames, status)| {
        // Each call begins once.
        frames.insert(0, "tool 0 zero f".into());
        frames.insert(frames.len() / 2, "tool 1 - f\ntool 2 two g".into());
        run(&frames.iter().map(String::as_str).collect::<Vec<_>>(), status)
    })
}

/// The text of each block, in order of their names; merged deltas make no difference.
fn answer(events: &[Seen]) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::<String, String>::new();
    for event in events {
        let data: serde_json::Value = serde_json::from_str(&event.data).expect("JSON");
        let key = match &*event.name {
            "usage" => {
                texts.insert("usage".into(), event.data.clone());
                continue;
            }
            "tool" => format!("tool {}", data["index"]),
            _ => format!("{} {} {}", event.name, data["choice"], data["block"]),
        };
        let text = ["text", "arguments", "data"].iter().find_map(|key| data[key].as_str());
        texts.entry(key).or_default().push_str(text.unwrap_or_default());
    }
    texts
}

/// A response in which deltas are merged is cut after an event with an id, and the reader resumes there, in a response
/// in which they are merged at other times.
fn cut_and_resumed(events: &[Logged], format: Format, ms: [u64; 2], wait: &[u64], cut: usize) -> Vec<Seen> {
    let batched = |ms, after| AnswerOptions { batch: Some(Duration::from_millis(ms)), after, ..options(&IDS, format) };
    let mut first = seen(format, &write(batched(ms[0], None), events, wait).0);
    let with_id: Vec<usize> = (0..first.len()).filter(|at| first[*at].id.is_some()).collect();
    let last = with_id[cut % with_id.len()];
    first.truncate(last + 1);
    let rest = write(batched(ms[1], first[last].id), events, &wait[1..]).0;
    first.extend(seen(format, &rest));
    first
}

fn one_message(events: &[Seen]) -> UiMessage {
    ui_message::read(events.iter().map(|event| &*event.data))
}

proptest! {
    #[test]
    fn a_reader_that_resumes_gets_the_same_answer(
        events in events(), ms in [0..200_u64, 0..200_u64], wait in vec(0..150_u64, 2..9), cut: usize,
    ) {
        for format in [Format::Events, Format::Ndjson, Format::AiSdk] {
            let unbroken = seen(format, &write(options(&IDS, format), &events, &[]).0);
            let resumed = cut_and_resumed(&events, format, ms, &wait, cut);
            let ids: Vec<_> = resumed.iter().filter_map(|event| event.id).map(|id| id.seq).collect();
            prop_assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
            if format == Format::AiSdk {
                prop_assert_eq!(one_message(&resumed), one_message(&unbroken));
                continue;
            }
            prop_assert_eq!(answer(&resumed), answer(&unbroken));
            let endings = resumed.iter().filter(|event| event.name == "run.ended").count();
            prop_assert_eq!((endings, &*resumed.last().expect("an ending").name), (1, "run.ended"));
        }
    }

    #[test]
    fn merging_changes_no_text(events in events(), ms in 0..200_u64, wait in vec(0..150_u64, 1..9)) {
        let text = |batch| write(AnswerOptions { batch, ..options(&IDS, Format::Text) }, &events, &wait);
        prop_assert_eq!(text(Some(Duration::from_millis(ms))), text(None));
    }

    #[test]
    fn a_resumed_response_is_the_rest_of_the_whole_one(events in events(), after in 0..30_u64) {
        for format in [Format::Raw, Format::Events, Format::Ndjson, Format::Text, Format::AiSdk] {
            let whole = write(options(&IDS, format), &events, &[]).0;
            let rest = write(AnswerOptions { after: Some(id(after)), ..options(&IDS, format) }, &events, &[]).0;
            prop_assert!(whole.ends_with(&rest), "{whole}\n---\n{rest}");
            let at = format!("abcd-{after}\"}}\n");
            let end = if format == Format::Ndjson { at } else { format!("id: abcd-{after}\n\n") };
            if let Some(cut) = whole.find(&end) {
                prop_assert_eq!(&whole[cut + end.len()..], rest);
            }
        }
    }
}
