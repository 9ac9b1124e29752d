//! A server's `/varz`: what only its monitoring port tells.

use serde::Deserialize;

use super::finding::{StreamFinding, StreamFindingKind as Kind};

/// The page `/varz` of a server, as it was fetched.
#[derive(Debug, Clone)]
pub struct MonitorPage {
    /// The URL of the monitoring port.
    pub url: String,
    /// The body, or why there is none.
    pub body: Result<Vec<u8>, String>,
}

#[derive(Deserialize)]
struct Varz {
    server_name: String,
    jetstream: Option<JetStreamVars>,
}

#[derive(Deserialize)]
struct JetStreamVars {
    config: Option<JetStreamVarsConfig>,
    limits: Option<JetStreamVarsLimits>,
}

#[derive(Deserialize)]
struct JetStreamVarsConfig {
    #[serde(default)]
    sync_always: bool,
    /// Nanoseconds.
    #[serde(default)]
    sync_interval: u64,
}

#[derive(Deserialize)]
struct JetStreamVarsLimits {
    #[serde(default)]
    max_batch_size: Option<u64>,
}

/// NATS's own limit of a batch.
const DEFAULT_BATCH: u64 = 1000;

/// What the pages tell. Returns the names of the servers whose setting of `sync_interval` was seen.
pub(super) fn read(pages: &[MonitorPage], max_batch: u64, findings: &mut Vec<StreamFinding>) -> Vec<String> {
    let mut seen = Vec::new();
    for MonitorPage { url, body } in pages {
        let mut away = |what: String| findings.push(StreamFinding::new(Kind::MonitorAway, url, what));
        let body = match body {
            Ok(body) => body,
            Err(problem) => {
                away(problem.clone());
                continue;
            }
        };
        let varz: Varz = match serde_json::from_slice(body) {
            Ok(varz) => varz,
            Err(error) => {
                away(format!("it is not a server's monitoring port: {error}"));
                continue;
            }
        };
        let Some(JetStreamVars { config: Some(config), limits }) = varz.jetstream else {
            away(format!("the server {} has no JetStream, or does not tell its settings", varz.server_name));
            continue;
        };
        let place = format!("{} ({url})", varz.server_name);
        if !config.sync_always {
            let what = format!("sync_interval is {} s, wanted always", config.sync_interval / 1_000_000_000);
            findings.push(StreamFinding::new(Kind::Unsynced, &place, what));
        }
        let most = limits.and_then(|limits| limits.max_batch_size).filter(|most| *most > 0).unwrap_or(DEFAULT_BATCH);
        if most < max_batch {
            let what = format!("it takes {most} messages in a batch, and nats.max_batch is {max_batch}");
            findings.push(StreamFinding::new(Kind::BatchLimit, &place, what));
        }
        seen.push(varz.server_name);
    }
    seen
}
