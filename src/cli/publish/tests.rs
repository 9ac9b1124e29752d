//! What `gapless publish` promises, against a hub whose every byte is written down.

use std::io::Write;

use clap::Parser;

use super::*;
use crate::cli::{
    Cli, Command,
    scripted::{Request, Script, Step, answer, hub, run, run_in_real_time, serve},
};

fn args(line: &[&str]) -> Args {
    let cli = Cli::try_parse_from(["gapless", "publish"].iter().chain(line)).expect("a command line");
    let Some(Command::Publish(args)) = cli.command else { panic!("not publish") };
    args
}

/// Publishes `input` to a hub that plays `scripts`: the outcome, what was printed, and what was asked.
fn publish(line: &[&str], input: &'static str, scripts: Vec<Script>) -> (Result<(), CliError>, String, Vec<Request>) {
    let args = args(line);
    let (mut out, mut outcome) = (Vec::new(), None);
    run(async {
        let (hub, requests) = hub(scripts);
        let result = if args.lines {
            lines::publish(&hub, &args, input::lines(input.as_bytes()), &mut out).await
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
const TWO: &str = "{\"topic\":\"t\",\"id\":\"abcd-2\"}\n";
const REFUSED: &str = "{\"error\":{\"status\":409,\"code\":\"topic-closed\",\"detail\":\"closed\"}}\n";

/// A hub that reads the request up to `until`, then answers `lines` and ends.
fn receipts(until: &'static str, lines: &[&str]) -> Script {
    Script::Serve { until, steps: vec![Step::Send(format!("{HEAD}{}", lines.concat()))] }
}

#[test]
fn an_event_is_a_body_as_it_is_and_its_receipt_a_line() {
    let line = ["a b/ü", "--event", "tick", "--retry", "500", "--close", "--key", "K1"];
    let body = Script::Serve { until: "hi\n", steps: vec![Step::Send(format!("{HEAD}{ONE}"))] };
    let (result, out, requests) = publish(&line, "hi\n", vec![body]);
    result.expect("published");
    assert_eq!(out, ONE);
    let request = &requests[0].text;
    let target = "POST /publish?topic=a+b%2F%C3%BC&event=tick&retry=500&close=true HTTP/1.1\r\n";
    assert!(request.starts_with(target) && request.ends_with("\r\n\r\nhi\n"), "{request}");
    assert!(request.contains("\r\nidempotency-key: K1\r\n"), "{request}");
}

#[test]
fn a_refusal_is_told_in_the_hubs_words() {
    let problem = r#"{"status":413,"code":"too-large","detail":"the event has 2 MiB; at most 1 MiB"}"#;
    let (result, out, _) = publish(&["t"], "", vec![answer("413 Payload Too Large", problem)]);
    assert_eq!(
        result.expect_err("refused").to_string(),
        "the hub refused: the event has 2 MiB; at most 1 MiB (413 too-large)"
    );
    assert_eq!(out, "");
    let (result, _, _) = publish(&["t"], "", vec![answer("503 Service Unavailable\r\nretry-after: 7", "")]);
    assert!(result.expect_err("refused").to_string().ends_with("; try again in 7 s"));
}

#[test]
fn a_hub_that_is_not_there_is_told_with_what_to_do() {
    let (result, _, _) = publish(&["t"], "", vec![Script::Refuse]);
    let told = result.expect_err("refused").to_string();
    assert!(told.contains("http://scripted") && told.contains("gapless serve"), "{told}");
}

#[test]
fn each_line_is_an_event_and_has_its_receipt() {
    let script = receipts("0\r\n\r\n", &[ONE, "\n", TWO]);
    let (result, out, requests) = publish(&["t", "--lines", "--event", "e"], "a \"b\"\r\n\n", vec![script]);
    result.expect("published");
    assert_eq!(out, [ONE, TWO].concat());
    let request = &requests[0].text;
    assert!(request.starts_with("POST /publish HTTP/1.1\r\n"), "{request}");
    for want in [r#"{"topic":"t","data":"a \"b\"","event":"e"}"#, r#"{"topic":"t","data":"","event":"e"}"#] {
        assert!(request.contains(want), "{want}: {request}");
    }
}

/// Tells of every receipt that is printed.
struct Telling(std::sync::mpsc::Sender<()>, Vec<u8>);
impl io::Write for Telling {
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
fn receipts_are_read_while_lines_are_still_to_come() {
    // stdin gives its second line only when the first one's receipt has been printed.
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let (told, printed) = std::sync::mpsc::channel();
    let typist = std::thread::spawn(move || {
        writer.write_all(b"first\n").expect("written");
        printed.recv_timeout(std::time::Duration::from_secs(20)).expect("a receipt while stdin is open");
        writer.write_all(b"second\n").expect("written");
    });
    let mut out = Telling(told, Vec::new());
    run_in_real_time(async {
        let steps = vec![Step::Send(format!("{HEAD}{ONE}")), Step::Read("0\r\n\r\n"), Step::Send(TWO.into())];
        let (hub, _) = hub([Script::Serve { until: "first\"}\n\r\n", steps }]);
        lines::publish(&hub, &args(&["t", "--lines"]), input::lines(reader), &mut out).await.expect("published");
    });
    typist.join().expect("both lines");
    assert_eq!(String::from_utf8(out.1).expect("UTF-8"), [ONE, TWO].concat());
}

#[test]
fn a_refused_line_is_counted_and_the_others_go_on() {
    let (result, out, _) = publish(&["t", "--lines"], "a\nb\n", vec![receipts("0\r\n\r\n", &[REFUSED, TWO])]);
    assert_eq!(result.expect_err("one refused").to_string(), "1 of 2 lines were refused");
    assert_eq!(out, TWO);
}

#[test]
fn a_hub_that_ends_early_is_told_with_the_line_to_go_on_from() {
    let (result, out, _) = publish(&["t", "--lines"], "a\nb\nc\n", vec![receipts("0\r\n\r\n", &[ONE])]);
    let told = result.expect_err("two are missing").to_string();
    assert!(told.contains("1 lines were answered") && told.contains("from line 2 on"), "{told}");
    assert_eq!(out, ONE);
}

#[test]
fn a_hub_that_falls_silent_is_given_up() {
    let steps = vec![Step::Send(format!("{HEAD}{ONE}")), Step::Hang];
    let (result, _, _) = publish(&["t", "--lines"], "a\nb\n", vec![Script::Serve { until: "0\r\n\r\n", steps }]);
    let told = result.expect_err("silence").to_string();
    assert!(told.contains("said nothing for 60 s"), "{told}");
}

#[test]
fn close_after_lines_closes_the_topic_when_all_are_durable() {
    let closed = || serve(vec![Step::Send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".into())]);
    let line = ["jobs/4 2?%", "--lines", "--close"];
    let (result, _, requests) = publish(&line, "a\n", vec![receipts("0\r\n\r\n", &[ONE]), closed()]);
    result.expect("published and closed");
    assert!(requests[1].text.starts_with("PUT /topics/jobs/4%202%3F%25 HTTP/1.1\r\n"), "{}", requests[1].text);
    let (result, _, requests) = publish(&line, "a\n", vec![receipts("0\r\n\r\n", &[REFUSED])]);
    assert!(result.is_err() && requests.len() == 1, "a refused line leaves the topic open");
}

#[test]
fn input_that_is_not_utf8_is_told() {
    let (mut lines, mut seen) = (input::lines(&b"ok\n\xff\nnever\n"[..]), Vec::new());
    while let Some(line) = lines.receiver.blocking_recv() {
        seen.push(line.map_err(|error| error.to_string()));
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen[1].as_ref().is_err_and(|error| error.contains("not UTF-8")) && !lines.progress.has_ended());
}
