//! Tests of `gapless tail` against a scripted hub.

use std::{cell::RefCell, io, rc::Rc, time::Duration};

use super::{
    follow::Follower,
    print::{OutputFormat, Printer},
    state::StateFile,
};
use crate::cli::{
    CliError,
    client::tests::credential,
    output::Screen,
    scripted::{Request, STREAM, Script, ScriptStep, answer, hub, run, serve, stream},
};

/// Output that a test can read while it is written.
#[derive(Clone, Default)]
struct SharedBuffer(Rc<RefCell<Vec<u8>>>);

impl SharedBuffer {
    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).expect("UTF-8")
    }
}

impl io::Write for SharedBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct TailOutcome {
    result: Result<(), CliError>,
    out: String,
    notes: String,
    requests: Vec<Request>,
}

impl TailOutcome {
    /// The `Last-Event-ID` of each request.
    fn cursors(&self) -> Vec<Option<&str>> {
        fn cursor(request: &Request) -> Option<&str> {
            request.text.lines().find_map(|line| line.strip_prefix("last-event-id: "))
        }
        self.requests.iter().map(cursor).collect()
    }

    /// The `Authorization` of each request.
    fn tokens(&self) -> Vec<Option<&str>> {
        fn token(request: &Request) -> Option<&str> {
            request.text.lines().find_map(|line| line.strip_prefix("authorization: Bearer "))
        }
        self.requests.iter().map(token).collect()
    }

    /// Time between each request and the one before.
    fn waits(&self) -> Vec<Duration> {
        self.requests.windows(2).map(|pair| pair[1].at.saturating_sub(pair[0].at)).collect()
    }
}

fn tail(cursor: Option<&str>, count: Option<u64>, scripts: Vec<Script>) -> TailOutcome {
    tail_with(&[], cursor, count, scripts)
}

fn tail_with(line: &[&str], cursor: Option<&str>, count: Option<u64>, scripts: Vec<Script>) -> TailOutcome {
    tail_of(None, line, cursor, count, scripts)
}

fn tail_of(
    topics: Option<&[&str]>,
    line: &[&str],
    cursor: Option<&str>,
    count: Option<u64>,
    scripts: Vec<Script>,
) -> TailOutcome {
    let (out, notes) = (SharedBuffer::default(), SharedBuffer::default());
    let mut outcome = None;
    run(async {
        let (hub, requests) = hub(scripts);
        let hub = hub.with(credential(line));
        let printer =
            Printer::new(Screen::new(false, out.clone()), Screen::new(false, notes.clone()), OutputFormat::Data, count);
        let topics = topics.map(|topics| topics.iter().map(|&topic| topic.into()).collect());
        let follower = Follower::new(&hub, "/events?topic=t".into(), cursor.map(Into::into), printer);
        let result = follower.until_the_end_of(topics).follow().await;
        outcome = Some((result, requests.take()));
    });
    let (result, requests) = outcome.expect("it ran");
    TailOutcome { result, out: out.text(), notes: notes.text(), requests }
}

fn complete() -> Script {
    answer("204 No Content", "")
}

#[test]
fn it_resumes_after_the_last_id_until_the_stream_is_complete() {
    let outcome = tail(None, None, vec![stream("id: abcd-1\ndata: a\n\nid: abcd-2\ndata: b\n\n"), complete()]);
    assert!(outcome.result.is_ok());
    assert_eq!(outcome.out, "a\nb\n");
    assert_eq!(outcome.cursors(), [None, Some("abcd-2")]);
    assert!(outcome.requests[0].text.starts_with("GET /events?topic=t HTTP/1.1\r\n"), "{:?}", outcome.requests[0]);
    assert!(outcome.notes.is_empty(), "a stream that ends is no failure: {}", outcome.notes);
}

#[test]
fn an_id_without_data_moves_the_cursor_and_an_empty_one_resets_it() {
    let scripts = vec![stream("id: abcd-5\n\n"), stream("data: kept\n\n"), stream("id:\n\n"), complete()];
    let outcome = tail(Some("abcd-1"), None, scripts);
    assert_eq!(outcome.cursors(), [Some("abcd-1"), Some("abcd-5"), Some("abcd-5"), None]);
}

