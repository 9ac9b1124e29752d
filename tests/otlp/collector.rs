//! A real collector, which writes down all that it gets; killed when dropped.

use std::{fs, net::TcpListener, path::Path, process::Command};

use tempfile::TempDir;

use crate::{
    child::{Child, here},
    support::{eventually, wire},
};

/// A running collector.
pub(crate) struct Collector {
    pub(crate) url: String,
    process: Child,
    _files: TempDir,
}

impl Collector {
    /// It receives OTLP over HTTP, and writes every item with all its fields.
    pub(crate) fn start() -> Self {
        let files = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = format!(
            "receivers: {{ otlp: {{ protocols: {{ http: {{ endpoint: \"{address}\" }} }} }} }}\n\
             exporters: {{ debug: {{ verbosity: detailed, use_internal_logger: false }} }}\n\
             service:\n\
             \x20 telemetry: {{ metrics: {{ level: none }} }}\n\
             \x20 pipelines:\n\
             \x20   traces: {{ receivers: [otlp], exporters: [debug] }}\n\
             \x20   metrics: {{ receivers: [otlp], exporters: [debug] }}\n"
        );
        let path = files.path().join("collector.yaml");
        fs::write(&path, config).unwrap();
        let program = here("target/go/collector");
        assert!(Path::new(&program).is_file(), "{program} is not here: run `make install`");
        let mut command = Command::new(program);
        command.arg("--config").arg(format!("file:{}", path.display()));
        let mut process = Child::spawn(&mut command);
        eventually("the collector listens", || {
            assert_eq!(process.exit_code(), None, "the collector refuses its configuration");
            wire::try_open(address, "GET", "/", &[], b"").is_ok()
        });
        Self { url: format!("http://{address}"), process, _files: files }
    }

    /// What it has got so far.
    pub(crate) fn text(&self) -> String {
        self.process.lines().join("\n")
    }

    /// The text of each span, of each metric, or of each resource: `what` is `Span #`, `Metric #`, `Resource`.
    pub(crate) fn parts(&self, what: &str) -> Vec<String> {
        let text = self.text();
        let ends = ["Span #", "Metric #", "ResourceSpans #", "ResourceMetrics #"];
        let mut found: Vec<String> = Vec::new();
        let mut inside = false;
        for line in text.lines() {
            if line.starts_with(what) {
                inside = true;
                found.push(String::new());
            } else if ends.iter().any(|end| line.starts_with(end)) {
                inside = false;
            }
            if inside {
                let part = found.last_mut().unwrap();
                part.push_str(line.trim());
                part.push('\n');
            }
        }
        found
    }
}

/// The value of a field as the collector writes it: `Name : value`, or `-> name: Str(value)`.
pub(crate) fn field<'a>(part: &'a str, name: &str) -> Option<&'a str> {
    part.lines().find_map(|line| {
        let line = line.strip_prefix("-> ").unwrap_or(line);
        let value = line.strip_prefix(name)?.trim_start().strip_prefix(':')?.trim();
        Some(value.strip_prefix("Str(").and_then(|value| value.strip_suffix(')')).unwrap_or(value))
    })
}
