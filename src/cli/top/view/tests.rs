//! The drawn screen.

use ratatui::{Terminal, backend::TestBackend, crossterm::event::KeyCode};
use serde_json::{Value, json};

use crate::cli::top::{
    hub_stats::tests::busy_with,
    keys,
    model::{FeedEvent, TopModel},
    view,
};

fn model(changes: &[(&str, Value)]) -> TopModel {
    TopModel::new("http://127.0.0.1:8080", busy_with(changes), None)
}

/// The lines of a screen of this size, without spaces at their ends.
fn screen(model: &TopModel, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("memory");
    terminal.draw(|frame| view::draw(frame, model)).expect("memory");
    let buffer = terminal.backend().buffer();
    let symbol = |x, y| buffer[(x, y)].symbol();
    (0..height).map(|y| (0..width).map(|x| symbol(x, y)).collect::<String>().trim_end().to_owned()).collect()
}

fn text(model: &TopModel, width: u16, height: u16) -> String {
    screen(model, width, height).join("\n")
}

#[test]
fn all_figures_are_on_a_usual_screen() {
    let shown = text(&model(&[]), 100, 30);
    for want in [
        "gapless 0.1.0  http://127.0.0.1:8080  up 2h 3m  sled  yrtxnomj-81234",
        "ready",
        "events in     1,204/s",
        "81,234 in all",
        "events out   60,210/s",
        "bytes in    121 KiB/s",
        "streams     5,012: 5,000 live, 10 replaying, 2 lagged",
        "connections 5,020 of 10,000",
        "commits     p50 1.2 ms, p99 8.1 ms, 2.0 KiB waiting",
        "disk        47 % free (14.0 GiB), store 1.2 GiB",
        "refused     12 (rate-limited 10, unauthorized 2)",
        "gaps told   3 (trimmed 3); 2 readers cut",
        "kept        3,100,000 events in 12,000 topics",
        "relay       3 runs, 7 viewers",
        "events/s\u{25bc}",
        "orders/new",
        "801/s",
        "78.1 KiB/s",
        "ci",
        "q quit",
    ] {
        assert!(shown.contains(want), "{want}:\n{shown}");
    }
}

#[test]
fn the_chart_shows_the_last_seconds_newest_at_the_right() {
    let mut model = model(&[]);
    for (second, events) in [(1, 80), (2, 80), (3, 160)] {
        let changes = [("/uptime_s", json!(7384.5 + f64::from(second))), ("/events/in_total", json!(81234 + events))];
        model.take(FeedEvent::Stats(busy_with(&changes).into(), None));
    }
    let lines = screen(&model, 100, 30);
    let chart: String = lines[3].chars().skip(35).take(8).collect();
    assert!(chart.ends_with("\u{2588} \u{2588}"), "{lines:#?}");
}

#[test]
fn what_needs_attention_is_on_top_in_words() {
    let mut model = model(&[("/ready", false.into()), ("/store/disk_free_bytes", 1_288_490_188_u64.into())]);
    let lines = screen(&model, 100, 30);
    assert!(lines[0].ends_with("NOT READY"), "{lines:#?}");
    assert!(lines[1].starts_with("! not ready: "), "{lines:#?}");
    assert_eq!(lines[2], "! disk: 4 % left (1.2 GiB)");
    model.take(FeedEvent::Lost("cannot reach the hub; trying again in 3.0 s".into()));
    let lines = screen(&model, 100, 30);
    assert!(lines[0].ends_with("NO CONNECTION"), "{lines:#?}");
    assert_eq!(lines[1], "! cannot reach the hub; trying again in 3.0 s");
    let lines = screen(&model, 40, 10);
    assert_eq!(lines[2], "(and 1 more) ! not ready: a durable publ");
}

#[test]
fn an_unknown_disk_is_said_to_be_unknown() {
    let shown = text(&model(&[("/store/disk_free_bytes", Value::Null)]), 100, 30);
    assert!(shown.contains("disk        unknown, store 1.2 GiB"), "{shown}");
}

#[test]
fn every_size_is_drawn_and_small_ones_have_the_most_important() {
    for (state, changes) in [("well", vec![]), ("ill", vec![("/ready", json!(false)), ("/store/losses", json!(1))])] {
        let mut model = model(&changes);
        for help in [false, true] {
            model.help = help;
            for width in [1, 2, 9, 13, 40, 61, 79, 80, 130] {
                for height in [1, 2, 3, 5, 6, 7, 10, 13, 25, 26, 40] {
                    assert_eq!(screen(&model, width, height).len(), usize::from(height), "{state}");
                }
            }
        }
    }
    let shown = text(&model(&[("/store/losses", 1.into()), ("/ready", false.into())]), 40, 10);
    for want in ["! not ready", "! store: 1 part was damaged", "1,204/s in", "\u{2502}orders/new"] {
        assert!(shown.contains(want), "{want}:\n{shown}");
    }
    let shown = text(&model(&[]), 40, 10);
    for want in ["gapless 0.1.0", "ready", "1,204/s in, 60,210/s out", "orders/new", "801/s"] {
        assert!(shown.contains(want), "{want}:\n{shown}");
    }
}

#[test]
fn names_of_others_cannot_control_the_screen() {
    let evil = "a\u{1b}[2J\u{202e}b\nc";
    let topics = json!([{"topic": evil, "events_per_s": 1.0, "bytes_per_s": 1.0, "subscribers": 1}]);
    let holders = json!([{"holder": evil, "streams": 1}]);
    let changes = [("/top_topics", topics), ("/holders", holders), ("/version", evil.into()), ("/ready", false.into())];
    let model = TopModel::new(evil, busy_with(&changes), Some(evil.into()));
    let shown = text(&model, 120, 40);
    assert!(shown.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{shown:?}");
    assert!(shown.matches("a\\u001b[2J\\u202eb c").count() >= 5, "{shown}");
}

#[test]
fn the_selected_row_is_named_in_full_and_keys_change_the_screen() {
    let long = "jobs/".repeat(20) + "end";
    let topics = json!([{"topic": long, "events_per_s": 1.0, "bytes_per_s": 1.0, "subscribers": 1}]);
    let mut model = model(&[("/top_topics", topics)]);
    let lines = screen(&model, 110, 30);
    assert!(lines.iter().any(|line| line.contains(&format!("\u{2514} {long} "))), "{lines:#?}");
    keys::press(&mut model, KeyCode::Char('p').into());
    assert!(screen(&model, 100, 30)[0].ends_with("PAUSED"));
    keys::press(&mut model, KeyCode::Char('?').into());
    let shown = text(&model, 100, 30);
    assert!(shown.contains("quit") && shown.contains("sort by the next column"), "{shown}");
}
