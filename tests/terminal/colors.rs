//! `gapless tail` on a terminal: colours, layout, and what data cannot do there.

use super::{
    process::{gapless, output, text},
    support::{eventually, hub::Hub},
    tmux::Tmux,
};

const BINARY: &str = env!("CARGO_BIN_EXE_gapless");

/// Publishes an event with a name.
fn publish(hub: &Hub, topic: &str, event: &str, data: &str) {
    let target = format!("/publish?topic={topic}&event={event}");
    let answer = hub.post(&target, &[("content-type", "text/plain")], data.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn a_terminal_shows_time_topic_name_and_data_in_colours() {
    let (hub, tmux) = (Hub::start(), Tmux::start(120, 30));
    tmux.line(&format!("{BINARY} tail 'jobs/*' --pretty --url {}", hub.url()));
    eventually("the stream is open", || hub.stats()["subscribers"] == 1);
    publish(&hub, "jobs/1", "progress", r#"{"done": 1.50, "of": ["a"]}"#);
    publish(&hub, "jobs/1", "failed", "no disk\n00:00:00 jobs/1 forged");
    publish(&hub, "jobs/1", "", "\u{1b}[31mred\u{202e}");
    hub.delete("jobs/1");
    tmux.wait_for("jobs/1 was deleted");
    let lines: Vec<String> = tmux.shown().lines().map(str::to_owned).collect();
    let at = lines.iter().position(|line| line.ends_with(" jobs/1 progress {")).expect("an event");
    let time = &lines[at][..8];
    assert!(time.chars().enumerate().all(|(at, c)| if at % 3 == 2 { c == ':' } else { c.is_ascii_digit() }), "{time}");
    assert_eq!(lines[at + 1..at + 6], ["    \"done\": 1.50,", "    \"of\": [", "      \"a\"", "    ]", "  }"]);
    assert!(lines[at + 6].ends_with(" jobs/1 failed no disk"), "{lines:#?}");
    assert_eq!(lines[at + 7], "  00:00:00 jobs/1 forged", "a line of data does not begin like an event");
    assert!(lines[at + 8].ends_with(" jobs/1 \\u001b[31mred\\u202e"), "{lines:#?}");
    let colored = tmux.shown_in_color();
    for want in [
        "\u{1b}[2m",
        "\u{1b}[36m\"done\"",
        "\u{1b}[32m\"a\"",
        "\u{1b}[35m1.50",
        "\u{1b}[95mprogress",
        "\u{1b}[31mfailed",
    ] {
        assert!(colored.contains(want), "{want:?}: {colored:?}");
    }
    let end = colored.lines().find(|line| line.contains("was deleted")).expect("an end");
    assert!(end.contains("\u{1b}[1m\u{1b}[36m") || end.contains("\u{1b}[1;36m"), "{end:?}");
}

#[test]
fn nothing_is_coloured_for_who_does_not_want_it() {
    let (hub, tmux) = (Hub::start(), Tmux::start(120, 30));
    publish(&hub, "t", "failed", r#"{"a":1}"#);
    let tail = format!("{BINARY} tail t --from earliest --count 1 --pretty --url {}", hub.url());
    for (number, line) in
        [format!("NO_COLOR=1 {tail}"), format!("{tail} --color never"), format!("TERM=dumb {tail}")].iter().enumerate()
    {
        tmux.line(&format!("{line}; echo done-$(({number}))"));
        tmux.wait_for(&format!("done-{number}\n"));
    }
    let colored = tmux.shown_in_color();
    assert!(colored.matches(" failed {").count() == 3, "{colored}");
    assert!(!colored.contains('\u{1b}'), "{colored:?}");
    tmux.line(&format!("NO_COLOR=1 {tail} --color always; echo all"));
    tmux.wait_for("\nall\n");
    assert!(tmux.shown_in_color().contains("\u{1b}[31mfailed"), "asked for");
}

#[test]
fn a_pipe_gets_the_data_alone_and_colours_only_on_demand() {
    let hub = Hub::start();
    publish(&hub, "t", "failed", "a\u{1b}[0mb");
    let url = hub.url();
    let tail = |args: &[&str]| {
        let line = [&["tail", "t", "--from", "earliest", "--count", "1", "--url", &url], args].concat();
        text(&output(&mut gapless(&line)).stdout)
    };
    assert_eq!(tail(&[]), "a\u{1b}[0mb\n");
    assert_eq!(tail(&["--pretty"]), "a\u{1b}[0mb\n");
    assert_eq!(tail(&["--color", "always"]), "\u{1b}[31ma\\u001b[0mb\u{1b}[0m\n");
}
