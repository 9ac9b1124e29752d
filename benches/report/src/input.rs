//! Parses the output of a bench: the format of `target/bench/<name>.json`.

use std::{fs, io, path::Path};

use serde::Deserialize;

/// The results of one bench.
#[derive(Debug, Deserialize)]
pub(crate) struct Bench {
    #[serde(rename = "bench")]
    pub(crate) name: String,
    pub(crate) question: String,
    pub(crate) date: String,
    pub(crate) machine: Machine,
    #[serde(default)]
    pub(crate) method: String,
    pub(crate) rows: Vec<Row>,
    #[serde(default)]
    pub(crate) ratios: Vec<Ratio>,
    #[serde(default)]
    pub(crate) notes: Vec<String>,
    #[serde(default)]
    pub(crate) series: Vec<Series>,
}

/// The machine that it ran on.
#[derive(Debug, Deserialize, PartialEq)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: u64,
    pub(crate) memory_gib: f64,
    pub(crate) kernel: String,
}

/// A figure: the median of some rounds.
#[derive(Debug, Deserialize)]
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) contender: String,
    pub(crate) measure: String,
    pub(crate) unit: String,
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) rounds: u64,
}

/// A figure with a target: `of` against `to`, or `of` alone when `to` is null.
#[derive(Debug, Deserialize)]
pub(crate) struct Ratio {
    pub(crate) case: String,
    pub(crate) measure: String,
    pub(crate) of: String,
    pub(crate) to: Option<String>,
    /// The unit of an absolute figure.
    #[serde(default)]
    pub(crate) unit: String,
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) reach: Option<f64>,
    pub(crate) aim: Option<f64>,
    pub(crate) better: Better,
}

/// Which direction is better.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    Higher,
    Lower,
}

/// A measure over time: seconds since the start, and a value where there is one.
#[derive(Debug, Deserialize)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) points: Vec<(f64, Option<f64>)>,
}

impl Bench {
    /// Whether this contender is the hub itself.
    pub(crate) fn is_ours(contender: &str) -> bool {
        contender.starts_with("gapless")
    }
}

/// The order of the benches; others follow by name.
const ORDER: [&str; 17] = [
    "fan_out",
    "idle",
    "replay",
    "storm",
    "slow",
    "patterns",
    "publish",
    "peers",
    "jetstream",
    "relay",
    "durable_streams",
    "resume",
    "topics",
    "quiet",
    "secure",
    "access",
    "access_requests",
];

/// Where a bench comes in the document.
pub(crate) fn place(name: &str) -> (usize, &str) {
    (ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len()), name)
}

/// All reports in `dir`, in any order; none when it does not exist.
///
/// # Errors
/// When a file cannot be read or is not a report; the error names it.
pub(crate) fn read(dir: &Path) -> io::Result<Vec<Bench>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut benches = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "json") {
            let bench: Bench = serde_json::from_slice(&fs::read(&path)?).map_err(|error| {
                let what =
                    format!("{}: no report of a bench: {error}; run it again or remove the file", path.display());
                io::Error::new(io::ErrorKind::InvalidData, what)
            })?;
            benches.push(bench);
        }
    }
    Ok(benches)
}
