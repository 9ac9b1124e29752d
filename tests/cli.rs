//! The real binary: exit codes, its client commands over real sockets, and pipes that close.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    process::{Child, Command, Output, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// A bound on every wait, far above what it takes, so that a hang fails the test.
const PATIENCE: Duration = Duration::from_secs(20);

fn gapless(args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_gapless"))
        .args(args)
        .env_remove("RUST_LOG")
        .env_remove("GAPLESS_TOKEN")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts")
}

/// The output of a process, which is killed when it takes too long.
fn outcome(mut child: Child) -> Output {
    let started = Instant::now();
    while child.try_wait().expect("a child").is_none() {
        if started.elapsed() > PATIENCE {
            child.kill().expect("our own child");
            panic!("it hangs: {:?}", child.wait_with_output());
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().expect("its output")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// A fake hub that answers each connection with the next of `answers`; returns the requests' heads.
fn hub(answers: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let serving = thread::spawn(move || answers.iter().map(|answer| serve(&listener, answer)).collect());
    (url, serving)
}

fn serve(listener: &TcpListener, answer: &str) -> String {
    let (mut stream, _) = listener.accept().expect("a client");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let head = read_head(&stream);
    // A client may stop before the response ends. What it still sends is read, because closing would otherwise reset the
    // connection and could discard the response.
    let _sent = stream.write_all(answer.as_bytes()).and_then(|()| stream.shutdown(Shutdown::Write));
    let _rest = std::io::copy(&mut stream, &mut std::io::sink());
    head
}

fn read_head(stream: &TcpStream) -> String {
    let lines = BufReader::new(stream).lines().map(|line| line.expect("a request"));
    lines.take_while(|line| !line.is_empty()).map(|line| line + "\n").collect()
}

fn stream(events: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nretry: 100\n\n{events}")
}

#[test]
fn a_wrong_configuration_is_exit_code_78_and_names_every_mistake() {
    let output = outcome(gapless(&["serve", "--listen", "0.0.0.0:0", "--shards", "x", "--config", "/no/such/file"]));
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert!(told.contains("--open") && told.contains("--shards") && told.contains("/no/such/file"), "{told}");
}

/// An issuer with a secret, as a flag.
const ISSUERS: &str =
    "[{ issuer = \"me\", audience = \"hub\", algorithms = [\"HS256\"], key = \"0123456789abcdef0123456789abcdef\" }]";

#[test]
fn a_token_is_made_and_explained_by_the_same_configuration() {
    let made = outcome(gapless(&["token", "--access-issuers", ISSUERS, "--publish", "jobs/*", "--ttl", "10m"]));
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let token = text(&made.stdout);
    let explain = |to: &str| {
        let line = ["token", "--access-issuers", ISSUERS, "--explain", token.trim(), "--topic", "jobs/42", "--to", to];
        let output = outcome(gapless(&line));
        (output.status.code(), text(&output.stdout))
    };
    let (code, told) = explain("publish");
    assert!(
        code == Some(0) && told.starts_with("valid\n") && told.contains("may publish to jobs/42: by jobs/*"),
        "{told}"
    );
    let (code, told) = explain("subscribe");
    assert!(code == Some(1) && told.contains("may not subscribe to jobs/42: nothing is granted"), "{told}");
    let nobody = outcome(gapless(&["token", "--publish", "jobs/*"]));
    assert!(nobody.status.code() == Some(1) && text(&nobody.stderr).contains("[[access.issuers]]"));
}

#[test]
fn a_key_that_cannot_be_read_is_exit_code_78_with_every_other_mistake() {
    let issuers = ISSUERS.replace("key = \"0123456789abcdef0123456789abcdef\"", "key_file = \"/no/such/key\"");
    for command in ["serve", "check", "token"] {
        let output = outcome(gapless(&[command, "--access-issuers", &issuers, "--shards", "x"]));
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{told}");
        assert!(told.contains("/no/such/key cannot be read") && told.contains("--shards"), "{told}");
    }
}

#[test]
fn a_provider_without_its_key_is_exit_code_78_and_a_key_is_never_printed() {
    let directory = tempfile::tempdir().expect("a directory");
    let run = |command: &str, key: Option<&str>| {
        let mut process = Command::new(env!("CARGO_BIN_EXE_gapless"));
        process.args([command, "--relay", "openai,ollama"]).current_dir(&directory).env_remove("OPENAI_API_KEY");
        process.envs(key.map(|key| ("OPENAI_API_KEY", key))).stdout(Stdio::piped()).stderr(Stdio::piped());
        outcome(process.spawn().expect("the binary starts"))
    };
    for command in ["serve", "check"] {
        let output = run(command, None);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{told}");
        assert!(
            told.contains("relay.providers.openai: the key is missing: set the environment variable OPENAI_API_KEY"),
            "{told}"
        );
    }
    let output = run("check", Some("sk-hunter2"));
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(told.contains("dialects = \"openai,ollama\"") && !told.contains("hunter2"), "{told}");
    assert!(!text(&run("token", None).stderr).contains("OPENAI_API_KEY"), "a token needs no provider");
}

#[test]
fn a_token_is_granted_the_relay_by_its_own_flag() {
    let made = outcome(gapless(&[
        "token",
        "--access-issuers",
        ISSUERS,
        "--relay",
        "openai/gpt-4*",
        "--relay-dialects",
        "ollama",
    ]));
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let explained = outcome(gapless(&["token", "--access-issuers", ISSUERS, "--explain", text(&made.stdout).trim()]));
    assert!(text(&explained.stdout).contains("relay     openai/gpt-4*\n"), "{}", text(&explained.stdout));
    let fixed = outcome(gapless(&["token", "--static", "--name", "ci", "--relay", "ollama", "--relay", "openai/o*"]));
    assert!(text(&fixed.stdout).contains("relay = [\"ollama\", \"openai/o*\"]"), "{}", text(&fixed.stdout));
}

#[test]
fn check_prints_what_check_accepts() {
    let output = outcome(gapless(&["check", "--stream-keepalive", "20s"]));
    assert_eq!(output.status.code(), Some(0));
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(&output.stdout).expect("written");
    let again = outcome(gapless(&["check", "--config", &file.path().display().to_string()]));
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
    assert!(text(&again.stdout).contains("keepalive = \"20s\""));
}

#[test]
fn a_port_in_use_is_told_in_plain_words() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data").display().to_string();
    let output = outcome(gapless(&["--listen", &address, "--data", &data]));
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains(&address), "{}", text(&output.stderr));
}

#[test]
fn tail_resumes_over_a_real_socket_and_ends_when_nothing_more_will_come() {
    let (url, hub) = hub(vec![
        stream("id: abcd-1\ndata: a\n\nid: abcd-2\ndata: lost"),
        stream("id: abcd-2\ndata: b\n\n"),
        "HTTP/1.1 204 No Content\r\n\r\n".into(),
    ]);
    let output = outcome(gapless(&["tail", "t", "--from", "earliest", "--url", &url]));
    assert_eq!((output.status.code(), &*text(&output.stdout)), (Some(0), "a\nb\n"));
    let requests = hub.join().expect("three connections");
    assert!(requests[0].starts_with("GET /events?topic=t&from=earliest HTTP/1.1\n"), "{}", requests[0]);
    assert!(requests[1].contains("last-event-id: abcd-1\n"), "{}", requests[1]);
    assert!(requests[2].contains("last-event-id: abcd-2\n"), "{}", requests[2]);
}

#[test]
fn several_topics_and_patterns_are_told_apart() {
    let (url, hub) = hub(vec![stream("data: {\"topic\":\"a/1\",\"data\":\"x\"}\n\n")]);
    let output = outcome(gapless(&["tail", "a/*", "b", "--count", "1", "--url", &url]));
    assert_eq!((output.status.code(), &*text(&output.stdout)), (Some(0), "a/1: x\n"));
    let requests = hub.join().expect("a connection");
    assert!(requests[0].starts_with("GET /events?topic=a%2F*&topic=b&format=json HTTP/1.1\n"), "{}", requests[0]);
}

#[test]
fn a_refusal_is_exit_code_1_with_the_hubs_words() {
    let body = r#"{"status":404,"code":"unknown","detail":"no such thing"}"#;
    let answer = format!("HTTP/1.1 404 Not Found\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    for command in [&["tail", "t"][..], &["publish", "t", "data"]] {
        let (url, _hub) = hub(vec![answer.clone()]);
        let output = outcome(gapless(&[command, &["--url", &url]].concat()));
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(text(&output.stderr), "gapless: the hub refused: no such thing (404 unknown)\n");
    }
}

/// A process whose environment holds a token.
fn with_token(args: &[&str]) -> Output {
    let command = Command::new(env!("CARGO_BIN_EXE_gapless")).args(args).env("GAPLESS_TOKEN", "secret").output();
    command.expect("the binary starts")
}

#[test]
fn the_environments_token_goes_into_the_header_and_is_never_shown() {
    let refusal = "HTTP/1.1 403 Forbidden\r\ncontent-length: 23\r\n\r\n{\"detail\":\"not yours\"}\n";
    for command in [&["tail", "t"][..], &["publish", "t", "data"], &["bench", "--seconds", "1", "--subscribers", "1"]] {
        // A bench deletes its topics at the end.
        let answers = if command[0] == "bench" { 2 } else { 1 };
        let (url, hub) = hub(vec![refusal.into(); answers]);
        let output = with_token(&[command, &["--url", &url]].concat());
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("gapless token --explain -") && !told.contains("secret"), "{told}");
        assert!(told.contains("not yours") && !told.contains("content-length"), "the reason, and not the head: {told}");
        for request in hub.join().expect("connections") {
            let (first, rest) = request.split_once('\n').expect("a request");
            assert!(
                rest.to_lowercase().contains("authorization: bearer secret\n") && !first.contains("secret"),
                "{request}"
            );
        }
        let help = text(&with_token(&[command[0], "--help"]).stdout);
        assert!(help.contains("GAPLESS_TOKEN") && !help.contains("secret"), "{help}");
    }
}

