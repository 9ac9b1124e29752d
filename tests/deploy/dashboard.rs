//! The dashboard as a file.

use std::{fs, process::Command};

use serde_json::Value;

use crate::{
    child::{here, tool},
    run::{installed, run},
};

fn text() -> String {
    fs::read_to_string(here("deploy/grafana/gapless.json")).unwrap()
}

/// A query of a panel.
pub(crate) struct Query {
    pub(crate) panel: String,
    pub(crate) expression: String,
}

/// Every query, as Prometheus gets it: of all hubs, with rates over `window`.
pub(crate) fn queries(window: &str) -> Vec<Query> {
    let dashboard: Value = serde_json::from_str(&text()).unwrap();
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            found.push(Query {
                panel: panel["title"].as_str().unwrap().into(),
                expression: filled(target["expr"].as_str().unwrap(), window),
            });
        }
    }
    assert!(found.len() > 40, "the queries were not found");
    let starts = &dashboard["annotations"]["list"][0];
    found.push(Query {
        panel: starts["name"].as_str().unwrap().into(),
        expression: filled(starts["expr"].as_str().unwrap(), window),
    });
    found
}

fn filled(expression: &str, window: &str) -> String {
    let filled = [("$__rate_interval", window), ("$job", ".*"), ("$instance", ".*")];
    let filled = filled.iter().fold(expression.to_owned(), |text, (name, value)| text.replace(name, value));
    assert!(!filled.contains('$'), "{filled}: an unknown variable");
    filled
}

#[test]
fn the_dashboard_is_what_its_source_makes() {
    let made = run(Command::new(tool("python3")).arg(here("deploy/grafana/dashboard.py")), "").sound();
    let how = "deploy/grafana/dashboard.py > deploy/grafana/gapless.json";
    assert!(made == text(), "deploy/grafana/gapless.json is old: {how}");
}

#[test]
fn grafana_knows_every_field_of_the_dashboard() {
    run(installed("target/go/shapes").arg("Dashboard"), &text()).sound();
}

#[test]
fn every_panel_says_what_it_tells_and_has_a_place_of_its_own() {
    let dashboard: Value = serde_json::from_str(&text()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let place = |panel: &Value| ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
    for (n, panel) in panels.iter().enumerate() {
        let title = panel["title"].as_str().unwrap();
        let [x, y, width, height] = place(panel);
        assert!(x + width <= 24, "{title} is too wide");
        for other in &panels[..n] {
            let [left, top, wide, high] = place(other);
            let apart = x >= left + wide || left >= x + width || y >= top + high || top >= y + height;
            assert!(apart, "{title} covers {}", other["title"]);
        }
        let is_row = panel["type"] == "row";
        assert!(is_row || panel["description"].as_str().is_some_and(|text| text.len() > 10), "{title} says nothing");
    }
}