#[test]
fn the_hubs_retry_is_honoured_and_kept() {
    let scripts = vec![stream("data: a\n\n"), stream("retry: 250\n\n"), stream("data: b\n\n"), complete()];
    assert_eq!(tail(None, None, scripts).waits(), [3000, 250, 250].map(Duration::from_millis));
}

#[test]
fn an_unreachable_hub_is_retried_with_growing_delays() {
    let away = || (0..8).map(|_| Script::Refuse);
    let scripts = std::iter::once(stream("retry: 1000\n\nid: abcd-1\ndata: a\n\n")).chain(away());
    let outcome = tail(None, None, scripts.chain([stream("data: b\n\n"), Script::Refuse, complete()]).collect());
    let waits = outcome.waits();
    let bounds = [1, 1, 2, 4, 8, 16, 32, 60, 60, 1, 1].map(Duration::from_secs);
    for (wait, bound) in waits.iter().zip(bounds) {
        assert!((bound..=bound * 5 / 4).contains(wait), "{waits:?}");
    }
    assert_eq!(waits.len(), bounds.len());
    assert_eq!((&*outcome.out, outcome.notes.lines().count()), ("a\nb\n", 9));
    let taken = outcome.requests.iter().filter(|request| !request.text.is_empty()).count();
    let cursors: Vec<_> = outcome.cursors().into_iter().flatten().collect();
    assert_eq!((taken, &*cursors), (3, &["abcd-1"; 2][..]), "each connection after the first resumes");
}

#[test]
fn a_connection_that_breaks_before_its_response_is_retried() {
    let outcome = tail(None, None, vec![serve(vec![]), serve(vec![ScriptStep::Send("HTTP/1.1 2".into())]), complete()]);
    assert!(outcome.result.is_ok());
    assert_eq!(outcome.notes.matches("trying again in").count(), 2, "{}", outcome.notes);
}

#[test]
fn an_incomplete_event_is_dropped_with_its_id() {
    let scripts =
        vec![stream("id: abcd-1\ndata: a\n\nid: abcd-2\ndata: ha"), stream("id: abcd-2\ndata: half\n\n"), complete()];
    let outcome = tail(None, None, scripts);
    assert_eq!((&*outcome.out, &*outcome.cursors()), ("a\nhalf\n", &[None, Some("abcd-1"), Some("abcd-2")][..]));
}

#[test]
fn an_event_may_come_in_any_pieces() {
    let text = "id: abcd-1\r\nevent: e\r\ndata: a\r\ndata: \u{fc}\r\n\r\ndata: b\n\n";
    let letters = text.char_indices().flat_map(|(at, letter)| {
        [ScriptStep::Send(text[at..at + letter.len_utf8()].into()), ScriptStep::Pause(Duration::from_millis(1))]
    });
    let head = ScriptStep::Send(STREAM.into());
    let outcome = tail(None, None, vec![serve(std::iter::once(head).chain(letters).collect()), complete()]);
    assert_eq!(outcome.out, "a\n\u{fc}\nb\n");
}

#[test]
fn a_silent_connection_is_closed_and_keepalives_keep_it_open() {
    let pause = || ScriptStep::Pause(Duration::from_secs(44));
    let send = |text: &str| ScriptStep::Send(text.into());
    let steps = vec![
        send(STREAM),
        send("id: abcd-1\ndata: a\n\n"),
        pause(),
        send(":\n\n"),
        pause(),
        send(":\n\n"),
        ScriptStep::Hang,
    ];
    let outcome = tail(None, None, vec![serve(steps), complete()]);
    assert_eq!(outcome.waits(), [Duration::from_secs(44 + 44 + 45 + 3)]);
    assert_eq!(outcome.cursors()[1], Some("abcd-1"));
    assert!(outcome.notes.contains("nothing was received for 45 s"), "{}", outcome.notes);
}

/// A stream with this keepalive interval in its head.
fn kept_alive(seconds: &str, steps: Vec<ScriptStep>) -> Script {
    let head = STREAM.replace("\r\n\r\n", &format!("\r\nstream-keepalive: {seconds}\r\n\r\n"));
    serve(std::iter::once(ScriptStep::Send(head)).chain(steps).collect())
}

