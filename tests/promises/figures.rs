//! What operators read of the hub's disk and of its last minutes.

use std::{
    path::Path,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use super::support::{
    engine::{Capability, has},
    eventually,
    hub::Hub,
    needs,
};

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

/// Others write to the same disk.
const OTHERS: u64 = 4 << 30;

#[test]
fn the_space_of_the_disk_is_what_the_system_reports() {
    needs!(Disk);
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

#[test]
fn the_last_minutes_are_kept_in_columns_of_one_length() {
    let hub = Hub::start();
    let _stream = hub.watch("topic=t");
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert_eq!(hub.get("/admin/history").json()["time"], json!([]), "no interval has ended");
    for n in 0..20 {
        hub.publish("t", &format!("{n:10}"));
    }
    let mut history = Value::Null;
    eventually("two intervals have ended", || {
        history = hub.get("/admin/history").json();
        history["time"].as_array().unwrap().len() == 2
    });
    assert_eq!(history["interval_s"], 5);
    let column = |name: &str| history[name].as_array().unwrap();
    for (name, values) in history.as_object().unwrap() {
        assert!(name == "interval_s" || values.as_array().unwrap().len() == 2, "{name}: {history}");
    }
    let sum = |name: &str| column(name).iter().map(|value| value.as_f64().unwrap() * 5.0).sum::<f64>();
    assert!((19.0..21.0).contains(&sum("events_in")) && (19.0..21.0).contains(&sum("events_out")), "{history}");
    assert!((190.0..210.0).contains(&sum("bytes_in")), "{history}");
    assert_eq!((&column("live")[1], &column("cut")[1], sum("gaps")), (&json!(1), &json!(0), 0.0));
    assert!(column("commit_ms_p99")[0].as_f64().unwrap() > 0.0, "{history}");
    assert_eq!(column("commit_ms_p99")[1], Value::Null, "no commit in the second: {history}");
    assert_eq!(
        column("disk_free_bytes")[1].as_u64() > Some(0),
        has(Capability::Disk),
        "the engine's disk is not the hub's"
    );
    let times: Vec<u64> = column("time").iter().map(|time| time.as_u64().unwrap()).collect();
    assert!(before < times[0] && times[0] < times[1] && times[1] < before + 60, "{times:?} after {before}");
}

#[test]
fn a_topic_of_several_selections_is_once_in_the_list_of_those_with_most_streams() {
    let hub = Hub::start();
    let _streams =
        ["topic=b", "topic=a&topic=b", "topic=a&topic=b", "topic=c&topic=*", "topic=d"].map(|query| hub.watch(query));
    let of = |topic: &str, subscribers: u32| json!({ "topic": topic, "subscribers": subscribers });
    eventually("all are counted", || {
        hub.stats()["top_topics_by_subscribers"] == json!([of("b", 4), of("a", 3), of("d", 2), of("c", 1)])
    });
}
