//! The commands, run against a cluster; and the cluster as an operator with other tools sees it.

use std::{
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::nats_cluster::NatsCluster;

/// What a command has done.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Outcome {
    /// The output of a command that has succeeded.
    pub(crate) fn sound(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The codes of a check's findings.
    pub(crate) fn codes(&self) -> Vec<String> {
        let report = self.json();
        let findings = report["findings"].as_array().unwrap();
        let mut codes: Vec<String> = findings.iter().map(|one| one["kind"].as_str().unwrap().into()).collect();
        codes.dedup();
        codes
    }
}

/// Runs gapless with the cluster's servers.
pub(crate) fn gapless(cluster: &NatsCluster, arguments: &[&str]) -> Outcome {
    gapless_at(&cluster.urls().join(","), arguments)
}

/// Runs gapless with these servers.
pub(crate) fn gapless_at(servers: &str, arguments: &[&str]) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GAPLESS_")) {
        command.env_remove(name);
    }
    command.args(arguments).env("GAPLESS_NATS", servers).stdin(Stdio::null());
    let output = command.output().unwrap();
    Outcome {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A check of everything, as JSON.
pub(crate) fn check(cluster: &NatsCluster, nodes: usize, more: &[&str]) -> Outcome {
    let monitors = (0..nodes).map(|node| cluster.monitor(node)).collect::<Vec<_>>().join(",");
    let arguments = ["check", "--engine", "jetstream", "--json", "--nats-monitor", &monitors];
    gapless(cluster, &[&arguments, more].concat())
}

/// Another tool's connection.
pub(crate) struct Other {
    runtime: tokio::runtime::Runtime,
    client: async_nats::Client,
}

impl Other {
    pub(crate) fn new(cluster: &NatsCluster) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for _ in 0..100 {
            if let Ok(client) = runtime.block_on(async_nats::connect(cluster.urls())) {
                return Self { runtime, client };
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("no server takes a connection");
    }

    /// A request to `$JS.API`; waits through elections.
    pub(crate) fn api(&self, name: &str, body: &Value) -> Value {
        self.ask(&format!("$JS.API.{name}"), &[], &body.to_string())
    }

    /// Stores a message.
    pub(crate) fn store(&self, subject: &str, headers: &[(&str, &str)], data: &str) -> u64 {
        let answer = self.ask(subject, headers, data);
        answer["seq"].as_u64().unwrap_or_else(|| panic!("{answer}"))
    }

    fn ask(&self, subject: &str, headers: &[(&str, &str)], body: &str) -> Value {
        let mut map = async_nats::HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, *value);
        }
        for _ in 0..30 {
            let request = self.client.request_with_headers(subject.to_owned(), map.clone(), body.to_owned().into());
            match self.runtime.block_on(request) {
                Ok(answer) => return serde_json::from_slice(&answer.payload).unwrap(),
                Err(_) => thread::sleep(Duration::from_millis(500)),
            }
        }
        panic!("{subject}: no answer");
    }

    /// Publishes on `subject` each 100 ms while `work` runs, as the leader's heartbeat.
    pub(crate) fn beat<T: Send>(&self, subject: &str, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let working = scope.spawn(work);
            while !working.is_finished() {
                self.runtime.block_on(async {
                    self.client.publish(subject.to_owned(), Vec::new().into()).await.unwrap();
                    self.client.flush().await.unwrap();
                });
                thread::sleep(Duration::from_millis(100));
            }
            working.join().unwrap()
        })
    }

    /// Makes a stream as somebody else would, with these settings.
    pub(crate) fn make(&self, name: &str, prefix: &str, settings: &Value) {
        let mut config = json!({ "name": name, "subjects": [format!("{prefix}.>")], "retention": "limits",
            "storage": "file", "num_replicas": 1, "discard": "old", "max_bytes": -1, "max_msgs": -1,
            "max_msgs_per_subject": -1, "max_age": 0 });
        config.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let answer = self.api(&format!("STREAM.CREATE.{name}"), &config);
        assert!(answer["error"].is_null(), "{answer}");
    }

    pub(crate) fn config(&self, name: &str) -> Value {
        self.api(&format!("STREAM.INFO.{name}"), &json!({}))["config"].clone()
    }
}

/// Waits until the stream is sound: its replicas have caught up.
pub(crate) fn settled(cluster: &NatsCluster, here: &[&str]) {
    for _ in 0..30 {
        let found = check(cluster, 3, here);
        if found.code == 0 {
            return;
        }
        assert_ne!(found.code, 1, "{found:?}");
        thread::sleep(Duration::from_millis(500));
    }
    panic!("the replicas do not catch up");
}