#[test]
fn a_connection_is_closed_when_three_keepalives_are_missing() {
    for (seconds, silence) in [("60", 180), ("2", 6), ("600", 1800), ("99999999999", 1800), ("0", 45), ("junk", 45)] {
        let outcome = tail(None, None, vec![kept_alive(seconds, vec![ScriptStep::Hang]), complete()]);
        assert_eq!(outcome.waits(), [Duration::from_secs(silence + 3)], "{seconds}");
        assert!(outcome.notes.contains(&format!("nothing was received for {silence} s")), "{}", outcome.notes);
    }
}

#[test]
fn without_a_keepalive_interval_the_silence_timeout_doubles() {
    let silent = || serve(vec![ScriptStep::Send(STREAM.into()), ScriptStep::Hang]);
    let scripts = (0..7).map(|_| silent()).chain([complete()]).collect();
    let waits = [45, 90, 180, 360, 720, 1440, 1800].map(|silence| Duration::from_secs(silence + 3));
    assert_eq!(tail(None, None, scripts).waits(), waits);
}

#[test]
fn the_initial_position_is_kept_and_not_printed() {
    let position = "retry: 3000\nevent: hub.cursor\nid: abcd-7\ndata: {\"id\":\"abcd-7\"}\n\n:\n";
    let alive = "event: hub.keepalive\ndata: {}\n\n";
    for text in [position.to_owned(), format!("{position}{alive}:\nretry: 3000\n")] {
        let outcome = tail(None, Some(9), vec![stream(&text), stream(ALIVE), complete()]);
        assert_eq!(outcome.cursors(), [None, Some("abcd-7"), Some("abcd-7")]);
        assert_eq!((&*outcome.out, &*outcome.notes), ("", ""));
    }
}

#[test]
fn retry_needs_no_blank_line_and_is_bounded() {
    for (retry, wait) in [("250", 250), ("600000", 600_000), ("1000000000", 600_000), ("18446744073709551615", 600_000)]
    {
        let outcome = tail(None, None, vec![stream(&format!("retry: {retry}\n")), complete()]);
        assert_eq!(outcome.waits(), [Duration::from_millis(wait)], "{retry}");
    }
}

#[test]
fn errors_of_a_proxy_are_retried() {
    for status in ["502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout", "429 Too Many Requests"] {
        let outcome = tail(None, None, vec![answer(status, "<html>"), stream("data: a\n\n"), complete()]);
        assert!(outcome.result.is_ok() && outcome.out == "a\n", "{status}: {}", outcome.notes);
        assert!(outcome.notes.contains("trying again"), "{}", outcome.notes);
    }
    let asked = |header| vec![answer(&format!("503 Later\r\nretry-after: {header}"), ""), complete()];
    for (header, wait) in [("100", 100), ("99999999", 600), ("0", 3), ("Thu, 26 Nov 2020 09:00:00 GMT", 3)] {
        let outcome = tail(None, None, asked(header));
        assert!((wait..=wait * 5 / 4).contains(&outcome.waits()[0].as_secs()), "{header}: {:?}", outcome.waits());
        let message = outcome.notes.trim_end();
        assert_eq!(message.matches("again in").count(), 1, "one number: {message}");
        assert!(wait == 3 || message.ends_with(&format!("; trying again in {wait}.0 s")), "{message}");
    }
}

#[test]
fn it_ends_with_the_last_of_its_topics_without_another_request() {
    let end = |topic: &str| {
        format!("event: hub.end\ndata: {{\"topic\":\"{topic}\",\"reason\":\"closed\",\"last_id\":null}}\n\n")
    };
    let ended = stream(&format!("data: a\n\n{}{}", end("t"), end("u")));
    let outcome = tail_of(Some(&["t", "u"]), &[], None, None, vec![ended]);
    assert!(outcome.result.is_ok());
    assert_eq!((&*outcome.out, &*outcome.notes), ("a\n", "gapless: t was closed\ngapless: u was closed\n"));
    // One of two topics, a reopened topic, and topics of a pattern do not end it.
    for (topics, text) in
        [(Some(&["t", "u"][..]), end("t")), (Some(&["t"][..]), end("t") + "data: again\n\n"), (None, end("t"))]
    {
        let outcome = tail_of(topics, &[], None, None, vec![stream(&text), complete()]);
        assert_eq!(outcome.requests.len(), 2, "{text}");
    }
}