#[test]
fn a_bench_over_tls_is_told_where_else_to_go() {
    let output = outcome(gapless(&["bench", "--url", "https://127.0.0.1:1"]));
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(told.contains("gapless serve --listen") && !told.contains("the hub's plain port"), "{told}");
}

#[test]
fn a_pipe_that_closes_ends_it_quietly() {
    let (url, _hub) = hub(vec![stream(&"data: x\n\n".repeat(100_000))]);
    for arguments in [&["tail", "t", "--url", &url][..], &["check"]] {
        let mut child = gapless(arguments);
        let mut byte = [0];
        child.stdout.take().expect("piped").read_exact(&mut byte).expect("some output");
        let output = outcome(child);
        assert_eq!((output.status.code(), &*text(&output.stderr)), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn a_reader_that_has_enough_ends_tail_while_the_topic_is_silent() {
    let (url, _hub) = hub_that_goes_on(stream("data: x\n\n"));
    let mut child = gapless(&["tail", "t", "--url", &url]);
    let mut line = [0; 2];
    child.stdout.take().expect("piped").read_exact(&mut line).expect("an event");
    let output = outcome(child);
    assert_eq!((output.status.code(), &*text(&output.stderr)), (Some(0), ""));
}

/// A fake hub that sends one response and keeps the connection open until the test drops it.
fn hub_that_goes_on(answer: String) -> (String, JoinHandle<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let serving = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        read_head(&stream);
        stream.write_all(answer.as_bytes()).expect("it reads");
        stream
    });
    (url, serving)
}

#[test]
fn an_invalid_request_is_reported_at_once_also_without_a_hub() {
    for (line, want) in [
        (&["tail", "a**"][..], "a whole segment"),
        (&["tail", "a//b"], "segment"),
        (&["tail", "t", "--from", "yesterday"], "--since"),
        (&["tail", "t", "--from", "last:0"], "1000000"),
        (&["tail", "t", "--since", "yesterday"], "2h"),
        (&["tail", "t", "-n", "0"], "1..=1000000"),
        (&["tail", "t", "-n", "5", "--from", "now"], "cannot be used with"),
        (&["publish", "a*", "data"], "pattern"),
        (&["publish", "--lines"], "TOPIC"),
        (&["publish", "t", "--ndjson"], "cannot be used with"),
        (&["remove", "t", "17"], "4f9a2c1e-17"),
    ] {
        let output = outcome(gapless(&[line, &["--url", "http://127.0.0.1:1"]].concat()));
        let told = text(&output.stderr);
        assert!(output.status.code() == Some(2) && told.contains(want), "{line:?}: {told}");
    }
}

#[test]
fn the_last_events_are_asked_for_like_those_of_a_file() {
    let (url, hub) = hub(vec![stream("data: x\n\n")]);
    let output = outcome(gapless(&["tail", "t", "-n", "100", "--count", "1", "--url", &url]));
    assert_eq!((output.status.code(), &*text(&output.stdout)), (Some(0), "x\n"));
    let requests = hub.join().expect("a connection");
    assert!(requests[0].starts_with("GET /events?topic=t&from=last%3A100 HTTP/1.1\n"), "{}", requests[0]);
}

#[test]
fn a_hub_is_reached_by_its_socket_in_the_file_system_and_shown_the_token() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("hub.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    let serving = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a request");
            head.push(byte[0]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}\n").expect("it reads");
        text(&head)
    });
    let output = with_token(&["publish", "t", "data", "--url", &format!("unix:{}", path.display())]);
    assert_eq!((output.status.code(), &*text(&output.stdout)), (Some(0), "{}\n"), "{}", text(&output.stderr));
    let request = serving.join().expect("a request");
    assert!(request.starts_with("POST /publish?topic=t HTTP/1.1\r\n"), "{request}");
    assert!(
        request.contains("host: localhost\r\n") && request.contains("authorization: Bearer secret\r\n"),
        "{request}"
    );
    let told = outcome(gapless(&["publish", "t", "data", "--url", "unix:/no/such/hub.sock"]));
    assert!(text(&told.stderr).contains("cannot reach the hub at unix:/no/such/hub.sock"), "{}", text(&told.stderr));
    let told = outcome(gapless(&["bench", "--url", "unix:/no/such/hub.sock"]));
    assert!(text(&told.stderr).contains("directly over TCP"), "{}", text(&told.stderr));
}

