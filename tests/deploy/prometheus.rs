//! A real Prometheus that scrapes hubs of the test; killed when dropped.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    child::{Child, here, tool},
    support::{
        eventually,
        wire::{self, Answer},
    },
};

/// A running Prometheus.
pub(crate) struct Prometheus {
    address: SocketAddr,
    _process: Child,
    _files: TempDir,
}

impl Prometheus {
    /// It scrapes `hubs` twice a second, and watches the alerts.
    pub(crate) fn of(hubs: &[SocketAddr]) -> Self {
        Self::with(hubs, &[])
    }

    /// The same; it asks for protobuf, and keeps native histograms only.
    pub(crate) fn with_native_histograms(hubs: &[SocketAddr]) -> Self {
        Self::with(hubs, &["--enable-feature=native-histograms"])
    }

    fn with(hubs: &[SocketAddr], more: &[&str]) -> Self {
        let files = tempfile::tempdir().unwrap();
        let targets: Vec<String> = hubs.iter().map(|hub| format!("\"{hub}\"")).collect();
        let config = format!(
            "global: {{ scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms }}\n\
             rule_files: [{:?}]\n\
             scrape_configs: [{{ job_name: hubs, static_configs: [{{ targets: [{}] }}] }}]\n",
            here("deploy/prometheus/alerts.yml"),
            targets.join(", ")
        );
        let path = files.path().join("prometheus.yml");
        fs::write(&path, config).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new(tool("prometheus"));
        command
            .arg(format!("--config.file={}", path.display()))
            .arg(format!("--storage.tsdb.path={}", files.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .args(more)
            .stderr(Stdio::inherit());
        let mut process = Child::spawn(&mut command);
        eventually("Prometheus is ready", || {
            assert_eq!(process.exit_code(), None, "Prometheus refuses its configuration");
            let ready = wire::try_open(address, "GET", "/-/ready", &[], b"");
            ready.is_ok_and(|answer| answer.status == 200)
        });
        Self { address, _process: process, _files: files }
    }

    /// The samples of a query now.
    pub(crate) fn query(&self, expression: &str) -> Vec<Value> {
        let form = form_urlencoded(expression);
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let answer = wire::request(self.address, "POST", "/api/v1/query", &headers, form.as_bytes());
        let result = data(&answer, expression)["result"].take();
        let Value::Array(samples) = result else { panic!("{expression}: {result}") };
        samples
    }

    /// Its alerting rules, as it sees them.
    pub(crate) fn rules(&self) -> Vec<Value> {
        let answer = wire::request(self.address, "GET", "/api/v1/rules", &[], b"");
        let mut data = data(&answer, "the rules");
        let Value::Array(rules) = data["groups"][0]["rules"].take() else { panic!("{data}") };
        rules
    }
}

fn data(answer: &Answer, what: &str) -> Value {
    let mut json = answer.json();
    assert_eq!(json["status"], "success", "{what}: {json}");
    json["data"].take()
}

fn form_urlencoded(expression: &str) -> String {
    let encoded = expression.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02X}"));
    format!("query={encoded}")
}