#[test]
fn a_stream_that_ends_directly_after_its_head_is_asked_for_with_growing_delays() {
    let head = "retry: 1000\nevent: hub.cursor\nid: abcd-1\ndata: {}\n\n";
    let broken = || {
        let text = STREAM.replace("\r\n\r\n", "\r\ncontent-length: 9999\r\n\r\n");
        serve(vec![ScriptStep::Send(format!("{text}{head}"))])
    };
    let outcome = tail(None, None, vec![broken(), broken(), broken(), stream(""), complete()]);
    for (wait, least) in outcome.waits().iter().zip([1, 2, 4, 8].map(Duration::from_secs)) {
        assert!((least..=least * 5 / 4).contains(wait), "{:?}", outcome.waits());
    }
    assert!(outcome.notes.contains("ended before anything came"), "{}", outcome.notes);
}

#[test]
fn a_response_that_never_comes_has_a_timeout() {
    let outcome = tail(None, None, vec![serve(vec![ScriptStep::Hang]), complete()]);
    assert!(outcome.result.is_ok() && outcome.waits()[0] >= Duration::from_secs(48), "{:?}", outcome.waits());
}

#[test]
fn a_refusal_ends_it_with_the_hubs_detail() {
    let problem = r#"{"title":"x","status":400,"detail":"the topic is empty","code":"topic-invalid"}"#;
    for (status, body, want) in [
        ("400 Bad Request", problem, "the hub refused: the topic is empty (400 topic-invalid)"),
        ("500 Internal Server Error", "", "the hub refused: internal server error (500)"),
        ("301 Moved Permanently\r\nlocation: http://there", "", "it is at http://there"),
    ] {
        let outcome = tail(None, None, vec![answer(status, body)]);
        let error = outcome.result.expect_err(status);
        assert!(error.to_string().contains(want), "{error}");
        assert_eq!(error.exit_code(), 1);
    }
}

#[test]
fn another_content_type_ends_it() {
    let page = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 0\r\n\r\n";
    let outcome = tail(None, None, vec![serve(vec![ScriptStep::Send(page.into())])]);
    assert!(matches!(outcome.result, Err(CliError::NotAHub(_))));
}

#[test]
fn it_stops_after_count_events() {
    let steps = vec![ScriptStep::Send(format!("{STREAM}data: a\n\ndata: b\n\ndata: c\n\n")), ScriptStep::Hang];
    let outcome = tail(None, Some(2), vec![serve(steps)]);
    assert!(outcome.result.is_ok());
    assert_eq!(outcome.out, "a\nb\n");
}

#[test]
fn a_gap_is_reported_and_does_not_move_the_cursor() {
    let gap = r#"event: hub.gap
data: {"topic":"t","after":"abcd-1","resumes_at":"abcd-5","reason":"trimmed"}"#;
    let outcome = tail(Some("abcd-1"), None, vec![stream(&format!("{gap}\n\n")), complete()]);
    assert!(outcome.notes.contains("warning: gap"), "{}", outcome.notes);
    assert_eq!((&*outcome.out, outcome.cursors()[1]), ("", Some("abcd-1")));
}

#[test]
fn a_closed_stdout_ends_it_without_a_message() {
    struct Closed;
    impl io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    run(async {
        let (hub, _) = hub([stream("data: a\n\n")]);
        let printer =
            Printer::new(Screen::new(false, Closed), Screen::new(false, io::sink()), OutputFormat::Data, None);
        let error = Follower::new(&hub, "/events".into(), None, printer).follow().await.expect_err("closed");
        assert_eq!(error.exit_code(), 0);
    });
}

/// A keepalive: a stream that ends before anything came is a failure.
const ALIVE: &str = ":\n\n";

/// A token in a file that the test can replace.
struct TokenFile(tempfile::TempDir);