/// A process with these variables and no other proxy variables.
fn behind(args: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command.args(args).envs(environment.iter().copied()).env_remove("GAPLESS_TOKEN");
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    outcome(child.expect("the binary starts"))
}

#[test]
fn a_proxy_of_the_environment_is_asked_for_the_hub() {
    let (proxy, requests) = hub(vec!["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".into()]);
    let proxy = proxy.replace("http://", "http://me:secret@");
    let publish = ["publish", "t", "data", "--url", "http://hub.example:81/live"];
    let output = behind(&publish, &[("http_proxy", &proxy)]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let request = &requests.join().expect("a request")[0];
    assert!(request.starts_with("POST http://hub.example:81/live/publish?topic=t HTTP/1.1\n"), "{request}");
    assert!(request.contains("proxy-authorization: Basic bWU6c2VjcmV0\n"), "{request}");
    assert!(request.contains("host: hub.example:81\n"), "{request}");

    let (proxy, requests) = hub(vec!["HTTP/1.1 403 Forbidden\r\n\r\n".into()]);
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    let certificate = rcgen::generate_simple_self_signed(vec!["hub.example".into()]).expect("signed");
    file.write_all(certificate.cert.pem().as_bytes()).expect("written");
    let ca = file.path().display().to_string();
    let tls = ["publish", "t", "data", "--url", "https://hub.example", "--ca", &ca];
    let told = text(&behind(&tls, &[("HTTPS_PROXY", &proxy)]).stderr);
    assert!(told.contains("through the proxy 127.0.0.1:"), "{told}");
    let request = &requests.join().expect("a request")[0];
    assert!(request.starts_with("CONNECT hub.example:443 HTTP/1.1\n"), "{request}");

    let told = text(&behind(&publish, &[("ALL_PROXY", "https://me:secret@proxy.example")]).stderr);
    assert!(told.contains("ALL_PROXY cannot be used") && !told.contains("secret"), "{told}");
    let told =
        text(&behind(&["bench", "--url", "http://hub.example"], &[("HTTP_PROXY", "http://proxy.example")]).stderr);
    assert!(told.contains("directly over TCP"), "{told}");
}

#[test]
fn a_hub_on_this_machine_is_asked_for_no_proxy() {
    let (url, requests) = hub(vec!["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".into()]);
    let output = behind(&["publish", "t", "data", "--url", &url], &[("HTTP_PROXY", "http://127.0.0.1:1")]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(requests.join().expect("a request")[0].starts_with("POST /publish"), "no whole URL");
}

/// A process on a terminal (pty); all that it prints there, and its exit code.
fn on_a_terminal(args: &[&str]) -> (String, Option<i32>) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("a terminal");
    let path = ptsname(&ours, Vec::new()).expect("its name").into_string().expect("UTF-8");
    let theirs = std::fs::File::options().read(true).write(true).open(path).expect("the other side");
    let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
    command.args(args).env_remove("GAPLESS_TOKEN").stdin(Stdio::null());
    let child = command.stdout(theirs.try_clone().expect("a descriptor")).stderr(theirs).spawn();
    drop(command);
    let mut ours = std::fs::File::from(ours);
    let shown = thread::spawn(move || {
        let mut shown = Vec::new();
        // It ends with an error when the other side has been closed.
        let _closed = ours.read_to_end(&mut shown);
        shown
    });
    let code = outcome(child.expect("the binary starts")).status.code();
    (text(&shown.join().expect("its reader")), code)
}

/// What is shown, without the styles that `tail` uses; those of others stay.
fn without_own_styles(shown: &str) -> String {
    let own = ["0", "1", "2", "31", "32", "33", "34", "35", "36", "92", "94", "95", "96"];
    own.iter().fold(shown.to_owned(), |shown, style| shown.replace(&format!("\u{1b}[{style}m"), ""))
}

#[test]
fn control_sequences_of_strangers_are_shown_on_a_terminal_and_not_obeyed() {
    let evil = "\u{1b}]0;title\u{7}\u{1b}]52;c;cm0=\u{7}\u{9b}2J\u{202e}x\u{8}\u{7f}\u{1b}[7m";
    let ndjson = format!("{{\"topic\":\"a\u{1b}[2J\",\"data\":\"\\u001b[2J{evil}\"}}").replace('\u{1b}', "\\u001b");
    let refusal = format!("HTTP/1.1 404 Not Found\r\ncontent-length: {}\r\n\r\n{evil}", evil.len());
    let receipt = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{evil}", evil.len());
    let end = "event: hub.end\ndata: {\"topic\":\"t\",\"reason\":\"closed\",\"last_id\":null}\n\n";
    let stats = serde_json::json!({"version": evil, "uptime_s": 1, "ready": true}).to_string();
    let stats = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{stats}", stats.len());
    let gone = format!(
        "HTTP/1.1 301 Moved\r\nlocation: /{}\r\ncontent-length: 0\r\n\r\n",
        "\u{1b}[2J".replace('\u{1b}', "%1b")
    );
    for (args, answer) in [
        (&["tail", "t"][..], stream(&format!("data: {evil}\n\nevent: hub.gap\ndata: {evil}\n\n{end}"))),
        (&["tail", "t", "--json"], stream(&format!("data: {evil}\n\n{end}"))),
        (&["tail", "t", "u", "--count", "1"], stream(&format!("data: {ndjson}\n\n"))),
        (&["tail", "t", "u", "--count", "1", "--json", "--pretty"], stream(&format!("data: {ndjson}\n\n"))),
        (&["tail", "t", "--count", "1"], stream(&format!("event: {evil}\ndata: {ndjson}\n\n"))),
        (&["top", "--once"], stats),
        (&["tail", "t"], refusal.clone()),
        (&["publish", "t", "data"], refusal.clone()),
        (&["publish", "t", "data"], receipt),
        (&["publish", "t", "data"], gone),
        (&["remove", "t", "abcd-1"], refusal.clone()),
        (&["bench", "--seconds", "1", "--subscribers", "1"], refusal),
    ] {
        let (url, _hub) = hub(vec![answer; if args[0] == "bench" { 2 } else { 1 }]);
        let (shown, _) = on_a_terminal(&[args, &["--url", &url]].concat());
        let shown = without_own_styles(&shown);
        let obeyed = shown.chars().find(|&c| c.is_control() && !matches!(c, '\n' | '\r' | '\t') || c == '\u{202e}');
        assert_eq!(obeyed, None, "{args:?}: {shown:?}");
        assert!(shown.contains("\\u001b") || shown.contains("%1b"), "{args:?}: {shown:?}");
    }
    // A command line may contain text of others, too.
    let (shown, code) = on_a_terminal(&["tail", &format!("a**{evil}")]);
    assert!(code == Some(2) && !shown.contains(['\u{1b}', '\u{9b}']) && shown.contains("\\u009b2J"), "{shown:?}");
    // A pipe gets the bytes unchanged.
    let (url, _hub) = hub(vec![stream(&format!("data: {evil}\n\n{end}"))]);
    assert_eq!(text(&outcome(gapless(&["tail", "t", "--url", &url])).stdout), format!("{evil}\n"));
}

/// A process that is killed when dropped.
struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server that answers publishers like a hub, and drops the third event before its streams.
fn lossy_hub() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        let mut streams: Vec<TcpStream> = Vec::new();
        for client in listener.incoming() {
            let mut client = client.expect("a client");
            let mut lines = BufReader::new(client.try_clone().expect("a socket")).lines();
            let mut next = || lines.next().expect("a request").expect("text");
            let head = next();
            while !next().is_empty() {}
            if head.starts_with("GET") {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nretry: 100\n\n";
                client.write_all(head.as_bytes()).expect("it listens");
                streams.push(client);
            } else if head.starts_with("POST") {
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").expect("it listens");
                publish(lines, &mut client, &mut streams);
            } else {
                client.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").expect("it listens");
            }
        }
    });
    url
}

