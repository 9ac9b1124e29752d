//! Tests of `gapless publish` against a scripted hub.

use std::io::Write;

use clap::Parser;

use super::*;
use crate::cli::{
    Cli, Command,
    scripted::{Request, Script, ScriptStep, answer, hub, run, run_in_real_time, serve},
};

fn args(line: &[&str]) -> PublishArgs {
    let cli = Cli::try_parse_from(["gapless", "publish"].iter().chain(line)).expect("a command line");
    let Some(Command::Publish(args)) = cli.command else { panic!("not publish") };
    args
}

/// Publishes `input` to a hub that plays `scripts`. Returns the result, the output, and the requests.
fn publish(
    line: &[&str],
    input: impl Into<&'static [u8]>,
    scripts: Vec<Script>,
) -> (Result<(), CliError>, String, Vec<Request>) {
    let (args, input) = (args(line), input.into());
    let (mut out, mut outcome) = (Vec::new(), None);
    run(async {
        let (hub, requests) = hub(scripts);
        let result = if args.lines || args.ndjson {
            lines::publish(&hub, &args, InputLines::of(input).all_read(), None, &mut out).await
        } else {
            one(&hub, &args, input.into(), &mut out).await
        };
        outcome = Some((result, requests.take()));
    });
    let (result, requests) = outcome.expect("it ran");
    (result, String::from_utf8(out).expect("UTF-8"), requests)
}

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n\r\n";
const ONE: &str = "{\"topic\":\"t\",\"id\":\"abcd-1\"}\n";

/// A successful response with this body; the connection stays open.
fn good(body: &str) -> ScriptStep {
    ScriptStep::Send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
}