impl TokenFile {
    fn new() -> Self {
        let file = Self(tempfile::tempdir().expect("a directory"));
        std::fs::write(file.path(), "first\n").expect("written");
        file
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("token")
    }

    fn becomes(&self, token: &'static str) -> ScriptStep {
        ScriptStep::Write(self.path(), token)
    }

    fn tail(&self, scripts: Vec<Script>) -> TailOutcome {
        tail_with(&["--token-file", self.path().to_str().expect("UTF-8")], None, None, scripts)
    }
}

/// A connection that runs `before` and then refuses the token.
fn unauthorized(before: Vec<ScriptStep>) -> Script {
    const BODY: &str = r#"{"status":401,"code":"unauthorized","detail":"the token has expired at noon"}"#;
    let answer = format!("HTTP/1.1 401 Unauthorized\r\ncontent-length: {}\r\n\r\n{BODY}", BODY.len());
    serve(before.into_iter().chain([ScriptStep::Send(answer)]).collect())
}

#[test]
fn every_connection_sends_the_token_that_is_in_the_file() {
    let file = TokenFile::new();
    let head = || ScriptStep::Send(format!("{STREAM}{ALIVE}"));
    let outcome = file.tail(vec![serve(vec![head(), file.becomes("second")]), stream(ALIVE), complete()]);
    assert!(outcome.result.is_ok() && outcome.notes.is_empty(), "{}", outcome.notes);
    assert_eq!(outcome.tokens(), [Some("first"), Some("second"), Some("second")]);
    assert!(outcome.requests.iter().all(|request| request.text.matches("first").count() < 2), "in the header alone");
}

