//! `gapless top` in a terminal.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use super::{
    process::{gapless, output, text},
    support::{eventually, hub::Hub, tokens},
    tmux::Tmux,
};

const BINARY: &str = env!("CARGO_BIN_EXE_gapless");

/// Starts top in a shell that then says how it ended, and whether the terminal is as before.
fn start(tmux: &Tmux, args: &str) {
    tmux.line("clear; echo the shell was here");
    tmux.wait_for("the shell was here\n");
    tmux.line(&format!(
        "before=$(stty -g); {BINARY} top {args}; echo en''ded-$?; [ $(stty -g) = $before ] && echo re''stored"
    ));
}

/// Waits until the shell is there again, as it was; fails unless top ended with this exit code.
fn ended(tmux: &Tmux, code: &str) {
    let shown = tmux.wait_for("restored\n");
    assert!(shown.contains("the shell was here") && shown.contains(&format!("ended-{code}\n")), "{shown}");
    assert!(!shown.contains("Busiest"), "{shown}");
    tmux.line("echo and it takes input");
    tmux.wait_for("\nand it takes input\n");
}

/// The process of top in this terminal's shell.
fn top_of(hub: &Hub) -> Pid {
    let url = hub.url();
    let all = fs::read_dir("/proc").expect("Linux").filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_ours = |pid: &i32| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&str> = line.split('\0').collect();
        words.first() == Some(&BINARY) && words.contains(&"top") && words.contains(&&*url)
    };
    Pid::from_raw(all.into_iter().find(is_ours).expect("it runs")).expect("not 0")
}

#[test]
fn it_shows_the_hub_resizes_and_leaves_the_terminal_as_it_was() {
    let (hub, tmux) = (Hub::start(), Tmux::start(100, 30));
    let _stream = hub.watch("topic=orders/*");
    eventually("the stream is open", || hub.stats()["subscribers"] == 1);
    start(&tmux, &format!("--url {}", hub.url()));
    tmux.wait_for("Busiest topics");
    for number in 0..50 {
        hub.publish("orders/new", &number.to_string());
    }
    let shown = tmux.wait_until("50 events", |shown| shown.contains(" 50 in all") && shown.contains("│orders/new"));
    for want in ["gapless ", &hub.url(), "ready", "streams     1: 1 live", "50 events in 1 topic", "events/s▼"] {
        assert!(shown.contains(want), "{want}:\n{shown}");
    }
    tmux.keys(&["b"]);
    tmux.wait_for("bytes/s▼");
    tmux.keys(&["?"]);
    tmux.wait_for("sort by the next column");
    tmux.keys(&["?", "p"]);
    tmux.wait_for("PAUSED");
    tmux.keys(&["p"]);
    tmux.resize(40, 10);
    let small = tmux.wait_until("a small screen", |shown| {
        shown.lines().next().is_some_and(|line| line.ends_with(" ready") && line.len() <= 40)
    });
    assert!(small.contains("│orders/new") && small.contains("events      "), "{small}");
    tmux.resize(12, 3);
    tmux.resize(140, 40);
    tmux.wait_until("a large screen", |shown| {
        shown.lines().any(|line| line.starts_with('└') && line.chars().count() == 140)
    });
    tmux.keys(&["q"]);
    ended(&tmux, "0");
}

#[test]
fn each_way_to_end_it_restores_the_terminal() {
    let (hub, tmux) = (Hub::start(), Tmux::start(80, 24));
    for (way, code) in [("Ctrl-C", "0"), ("SIGTERM", "0"), ("SIGINT", "130")] {
        start(&tmux, &format!("--url {}", hub.url()));
        tmux.wait_for("Busiest topics");
        match way {
            "Ctrl-C" => tmux.keys(&["C-c"]),
            "SIGTERM" => kill_process(top_of(&hub), Signal::TERM).expect("it runs"),
            _ => kill_process(top_of(&hub), Signal::INT).expect("it runs"),
        }
        ended(&tmux, code);
    }
}

#[test]
fn it_finds_a_hub_that_was_killed_and_says_what_happened() {
    let (mut hub, tmux) = (Hub::start(), Tmux::start(110, 30));
    start(&tmux, &format!("--url {}", hub.url()));
    tmux.wait_for(" ready\n");
    hub.kill();
    let shown = tmux.wait_for("NO CONNECTION");
    assert!(shown.contains("\n! no connection, trying again in "), "{shown}");
    tmux.wait_for("cannot reach the hub");
    let hub = hub.again();
    hub.publish("back", "again");
    tmux.wait_until("the hub is back", |shown| shown.contains(" ready\n") && shown.contains("│back"));
    tmux.keys(&["q"]);
    ended(&tmux, "0");
}

#[test]
fn it_needs_a_token_with_admin_and_says_so_on_the_usual_screen() {
    let tokens = tokens(&[("operator", "admin = true"), ("reader", "subscribe = [\"**\"]")]);
    let (hub, tmux) = (Hub::start_with(&["--access-tokens", &tokens]), Tmux::start(160, 30));
    start(&tmux, &format!("--url {} --token reader-token", hub.url()));
    ended(&tmux, "1");
    assert!(tmux.shown().contains("the hub refused: "), "{}", tmux.shown());
    start(&tmux, &format!("--url {} --token operator-token", hub.url()));
    tmux.wait_for("Busiest topics");
    tmux.keys(&["Escape"]);
    ended(&tmux, "0");
}

#[test]
fn without_a_terminal_it_prints_once_or_says_that_it_needs_one() {
    let hub = Hub::start();
    hub.publish("orders/new", "x");
    let url = hub.url();
    let run = |args: &[&str]| output(&mut gapless(&[&["top", "--url", &url], args].concat()));
    let refused = run(&[]);
    let told = text(&refused.stderr);
    assert!(refused.status.code() == Some(1) && told.contains("--once") && refused.stdout.is_empty(), "{told}");
    let once = run(&["--once"]);
    let printed = text(&once.stdout);
    assert_eq!(once.status.code(), Some(0), "{}", text(&once.stderr));
    assert!(printed.starts_with(&format!("hub          {url}, gapless ")), "{printed}");
    assert!(printed.contains("\nstate        ready, up ") && printed.contains(" streams: orders/new\n"), "{printed}");
    assert!(!printed.contains('\u{1b}'), "{printed}");
    let nobody = output(&mut gapless(&["top", "--once", "--url", "http://127.0.0.1:1"]));
    assert!(text(&nobody.stderr).contains("is it running?"));
}

#[test]
fn why_a_hub_is_not_ready_is_said_in_its_own_words() {
    let (hub, tmux) = (Hub::start(), Tmux::start(100, 30));
    start(&tmux, &format!("--url {}", hub.url()));
    tmux.wait_for(" ready\n");
    let elsewhere = hub.data().with_extension("moved");
    fs::rename(hub.data(), &elsewhere).expect("moved");
    let shown = tmux.wait_for("! not ready: ");
    assert!(shown.contains("NOT READY"), "{shown}");
    tmux.wait_for(&hub.data().display().to_string());
    fs::rename(&elsewhere, hub.data()).expect("moved back");
    tmux.wait_until("it is ready again", |shown| shown.contains(" ready\n") && !shown.contains("! not ready"));
    tmux.keys(&["q"]);
    ended(&tmux, "0");
}
