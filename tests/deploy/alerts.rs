//! The alerts as files: each is tried, says what is wrong, and leads to what to do.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

use serde_json::Value;

use crate::{
    chart::documents,
    child::{here, tool},
    run::run,
};

fn read(path: &str) -> String {
    fs::read_to_string(here(path)).unwrap()
}

fn alerts() -> Vec<Value> {
    let mut file = documents(&read("deploy/prometheus/alerts.yml")).remove(0);
    let Value::Array(rules) = file["groups"][0]["rules"].take() else { panic!("{file}") };
    // The others record what an alert needs.
    rules.into_iter().filter(|rule| rule.get("record").is_none()).collect()
}

#[test]
fn promtool_sees_each_alert_fire_as_its_test_says() {
    for arguments in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts.test.yml"]] {
        let directory = here("deploy/prometheus");
        run(Command::new(tool("promtool")).args(arguments).current_dir(directory), "").sound();
    }
}

#[test]
fn each_alert_is_tried_firing_and_not_firing() {
    let tests = documents(&read("deploy/prometheus/alerts.test.yml")).remove(0);
    let mut seen: BTreeMap<(String, bool), usize> = BTreeMap::new();
    for test in tests["tests"].as_array().unwrap() {
        for check in test["alert_rule_test"].as_array().unwrap() {
            let fires = !check["exp_alerts"].as_array().unwrap().is_empty();
            *seen.entry((check["alertname"].as_str().unwrap().into(), fires)).or_default() += 1;
        }
    }
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        for fires in [true, false] {
            assert!(seen.contains_key(&(name.into(), fires)), "no test has {name} firing: {fires}");
        }
    }
}

/// The paragraphs of "When something is wrong", by their anchors.
fn paragraphs() -> BTreeSet<String> {
    let text = read("docs/OPERATIONS.md");
    let section = text.split_once("\n## When something is wrong\n").unwrap().1;
    let section = section.split("\n## ").next().unwrap();
    let titles = section.lines().filter_map(|line| line.strip_prefix("### "));
    // As GitHub makes them, and the hub's own pages.
    let anchor = |title: &str| -> String {
        let kept = title.to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    titles.map(anchor).collect()
}

#[test]
fn each_alert_says_what_is_wrong_and_leads_to_what_to_do() {
    let paragraphs = paragraphs();
    let mut names = BTreeSet::new();
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        assert!(names.insert(name.to_owned()), "{name} is there twice");
        let summary = alert["annotations"]["summary"].as_str().unwrap();
        assert!(summary.ends_with('.') && summary.len() > 20, "{name}: {summary}");
        assert!(["critical", "warning"].iter().any(|one| alert["labels"]["severity"] == *one), "{name}");
        let runbook = alert["annotations"]["runbook"].as_str().unwrap();
        let anchor = runbook.strip_prefix("docs/OPERATIONS.md#").unwrap_or_else(|| panic!("{name}: {runbook}"));
        assert!(paragraphs.contains(anchor), "{name}: {anchor} is not in \"When something is wrong\": {paragraphs:?}");
    }
}

/// OPERATIONS.md has a row for each alert, and no other.
#[test]
fn the_documents_have_each_alert() {
    let text = read("docs/OPERATIONS.md");
    let section = text.split_once("\n### Alerts\n").unwrap().1;
    let section = section.split("\n#").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next().map(str::to_owned));
    let names = alerts().iter().map(|alert| alert["alert"].as_str().unwrap().to_owned()).collect();
    assert_eq!(rows.collect::<BTreeSet<_>>(), names);
}