#[test]
fn a_refused_token_ends_it_with_the_reason_and_what_to_do() {
    for status in ["401 Unauthorized", "403 Forbidden"] {
        let outcome = tail_with(&["--token", "secret"], None, None, vec![answer(status, r#"{"detail":"expired"}"#)]);
        let error = outcome.result.expect_err(status);
        let message = error.to_string();
        assert!(message.contains("expired") && message.contains("gapless token --explain -"), "{message}");
        assert!(!message.contains("secret") && !outcome.notes.contains("secret"), "{message}");
        assert_eq!(error.exit_code(), 1);
    }
}

#[test]
fn a_token_that_was_replaced_meanwhile_is_tried_once_at_once() {
    let file = TokenFile::new();
    let replaced = |token| unauthorized(vec![file.becomes(token)]);
    let outcome = file.tail(vec![replaced("second"), stream(ALIVE), replaced("third"), replaced("fourth")]);
    let message = outcome.result.as_ref().expect_err("refused twice").to_string();
    assert!(message.contains("expired at noon"), "{message}");
    assert_eq!(outcome.tokens(), ["first", "second", "second", "third"].map(Some));
    assert_eq!(outcome.waits(), [0, 3, 0].map(Duration::from_secs));
}

#[test]
fn a_missing_token_file_is_retried() {
    let file = TokenFile::new();
    let path = file.path();
    let scripts = vec![serve(vec![ScriptStep::Send(STREAM.into()), file.becomes("")]), complete()];
    let notes = SharedBuffer::default();
    run(async {
        let (hub, _) = hub(scripts);
        let hub = hub.with(credential(&["--token-file", path.to_str().expect("UTF-8")]));
        let printer = Printer::new(
            Screen::new(false, SharedBuffer::default()),
            Screen::new(false, notes.clone()),
            OutputFormat::Data,
            None,
        );
        tokio::task::spawn_local(async move {
            tokio::time::sleep(Duration::from_secs(5)).await;
            std::fs::write(path, "back").expect("the test's own");
        });
        Follower::new(&hub, "/events?topic=t".into(), None, printer).follow().await.expect("it went on");
    });
    assert!(notes.text().contains("cannot be read") && notes.text().contains("trying again"), "{}", notes.text());
}

#[test]
fn an_untrusted_hub_ends_it_unless_it_was_trusted_before() {
    let outcome = tail(None, None, vec![Script::Distrust]);
    assert!(outcome.result.expect_err("never trusted").to_string().contains("an unknown issuer"));
    let outcome = tail(None, None, vec![stream(""), Script::Distrust, complete()]);
    assert!(outcome.result.is_ok() && outcome.notes.contains("trying again"), "{}", outcome.notes);
}

/// Follows with the state file at `path`; its position afterwards.
fn tail_with_state(path: &std::path::Path, count: Option<u64>, scripts: Vec<Script>) -> (TailOutcome, Option<String>) {
    let open = || StateFile::open(path, &["t".into()], io::stdin()).expect("usable");
    let (out, notes) = (SharedBuffer::default(), SharedBuffer::default());
    let mut outcome = None;
    run(async {
        let (hub, requests) = hub(scripts);
        let screens = (Screen::new(false, out.clone()), Screen::new(false, notes.clone()));
        let printer = Printer::new(screens.0, screens.1, OutputFormat::Data, count);
        let follower = Follower::new(&hub, "/events?topic=t".into(), Some("abcd-1".into()), printer);
        let mut follower = follower.keeping(Some(open()));
        let result = follower.follow().await;
        follower.save().expect("saved");
        outcome = Some((result, requests.take()));
    });
    let (result, requests) = outcome.expect("it ran");
    let position = open().position().map(Into::into);
    (TailOutcome { result, out: out.text(), notes: notes.text(), requests }, position)
}

#[test]
fn a_state_has_the_last_printed_id_and_the_next_start_continues_there() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("state");
    let events = |numbers: std::ops::RangeInclusive<u32>| {
        let events: Vec<String> = numbers.map(|number| format!("id: abcd-{number}\ndata: {number}\n\n")).collect();
        stream(&events.concat())
    };
    // Events after the last one that --count allows are not printed, and do not count.
    let (outcome, position) = tail_with_state(&path, Some(2), vec![events(2..=5)]);
    assert_eq!((&*outcome.out, position.as_deref()), ("2\n3\n", Some("abcd-3")));
    assert_eq!(outcome.cursors(), [Some("abcd-1")], "without a state it starts as asked");
    let (outcome, position) = tail_with_state(&path, None, vec![events(4..=5), complete()]);
    assert_eq!((&*outcome.out, position.as_deref()), ("4\n5\n", Some("abcd-5")));
    assert_eq!(outcome.cursors(), [Some("abcd-3"), Some("abcd-5")], "the state comes first");
}

#[test]
fn a_state_is_written_while_events_arrive_and_while_none_does() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("state");
    let at = |number: u32| ScriptStep::Send(format!("id: abcd-{number}\ndata: {number}\n\n"));
    let copy = |to: &str| ScriptStep::Copy(path.clone(), directory.path().join(to));
    let steps = vec![
        ScriptStep::Send(STREAM.into()),
        at(2),
        ScriptStep::Pause(Duration::from_millis(10)),
        copy("first"),
        at(3),
        ScriptStep::Pause(Duration::from_millis(100)),
        copy("early"),
        ScriptStep::Pause(Duration::from_millis(200)),
        copy("due"),
    ];
    tail_with_state(&path, None, vec![serve(steps), complete()]);
    let has = |name: &str| std::fs::read_to_string(directory.path().join(name)).expect("copied");
    assert!(has("first").contains("\"abcd-2\""), "at once: {}", has("first"));
    assert!(has("early").contains("\"abcd-2\""), "not before it is due: {}", has("early"));
    assert!(has("due").contains("\"abcd-3\""), "without another event: {}", has("due"));
}

#[test]
fn an_event_that_cannot_be_printed_does_not_move_the_state() {
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("state");
    tail_with_state(&path, Some(1), vec![stream("id: abcd-2\ndata: a\n\n")]);
    run(async {
        let (hub, _) = hub([stream("id: abcd-3\ndata: b\n\n")]);
        let printer = Printer::new(Screen::new(false, Full), Screen::new(false, io::sink()), OutputFormat::Data, None);
        let state = StateFile::open(&path, &["t".into()], io::stdin()).expect("usable");
        let mut follower = Follower::new(&hub, "/events".into(), None, printer).keeping(Some(state));
        follower.follow().await.expect_err("full");
        follower.save().expect("nothing new");
    });
    let state = StateFile::open(&path, &["t".into()], io::stdin()).expect("usable");
    assert_eq!(state.position(), Some("abcd-2"));
}
