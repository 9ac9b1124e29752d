//! What operators read of the hub's disk and of its last minutes.

use std::{path::Path, process::Command};

use serde_json::{Value, json};

use super::support::hub::Hub;

/// Size and free bytes of the disk of `path`, as df(1) has them.
fn df(path: &Path) -> (u64, u64) {
    let output = Command::new("df").args(["-B1", "--output=size,avail"]).arg(path).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    (numbers[0], numbers[1])
}

fn sample(metrics: &str, name: &str) -> Option<u64> {
    metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn the_space_of_the_disk_is_what_the_system_reports() {
    // Others write to the same disk.
    const OTHERS: u64 = 4 << 30;
    let hub = Hub::start();
    hub.publish("t", "x");
    let store = &hub.stats()["store"];
    let (size, free) = df(&hub.data());
    assert_eq!(store["disk_total_bytes"], size);
    assert!(store["disk_free_bytes"].as_u64().unwrap().abs_diff(free) < OTHERS.min(size / 2), "{store}, not {free}");
    let metrics = hub.get("/metrics").text();
    assert_eq!(sample(&metrics, "gapless_store_disk_total_bytes"), Some(size));
    assert!(sample(&metrics, "gapless_store_disk_free_bytes").unwrap().abs_diff(free) < OTHERS.min(size / 2));
}

#[test]
fn a_hub_in_memory_has_no_disk() {
    let hub = Hub::start_with(&["--engine", "memory"]);
    let store = hub.stats()["store"].clone();
    assert_eq!((&store["disk_free_bytes"], &store["disk_total_bytes"]), (&Value::Null, &json!(null)));
    let metrics = hub.get("/metrics").text();
    assert!(metrics.contains("# TYPE gapless_store_disk_free_bytes gauge\n"), "{metrics}");
    assert_eq!(sample(&metrics, "gapless_store_disk_free_bytes"), None);
}