fn publish(lines: impl Iterator<Item = io::Result<String>>, client: &mut TcpStream, streams: &mut [TcpStream]) {
    let mut count = 0;
    for line in lines {
        let line = line.expect("lines and chunks");
        if line == "0" {
            return;
        }
        let Some((_, data)) = line.split_once("\"data\":\"") else { continue };
        count += 1;
        if count != 3 {
            let event = format!("id: fake-{count}\ndata: {}\n\n", data.trim_end_matches("\"}"));
            for stream in &mut *streams {
                stream.write_all(event.as_bytes()).expect("it reads");
            }
        }
        writeln!(client, "{{\"id\":\"fake-{count}\"}}").expect("it reads");
    }
}

#[test]
fn a_hub_that_loses_an_event_fails_its_bench() {
    let url = lossy_hub();
    let bench = ["bench", "--url", &url, "--subscribers", "2", "--window", "8", "--seconds", "1", "--json"];
    let output = outcome(gapless(&bench));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&found["faults"]["lost"], &found["faults"]["duplicated"]), (&2.into(), &0.into()), "{found}");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("2 lost"), "{}", text(&output.stderr));
}

#[test]
fn a_bench_of_the_hub_counts_every_delivery_and_leaves_nothing() {
    let data = tempfile::tempdir().expect("a directory");
    let directory = data.path().display().to_string();
    let mut hub =
        KilledOnDrop(gapless(&["serve", "--listen", "127.0.0.1:0", "--engine", "memory", "--data", &directory]));
    let mut greeting = String::new();
    BufReader::new(hub.0.stdout.as_mut().expect("piped")).read_line(&mut greeting).expect("it greets");
    let url = greeting.trim_end().split_once("listening on ").expect("where it listens").1;

    let load = ["--subscribers", "12", "--topics", "3", "--publishers", "5", "--seconds", "1"];
    for way in [&["--window", "8", "--json"][..], &["--rate", "200", "--post", "--json"]] {
        let output = outcome(gapless(&[&["bench", "--url", url], &load[..], way].concat()));
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let published = found["published"]["events"].as_u64().expect("a count");
        assert!(published > 0 && found["delivered"]["events"] == published * 4, "four streams each: {found}");
        assert!(found["latency_ms"]["p99"].as_f64() > Some(0.0), "{found}");
    }
    let table = outcome(gapless(&[&["bench", "--url", url], &load[..]].concat()));
    assert!(text(&table.stdout).ends_with("0 lost, 0 duplicated, 0 reordered\n"), "{}", text(&table.stdout));

    let mut ask = TcpStream::connect(url.trim_start_matches("http://")).expect("it listens");
    ask.write_all(b"GET /topics?prefix=bench HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .expect("it reads");
    let mut answer = String::new();
    ask.read_to_string(&mut answer).expect("text");
    assert!(answer.contains("\"topics\":[]"), "{answer}");
}

#[test]
fn a_bench_without_a_hub_or_without_room_says_so() {
    let nowhere = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
    let output = outcome(gapless(&["bench", "--url", &format!("http://{nowhere}")]));
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("is it running?"), "{}", text(&output.stderr));
    let output = outcome(gapless(&["bench", "--subscribers", "1000000"]));
    // Where a million descriptors may be open, it fails because there is no hub.
    let told = text(&output.stderr);
    assert!(told.contains("ulimit -n") || told.contains("is it running?"), "{told}");
}

#[test]
fn a_hub_whose_log_nobody_reads_any_more_still_ends_in_order() {
    let data = tempfile::tempdir().expect("a directory");
    let directory = data.path().display().to_string();
    let mut hub = gapless(&["serve", "--listen", "127.0.0.1:0", "--engine", "memory", "--data", &directory]);
    let mut greeting = String::new();
    BufReader::new(hub.stdout.as_mut().expect("piped")).read_line(&mut greeting).expect("it greets");
    drop(hub.stderr.take());
    let pid = rustix::process::Pid::from_child(&hub);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("our own child");
    assert_eq!(outcome(hub).status.code(), Some(0));
}
