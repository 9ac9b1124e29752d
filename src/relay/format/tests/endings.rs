//! Every ending in every format: exactly one, and never a false one.

use super::{scripted::LINES, *};

const BAD: &[RunStatus] = &[
    RunStatus::Stopped,
    RunStatus::Abandoned,
    RunStatus::Failed,
    RunStatus::Truncated,
    RunStatus::TimedOut,
    RunStatus::Interrupted,
];

/// What a run of one text is followed by.
fn rest(api: &'static ScriptedApi, format: Format, last: &[Logged]) -> (String, Option<Finished>) {
    let begin = [Logged::Started, Logged::Frame("text 0 Hel".into())];
    let before = {
        let mut encoder = AnswerEncoder::new(options(api, format));
        let mut out = Vec::new();
        for (at, event) in begin.iter().enumerate() {
            give(event, |event| encoder.push(id(at as u64 + 1), event, Instant::now(), &mut out));
        }
        String::from_utf8(out).expect("UTF-8")
    };
    let (all, finished) = write(options(api, format), &[&begin, last].concat(), &[]);
    (all.strip_prefix(&before).expect("the same beginning").into(), finished)
}

#[test]
fn a_bad_ending_is_an_error_in_the_providers_own_shape() {
    for status in BAD {
        let (raw, finished) = rest(&IDS, Format::Raw, &[Logged::Ended(*status)]);
        assert!(raw.starts_with("event: error\ndata: error ") && raw.ends_with("\nid: abcd-3\n\n"), "{raw}");
        assert_eq!(finished, Some(Finished::Complete));
        let (lines, _) = rest(&LINES, Format::Raw, &[Logged::Ended(*status)]);
        assert!(lines.starts_with("error ") && lines.ends_with('\n'), "{lines}");
    }
    let (raw, _) = rest(&IDS, Format::Raw, &[Logged::Ended(RunStatus::Stopped)]);
    assert_eq!(raw, "event: error\ndata: error  the run was stopped by alice\nid: abcd-3\n\n");
}

#[test]
fn the_providers_own_error_is_not_said_twice() {
    let error = Logged::Frame("error overloaded Overloaded".into());
    let (raw, finished) = rest(&LINES, Format::Raw, &[error.clone(), Logged::Ended(RunStatus::Failed)]);
    assert_eq!((&*raw, finished), ("error overloaded Overloaded\n", Some(Finished::Complete)));
    let not_last = [error.clone(), Logged::Frame("text 0 x".into()), Logged::Ended(RunStatus::Failed)];
    let (raw, _) = rest(&LINES, Format::Raw, &not_last);
    assert!(raw.ends_with("text 0 x\nerror upstream_error it is\noverloaded\n"), "{raw}");
    // A text about an error is none.
    let text = [Logged::Frame("text 0 an error".into()), Logged::Ended(RunStatus::Failed)];
    assert!(rest(&LINES, Format::Raw, &text).0.ends_with("overloaded\n"));
    // A run that was stopped has another ending than its error.
    let stopped = [error, Logged::Ended(RunStatus::Stopped)];
    assert!(rest(&LINES, Format::Raw, &stopped).0.ends_with("the run was stopped by alice\n"));
}

#[test]
fn text_breaks_off_after_a_bad_ending() {
    assert_eq!(
        rest(&IDS, Format::Text, &[Logged::Ended(RunStatus::Completed)]),
        (String::new(), Some(Finished::Complete))
    );
    for status in BAD {
        assert_eq!(rest(&IDS, Format::Text, &[Logged::Ended(*status)]), (String::new(), Some(Finished::Broken)));
    }
}

#[test]
fn events_say_the_ending_as_the_log_has_it() {
    let (events, finished) = rest(&IDS, Format::Events, &[Logged::Ended(RunStatus::Failed)]);
    let expected = concat!(
        "event: run.ended\ndata: {\"run\":\"r1\",\"status\":\"failed\",",
        "\"usage\":{\"input\":9,\"output\":12,\"source\":\"upstream\"},",
        "\"error\":{\"code\":\"upstream_error\",\"message\":\"it is\\noverloaded\"}}\nid: abcd-3\n\n"
    );
    assert_eq!((&*events, finished), (expected, Some(Finished::Complete)));
}

#[test]
fn the_ai_sdk_gets_an_error_after_its_blocks_are_ended() {
    for status in BAD.iter().filter(|status| **status != RunStatus::Stopped) {
        let (chunks, finished) = rest(&IDS, Format::AiSdk, &[Logged::Ended(*status)]);
        let error = "data: {\"type\":\"text-end\",\"id\":\"1\"}\n\ndata: {\"type\":\"error\",\"errorText\":\"";
        assert!(chunks.starts_with(error) && chunks.ends_with("\"}\n\ndata: [DONE]\nid: abcd-3\n\n"), "{chunks}");
        assert_eq!(finished, Some(Finished::Complete));
    }
}

