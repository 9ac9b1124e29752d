//! Nothing is coloured or drawn where there is no terminal, and `NO_COLOR` is honoured where there is one.

use std::{path::Path, process::Stdio};

use rustix::process::Signal;

use super::{
    process::{gapless, output, signal, text, wait},
    pty::{Descriptors, OnTerminal},
    support::{eventually, hub::Hub},
};

/// The names of all commands, from the help.
fn commands() -> Vec<String> {
    let help = text(&output(&mut gapless(&["--help"])).stdout);
    let list = help.split_once("\nCommands:\n").unwrap().1.split("\n\n").next().unwrap();
    let names: Vec<String> = list
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .collect();
    assert!(names.len() >= 9, "{help}");
    names
}

/// Command lines of every command: a success, an error, a wrong option, and the help.
fn lines(hub: &Hub, data: &str) -> Vec<Vec<String>> {
    let words =
        |line: &str| line.split(' ').map(|word| word.replace("DATA", data).replace("URL", &hub.url())).collect();
    let mut lines: Vec<Vec<String>> = [
        "--help",
        "--version",
        "--no-such-option",
        "serve --listen nonsense",
        "publish t x --url URL",
        "publish t x --url http://127.0.0.1:1",
        "publish t --file DATA/format --url URL",
        "tail t --from earliest --count 1 --url URL",
        "tail t --from earliest --count 1 --json --url URL",
        "tail a** --url URL",
        "top --once --url URL",
        "remove t abcd-1 --url URL",
        "bench --seconds 2 --subscribers 2 --url URL",
        "bench --seconds 1 --subscribers 2 --json --url URL",
        "token --static --name ci --publish a",
        "token --publish a",
        "check",
        "check --shards x",
        "check --store DATA",
        "check --store DATA --json",
        "check --store /",
        "backup --to DATA --url URL",
        "backup --to DATA/backups --url URL",
        "verify DATA/backups",
        "verify DATA",
        "restore --from DATA/backups --data DATA/restored",
        "restore --from DATA/backups --data DATA",
        "export a** --url URL",
        "export a** --url URL --to DATA/export",
        "export a** --url URL --to DATA/export",
        "export a//b --url URL",
        "health --url URL",
        "health --url http://127.0.0.1:1",
        "jetstream init --nats ftp://127.0.0.1",
        "jetstream nonsense",
        "import --from DATA --nats ftp://127.0.0.1",
        "import --from DATA/export --url URL",
        "import --from DATA/export --data DATA/imported",
        "import --from /nonexistent",
        "completions bash",
        "completions nonsense",
        "man",
        "man serve",
        "man nonsense",
    ]
    .into_iter()
    .map(words)
    .collect();
    for command in commands() {
        assert!(lines.iter().any(|line| line[0] == command), "no command line of {command} is tried here");
        lines.push(vec![command.clone(), "--help".into()]);
        lines.push(vec![command, "--no-such-option".into()]);
    }
    lines
}

fn store(data: &Path) {
    let mut hub = Hub::start_on(data, &[]);
    hub.publish("t", "x");
    hub.end();
}

#[test]
fn no_command_sends_an_escape_into_a_pipe() {
    let data = tempfile::tempdir().unwrap();
    store(data.path());
    let hub = Hub::start_with(&["--engine", "memory"]);
    let dir = data.path().display().to_string();
    for line in lines(&hub, &dir) {
        let found = output(&mut gapless(&line));
        for (name, bytes) in [("stdout", &found.stdout), ("stderr", &found.stderr)] {
            // Terminals take C1 from UTF-8, too.
            let escape = text(bytes).chars().any(|c| matches!(c, '\u{1b}' | '\u{80}'..='\u{9f}'));
            assert!(!escape, "{line:?} sends an escape to {name}: {:?}", text(bytes));
        }
    }
    let mut hub = Hub::start_on(data.path(), &[]);
    let printed = || text(&hub.printed());
    eventually("it has said all", || hub.log().contains("serving") && printed().contains("subscribe"));
    hub.end();
    eventually("the last line is read", || hub.log().contains("ended outcome="));
    let (printed, log) = (text(&hub.printed()), hub.log());
    assert!(
        log.contains("the store is open") && !log.contains('\u{1b}') && !printed.contains('\u{1b}'),
        "{printed}{log}"
    );
}

/// Whether a terminal is told to use a colour or a style.
fn is_styled(shown: &str) -> bool {
    shown.split('\u{1b}').skip(1).any(|rest| {
        rest.strip_prefix('[')
            .and_then(|rest| rest.chars().find(char::is_ascii_alphabetic))
            .is_some_and(|end| end == 'm')
    })
}

#[test]
fn no_color_is_honoured_by_every_command_on_a_terminal() {
    let data = tempfile::tempdir().unwrap();
    store(data.path());
    let hub = Hub::start_with(&["--engine", "memory"]);
    let dir = data.path().display().to_string();
    for line in lines(&hub, &dir) {
        let (shown, _) = OnTerminal::start(gapless(&line).env("NO_COLOR", "1"), Descriptors::Both).end();
        assert!(!is_styled(&shown), "{line:?}: {shown:?}");
    }
    let serve = ["--listen", "127.0.0.1:0", "--data", &dir];
    let log_of = |command: &mut std::process::Command| {
        let hub = OnTerminal::start(command, Descriptors::StderrOnly);
        hub.wait_for("serving");
        signal(&hub.child, Signal::TERM);
        hub.end().0
    };
    assert!(!is_styled(&log_of(gapless(&serve).env("NO_COLOR", "1"))));
    // That there is something to forbid.
    assert!(is_styled(&log_of(&mut gapless(&serve))));
    assert!(is_styled(&log_of(gapless(&serve).env("NO_COLOR", ""))), "an empty one forbids nothing");
    assert!(is_styled(&OnTerminal::start(&mut gapless(&["--help"]), Descriptors::Both).end().0));
}

#[test]
fn nothing_is_asked() {
    // Each command ends although its stdin is an open pipe in which nothing comes, or does so when that is its input.
    let data = tempfile::tempdir().unwrap();
    store(data.path());
    let dir = data.path().display().to_string();
    for line in [&["check", "--store", &*dir][..], &["man"], &["completions", "bash"], &["check"]] {
        let mut child = gapless(line).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        assert_eq!(wait(&mut child).code(), Some(0), "{line:?}");
    }
}