/// A refusal with this status, code and detail; the connection stays open.
fn no(status: u16, code: &str, detail: &str) -> ScriptStep {
    let body = serde_json::json!({"status": status, "code": code, "detail": detail}).to_string();
    ScriptStep::Send(format!("HTTP/1.1 {status} No\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
}

/// Receipts for events with these numbers.
fn receipts(numbers: &[u32]) -> ScriptStep {
    let receipts: Vec<String> = numbers.iter().map(|number| receipt(*number)).collect();
    good(&format!("{{\"events\":[{}]}}", receipts.join(",")))
}

fn receipt(number: u32) -> String {
    format!("{{\"topic\":\"t\",\"id\":\"abcd-{number}\"}}")
}

fn printed(numbers: &[u32]) -> String {
    numbers.iter().map(|number| receipt(*number) + "\n").collect()
}

/// A connection that sends one of `answers` after each batch.
fn batches(answers: Vec<ScriptStep>) -> Script {
    let mut steps = Vec::new();
    for (at, answer) in answers.into_iter().enumerate() {
        if at > 0 {
            steps.push(ScriptStep::Read("]"));
        }
        steps.push(answer);
    }
    Script::Serve { until: "]", steps }
}

/// The keys and the bodies that were sent.
fn sent(requests: &[Request]) -> Vec<(String, String)> {
    let heads = requests.iter().flat_map(|request| request.text.split("POST /publish").skip(1));
    let one = |text: &str| {
        let key = text.lines().find_map(|line| line.strip_prefix("idempotency-key: ")).unwrap_or_default();
        (key.to_owned(), text.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned())
    };
    heads.map(one).collect()
}

#[test]
fn an_event_is_sent_unchanged_and_its_receipt_printed() {
    let line = ["a b/ü", "--event", "tick", "--retry", "500", "--close", "--key", "K1"];
    let body = Script::Serve { until: "hi\n", steps: vec![ScriptStep::Send(format!("{HEAD}{ONE}"))] };
    let (result, out, requests) = publish(&line, &b"hi\n"[..], vec![body]);
    result.expect("published");
    assert_eq!(out, ONE);
    let request = &requests[0].text;
    let target = "POST /publish?topic=a+b%2F%C3%BC&event=tick&retry=500&close=true HTTP/1.1\r\n";
    assert!(request.starts_with(target) && request.ends_with("\r\n\r\nhi\n"), "{request}");
    assert!(request.contains("\r\nidempotency-key: K1\r\n"), "{request}");
}

#[test]
fn a_refusal_is_shown_with_the_hubs_detail() {
    let problem = r#"{"status":413,"code":"too-large","detail":"the event has 2 MiB; at most 1 MiB"}"#;
    let (result, out, _) = publish(&["t"], &b""[..], vec![answer("413 Payload Too Large", problem)]);
    assert_eq!(
        result.expect_err("refused").to_string(),
        "the hub refused: the event has 2 MiB; at most 1 MiB (413 too-large)"
    );
    assert_eq!(out, "");
    let (result, _, _) = publish(&["t"], &b""[..], vec![answer("503 Service Unavailable\r\nretry-after: 7", "")]);
    assert!(result.expect_err("refused").to_string().ends_with("; try again in 7 s"));
}

#[test]
fn an_unreachable_hub_is_reported_with_what_to_do() {
    let (result, _, _) = publish(&["t"], &b""[..], vec![Script::Refuse]);
    let error = result.expect_err("refused").to_string();
    assert!(error.contains("http://scripted") && error.contains("gapless serve"), "{error}");
}

#[test]
fn waiting_lines_are_one_batch_and_each_has_its_receipt() {
    let line = ["t", "--lines", "--event", "e", "--retry", "5"];
    let (result, out, requests) = publish(&line, &b"a \"b\"\r\n\n"[..], vec![batches(vec![receipts(&[1, 2])])]);
    result.expect("published");
    assert_eq!(out, printed(&[1, 2]));
    assert!(requests[0].text.starts_with("POST /publish?event=e&retry=5 HTTP/1.1\r\n"), "{}", requests[0].text);
    let sent = sent(&requests);
    assert_eq!(sent[0].1, r#"[{"topic":"t","data":"a \"b\""},{"topic":"t","data":""}]"#);
    assert!(sent[0].0.starts_with("gapless-"), "{sent:?}");
}

#[test]
fn lines_may_name_their_topics() {
    let input = br#"{"topic":"a","data":"x"}

{"topic":"b","id":"abcd-1","time":"2026-11-26T00:00:00Z","event":"message","data":"y"}
"#;
    let (result, out, requests) = publish(&["--ndjson"], &input[..], vec![batches(vec![receipts(&[1, 2])])]);
    result.expect("published");
    assert_eq!(out, printed(&[1, 2]));
    assert_eq!(sent(&requests)[0].1, r#"[{"topic":"a","data":"x"},{"topic":"b","data":"y","event":"message"}]"#);
}

/// Output that signals every flush.
struct ReceiptSignal(std::sync::mpsc::Sender<()>, Vec<u8>);
impl io::Write for ReceiptSignal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        let _done = self.0.send(());
        Ok(())
    }
}

#[test]
fn receipts_are_printed_while_stdin_is_open() {
    // stdin gives its second line only after the receipt of the first is printed.
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let (error, printing) = std::sync::mpsc::channel();
    let typist = std::thread::spawn(move || {
        writer.write_all(b"first\n").expect("written");
        printing.recv_timeout(std::time::Duration::from_secs(20)).expect("a receipt while stdin is open");
        writer.write_all(b"second\n").expect("written");
    });
    let mut out = ReceiptSignal(error, Vec::new());
    run_in_real_time(async {
        let (hub, requests) = hub([batches(vec![receipts(&[1]), receipts(&[2])])]);
        lines::publish(&hub, &args(&["t", "--lines"]), InputLines::of(reader), None, &mut out)
            .await
            .expect("published");
        let sent = sent(&requests.borrow());
        assert!(sent.len() == 2 && sent[0].0 != sent[1].0, "a key for each batch: {sent:?}");
    });
    typist.join().expect("both lines");
    assert_eq!(String::from_utf8(out.1).expect("UTF-8"), printed(&[1, 2]));
}

#[test]
fn a_batch_with_an_unknown_outcome_is_sent_again_with_the_same_key() {
    let scripts = vec![
        batches(vec![]),
        Script::Refuse,
        batches(vec![ScriptStep::Send("HTTP/1.1 200 OK\r\ncontent-le".into())]),
        batches(vec![ScriptStep::Hang]),
        batches(vec![no(503, "draining", "the hub is stopping")]),
        serve(vec![ScriptStep::Send("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n".into())]),
        batches(vec![receipts(&[1, 2])]),
    ];
    let (result, out, requests) = publish(&["t", "--lines"], &b"a\nb\n"[..], scripts);
    result.expect("published");
    assert_eq!(out, printed(&[1, 2]), "once");
    let sent = sent(&requests);
    assert!(sent.len() == 6 && sent.iter().all(|one| one.0 == sent[0].0), "{sent:?}");
    assert!(sent.iter().filter(|one| !one.1.is_empty()).all(|one| one.1 == sent[0].1), "{sent:?}");
}

#[test]
fn a_connection_that_was_closed_while_idle_is_reopened_at_once() {
    let big = "x".repeat(700_000);
    let input: &'static str = format!("{big}\n{big}\n").leak();
    let scripts = vec![batches(vec![receipts(&[1])]), batches(vec![receipts(&[2])])];
    let (result, out, requests) = publish(&["t", "--lines"], input.as_bytes(), scripts);
    result.expect("published");
    assert_eq!((out, requests[1].at), (printed(&[1, 2]), std::time::Duration::ZERO));
}

#[test]
fn a_full_or_limited_hub_is_retried_after_its_retry_after() {
    for (status, code) in [(429, "rate-limited"), (429, "over-capacity"), (507, "storage-full")] {
        let ScriptStep::Send(refusal) = no(status, code, "later") else { unreachable!() };
        let refusal = ScriptStep::Send(refusal.replacen("\r\n", "\r\nretry-after: 20\r\n", 1));
        let again = Script::Serve { until: "]", steps: vec![refusal, ScriptStep::Read("]"), receipts(&[1])] };
        let (result, out, requests) = publish(&["t", "--lines"], &b"a\n"[..], vec![again]);
        result.expect(code);
        assert_eq!((out, sent(&requests).len()), (printed(&[1]), 2));
    }
}

#[test]
fn a_line_that_is_not_utf8_is_refused_and_the_others_are_published() {
    let scripts = vec![batches(vec![receipts(&[1]), receipts(&[2, 3])])];
    let (result, out, _) = publish(&["t", "--lines"], &b"a\nb\xffc\nd\ne\n"[..], scripts);
    let error = result.expect_err("one is refused").to_string();
    assert_eq!(error, "1 of 4 lines were refused, line 2; all others are published");
    assert_eq!(out, printed(&[1, 2, 3]));
}

#[test]
fn a_refused_line_is_found_and_the_others_are_sent_again() {
    let answers = vec![no(413, "too-large", "[1]: the event has 2 MiB"), receipts(&[1]), receipts(&[2])];
    let (result, out, requests) = publish(&["t", "--lines"], &b"a\nb\nc\n"[..], vec![batches(answers)]);
    assert_eq!(result.expect_err("one").to_string(), "1 of 3 lines were refused, line 2; all others are published");
    assert_eq!(out, printed(&[1, 2]));
    let keys: std::collections::BTreeSet<_> = sent(&requests).into_iter().map(|one| one.0).collect();
    assert_eq!(keys.len(), 3, "another request has another key");
    // A line that the hub does not name is found by bisection.
    let closed = || no(409, "topic-closed", "topic b is closed");
    let answers = vec![closed(), receipts(&[1, 2]), closed(), receipts(&[3]), closed()];
    let lines = ["a", "a", "a", "b"].map(|topic| format!("{{\"topic\":\"{topic}\",\"data\":1}}\n")).concat();
    let lines: &'static str = lines.leak();
    let (result, out, _) = publish(&["--ndjson"], lines.as_bytes(), vec![batches(answers)]);
    assert_eq!(result.expect_err("one").to_string(), "1 of 4 lines were refused, line 4; all others are published");
    assert_eq!(out, printed(&[1, 2, 3]));
}

#[test]
fn a_problem_of_every_line_ends_the_command_with_an_exact_report() {
    for (status, code) in [(409, "topic-closed"), (401, "unauthorized"), (403, "forbidden"), (404, "not-found")] {
        let answers = vec![receipts(&[1]), no(status, code, "no")];
        let (result, out, _) = publish(&["t", "--lines"], &b"a\n\xff\nc\nd\n"[..], vec![batches(answers)]);
        let error = result.expect_err(code).to_string();
        let want = "; lines 1 to 2 are published, except the refused ones: line 2; from line 3 on nothing is published";
        assert!(error.contains(code) && error.ends_with(want), "{error}");
        assert_eq!(out, printed(&[1]));
    }
}

#[test]
fn a_batch_is_not_sent_again_when_its_key_may_be_forgotten() {
    let scripts = std::iter::once(batches(vec![])).chain((0..40).map(|_| Script::Refuse)).collect();
    let (result, out, requests) = publish(&["t", "--lines"], &b"a\nb\n"[..], scripts);
    let error = result.expect_err("no hub").to_string();
    let want =
        "no line is confirmed; lines 1 to 2 may have been published: check before you send them again; from line 3 on";
    assert!(error.contains(want) && out.is_empty(), "{error}");
    let last = requests.last().expect("tries").at;
    assert!(last > std::time::Duration::from_secs(400) && last < std::time::Duration::from_mins(10), "{last:?}");
}

#[test]
fn lines_end_when_the_first_connection_fails() {
    let (result, _, _) = publish(&["t", "--lines"], &b"a\n"[..], vec![Script::Refuse]);
    assert!(result.expect_err("nobody").to_string().contains("gapless serve"));
}

#[test]
fn a_response_without_the_right_receipts_is_not_from_a_hub() {
    for answer in [good("{}"), receipts(&[1]), good("<html>")] {
        let (result, out, _) = publish(&["t", "--lines"], &b"a\nb\n"[..], vec![batches(vec![answer])]);
        assert!(result.is_err_and(|error| error.to_string().contains("not a gapless hub")));
        assert_eq!(out, "");
    }
}

#[test]
fn close_after_lines_closes_the_topic_when_all_are_durable() {
    let line = ["jobs/4 2?%", "--lines", "--close"];
    let scripts = vec![
        Script::Serve {
            until: "]",
            steps: vec![receipts(&[1]), ScriptStep::Read("}"), no(503, "draining", "stopping")],
        },
        Script::Serve { until: "}", steps: vec![good("{}")] },
    ];
    let (result, _, requests) = publish(&line, &b"a\n"[..], scripts);
    result.expect("published and closed");
    for request in &requests {
        assert!(request.text.contains("PUT /topics/jobs/4%202%3F%25 HTTP/1.1\r\n"), "{}", request.text);
    }
    let (result, _, requests) = publish(&line, &b"\xff\n"[..], vec![]);
    assert!(result.is_err() && requests.is_empty(), "a refused line leaves the topic open");
}