/// What the AI SDK is told of a stop, with the metadata of its message.
fn aborted(metadata: &str) -> String {
    [
        r#"{"type":"text-end","id":"1"}"#,
        r#"{"type":"abort","reason":"the run was stopped by alice"}"#,
        r#"{"type":"finish-step"}"#,
        &format!(r#"{{"type":"finish","finishReason":"other","messageMetadata":{metadata}}}"#),
        "[DONE]\nid: abcd-3",
    ]
    .map(|data| format!("data: {data}\n\n"))
    .concat()
}

#[test]
fn the_ai_sdk_is_told_of_a_stop_as_its_own_servers_tell_it_and_keeps_the_ending_with_the_message() {
    let ending = r#"{"run":"r1","status":"stopped","by":"alice","usage":{"input":9,"output":12,"source":"upstream"}}"#;
    assert_eq!(rest(&IDS, Format::AiSdk, &[Logged::Ended(RunStatus::Stopped)]).0, aborted(ending));
}

#[test]
fn a_tool_call_that_was_cut_off_is_not_made_available() {
    let calls = [Logged::Frame("tool 0 a f\nargs 0 {}".into())];
    let (cut, _) = rest(&IDS, Format::AiSdk, &[&calls[..], &[Logged::Ended(RunStatus::Truncated)]].concat());
    assert!(!cut.contains("tool-input-available"), "{cut}");
    let (complete, _) = rest(&IDS, Format::AiSdk, &[&calls[..], &[Logged::Ended(RunStatus::Completed)]].concat());
    assert!(complete.contains("tool-input-available"), "{complete}");
}

#[test]
fn while_a_run_is_being_stopped_only_its_tokens_are_told() {
    let rest_of = |format| {
        let late = ["text 0 late\nusage 9 20"].map(|data| Logged::Frame(data.into()));
        let last = [&[Logged::Stopping], &late[..], &[Logged::Ended(RunStatus::Stopped)]].concat();
        rest(&IDS, format, &last)
    };
    let error = "event: error\ndata: error stopped the run was stopped by alice\nid: abcd-3\n\n";
    assert_eq!(rest_of(Format::Raw), (error.into(), Some(Finished::Complete)));
    assert_eq!(rest_of(Format::Text), (String::new(), Some(Finished::Broken)));
    let unknown = r#"{"run":"r1","status":"stopped","by":"alice","usage":{"input":null,"output":null,"source":"none"},"error":{"code":"stopped","message":"the run was stopped by alice"}}"#;
    assert_eq!(rest_of(Format::AiSdk), (aborted(unknown), Some(Finished::Complete)));
    let names: Vec<_> = seen(Format::Events, &rest_of(Format::Events).0).into_iter().map(|seen| seen.name).collect();
    assert_eq!(names, ["run.stopping", "usage", "run.ended"]);
}

#[test]
fn a_gap_is_told_in_every_format() {
    let told = |format, after, pushed: u64| {
        let mut encoder =
            AnswerEncoder::new(AnswerOptions { after, batch: Some(Duration::from_secs(1)), ..options(&IDS, format) });
        let (mut out, now) = (Vec::new(), Instant::now());
        for (at, event) in (1..=pushed).zip(run(&["text 0 a", "text 0 b"], RunStatus::Completed)) {
            give(&event, |event| encoder.push(id(at), event, now, &mut out));
        }
        encoder.gap(crate::hub::subscription::GapReason::Trimmed, now, &mut out);
        (String::from_utf8(out).expect("UTF-8"), encoder.finished())
    };
    let (events, finished) = told(Format::Events, Some(id(2)), 3);
    let expected = concat!(
        "event: delta\ndata: {\"text\":\"b\",\"choice\":0,\"block\":0}\nid: abcd-3\n\n",
        "event: hub.gap\ndata: {\"run\":\"r1\",\"after\":\"abcd-3\",\"reason\":\"trimmed\"}\n\n"
    );
    assert_eq!((&*events, finished), (expected, None), "the stream goes on");
    let first = "{\"event\":\"hub.gap\",\"data\":{\"run\":\"r1\",\"after\":null,\"reason\":\"trimmed\"}}\n";
    assert_eq!(told(Format::Ndjson, None, 0).0, first);
    assert_eq!(told(Format::Text, None, 3), ("ab".into(), Some(Finished::Broken)));
    let (raw, finished) = told(Format::Raw, None, 0);
    assert!(raw.starts_with("event: error\ndata: error gap ") && !raw.contains("id:"), "{raw}");
    assert_eq!(finished, Some(Finished::Complete));
    let (chunks, _) = told(Format::AiSdk, None, 0);
    assert!(chunks.starts_with("data: {\"type\":\"start\",") && chunks.contains("\"error\""), "{chunks}");
    let (chunks, _) = told(Format::AiSdk, Some(id(7)), 0);
    assert!(chunks.starts_with("data: {\"type\":\"error\","), "the client has the start: {chunks}");
}

#[test]
fn nothing_is_left_after_the_ending() {
    for format in [Format::Raw, Format::Events, Format::Ndjson, Format::Text, Format::AiSdk] {
        let events = run(&["text 0 a"], RunStatus::Completed);
        let (body, finished) = write(AnswerOptions { after: Some(id(3)), ..options(&IDS, format) }, &events, &[]);
        assert_eq!((&*body, finished), ("", Some(Finished::Complete)), "{format:?}");
        let twice = [events.clone(), events[2..].to_vec()].concat();
        let once = write(options(&IDS, format), &events, &[]);
        assert_eq!(write(options(&IDS, format), &twice, &[]), once, "{format:?}");
    }
}
