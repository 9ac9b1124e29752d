//! Two hubs under load, as the dashboard shows them and the alerts judge them.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    process::Command,
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{
    child::{Child, here},
    dashboard::{Query, queries},
    prometheus::Prometheus,
    support::{comes_true, hub::Hub, wire},
};

/// Time of a rate: some twenty scrapes, so that a machine that is busy has two of them.
const WINDOW: &str = "10s";

/// The model for which the provider is not busy.
const FREE_MODEL: &str = "free-model";

/// Panels without data here, and why.
const EMPTY: [(&str, &str); 3] = [
    ("Memory of the container", "the kubelet's, and there is none"),
    ("CPU of the container", "the kubelet's, and there is none"),
    ("Starts", "no hub is started again"),
];

/// A hub with a relay, its provider, and streams and publishers that use it; all of it ends when it is dropped.
pub(crate) struct Loaded {
    // Ends before the hub that it uses.
    _bench: Child,
    pub(crate) hub: Hub,
}

impl Loaded {
    pub(crate) fn start() -> Self {
        let provider = busy_provider();
        let files = tempfile::tempdir().unwrap();
        let config = files.path().join("gapless.toml");
        let lab = format!("[relay.providers.lab]\ndialect = \"openai\"\nurl = \"http://{provider}\"\n");
        std::fs::write(&config, lab).unwrap();
        let hub = Hub::start_with(&["--config", &config.display().to_string()]);
        let mut bench = Command::new(env!("CARGO_BIN_EXE_gapless"));
        // Longer than any wait of the test: it is ended before.
        bench.args([
            "bench",
            "--url",
            &hub.url(),
            "--subscribers",
            "20",
            "--topics",
            "4",
            "--rate",
            "100",
            "--seconds",
            "300",
        ]);
        Self { _bench: Child::spawn(&mut bench), hub }
    }

    /// Requests that the hub refuses, one that its provider refuses, one that it answers, and a stream that resumes.
    pub(crate) fn disturb(&self) {
        let hub = &self.hub;
        assert_eq!(hub.post("/publish?topic=", &[], b"x").status, 400);
        let id = hub.publish("t", "x");
        drop(hub.resume("topic=t", &id));
        let headers = [("content-type", "application/json")];
        let ask = |model: &str| {
            let question =
                format!(r#"{{"model":"{model}","stream":true,"messages":[{{"role":"user","content":"?"}}]}}"#);
            let path = "/relay/lab/v1/chat/completions";
            wire::request(hub.address, "POST", path, &headers, question.as_bytes())
        };
        let (refused, answered) = (ask("m"), ask(FREE_MODEL));
        assert_eq!((refused.status, answered.status), (429, 200), "{} {}", refused.text(), answered.text());
    }
}

/// A provider that is busy for all models but one. Its thread ends with the test's process.
fn busy_provider() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                // Head and body, which is small, come together or shortly after each other.
                let mut request = vec![0; 65536];
                let length = socket.read(&mut request).unwrap_or(0);
                let is_free = String::from_utf8_lossy(&request[..length]).contains(FREE_MODEL);
                if is_free {
                    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
                    let frame = r#"data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}"#;
                    let _ = socket.write_all(format!("{head}{frame}\n\n").as_bytes());
                    // What comes with the end of an answer is not measured.
                    thread::sleep(Duration::from_millis(300));
                    let _ = socket.write_all(b"data: [DONE]\n\n");
                    return;
                }
                let _ = socket.write_all(
                    b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
                );
                let _ = socket.read(&mut request);
            });
        }
    });
    address
}

/// Whether it has data: a number, and where it is by hub, of both.
fn has_data(samples: &[Value]) -> bool {
    let is_number = |sample: &Value| sample["value"][1].as_str().is_some_and(|value| value != "NaN");
    let hubs: BTreeSet<&str> = samples.iter().filter_map(|sample| sample["metric"]["instance"].as_str()).collect();
    samples.iter().any(is_number) && [0, 2].contains(&hubs.len())
}

#[test]
fn two_hubs_under_load_have_data_in_every_panel_and_no_alert() {
    let hubs = [Loaded::start(), Loaded::start()];
    let prometheus = Prometheus::of(&hubs.each_ref().map(|loaded| loaded.hub.address));
    let is_empty = |query: &Query| EMPTY.iter().any(|(panel, _)| *panel == query.panel);
    let (empty, mut wanted): (Vec<_>, Vec<_>) = queries(WINDOW).into_iter().partition(is_empty);
    let all = comes_true(|| {
        hubs.iter().for_each(Loaded::disturb);
        wanted.retain(|query| !has_data(&prometheus.query(&query.expression)));
        wanted.is_empty()
    });
    let missing: Vec<_> = wanted.iter().map(|query| format!("{}: {}", query.panel, query.expression)).collect();
    assert!(all, "no data of both hubs: {missing:#?}");
    for query in empty {
        let samples = prometheus.query(&query.expression);
        assert!(samples.is_empty(), "{} has data; remove it from the list: {samples:?}", query.panel);
    }

    let rules = prometheus.rules();
    assert!(rules.len() > 15, "the alerts were not found");
    for rule in rules {
        let name = &rule["name"];
        assert_eq!(rule["health"], "ok", "{name}: {}", rule["lastError"]);
        assert_ne!(rule["state"], "firing", "{name} fires for a hub that is well: {}", rule["alerts"]);
    }
}

/// Every metric that an alert, the dashboard or a test of an alert names is one that a hub has.
#[test]
fn every_metric_that_is_watched_exists() {
    let hub = Hub::start_with(&["--engine", "memory"]);
    let text = hub.get("/metrics").text();
    let metrics: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    // A histogram has samples of other names than its own: its buckets, its sum and its count. A metric may have no sample
    // yet.
    let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(['{', ' ']).next());
    let there: BTreeSet<&str> = metrics.iter().copied().chain(samples).collect();
    let mut named = BTreeSet::new();
    for file in ["deploy/prometheus/alerts.yml", "deploy/prometheus/alerts.test.yml", "deploy/grafana/gapless.json"] {
        let text = std::fs::read_to_string(here(file)).unwrap();
        for word in
            text.split(|c: char| c != '_' && !c.is_ascii_alphanumeric()).filter(|word| word.starts_with("gapless_"))
        {
            assert!(there.contains(word), "{file}: no hub has {word}");
            named.insert(word.to_owned());
        }
    }
    let is_seen = |name: &str| named.contains(name) || named.contains(&format!("{name}_bucket"));
    let unseen: Vec<_> = metrics.iter().filter(|name| !is_seen(name)).collect();
    assert!(unseen.is_empty(), "no panel and no alert has {unseen:?}");
}
