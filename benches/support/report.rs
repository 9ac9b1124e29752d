//! The answers: one aligned table, and the same in `target/bench/<name>.json` for whoever compares runs.

use std::{fs, path::Path};

use serde_json::{Value, json};

/// What a bench found.
pub(crate) struct Report {
    name: &'static str,
    rows: Vec<Row>,
}

struct Row {
    what: String,
    value: f64,
    unit: &'static str,
    below: Option<f64>,
}

impl Report {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, rows: Vec::new() }
    }

    /// A figure.
    pub(crate) fn row(&mut self, what: impl Into<String>, value: f64, unit: &'static str) {
        self.rows.push(Row { what: what.into(), value, unit, below: None });
    }

    /// A figure that should be below `target`.
    pub(crate) fn below(&mut self, what: impl Into<String>, value: f64, unit: &'static str, target: f64) {
        self.rows.push(Row { what: what.into(), value, unit, below: Some(target) });
    }

    /// Prints it and writes it down.
    pub(crate) fn finish(self) {
        let width = self.rows.iter().map(|row| row.what.chars().count()).max().unwrap_or(0);
        println!("\n{}", self.name);
        for Row { what, value, unit, below } in &self.rows {
            let target = below.map_or(String::new(), |target| {
                let met = if value < &target { "met" } else { "MISSED" };
                format!("below {target}: {met}")
            });
            println!("  {what:width$}  {:>12} {unit:<8} {target}", figure(*value));
        }
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| json!({ "what": row.what, "value": row.value, "unit": row.unit, "below": row.below }))
            .collect();
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
        let text = serde_json::to_string_pretty(&rows).expect("plain values");
        fs::create_dir_all(&dir)
            .and_then(|()| fs::write(dir.join(format!("{}.json", self.name)), text))
            .expect("written");
    }
}

/// Three digits that count.
fn figure(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
