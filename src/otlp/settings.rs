//! What is exported where.

use std::{pin::Pin, sync::Arc, time::Duration};

use http::HeaderMap;

use crate::{client::Connector, metrics::Gathered};

/// How long the exit of the process waits for the last export: less than the second that process managers give beyond a
/// drain.
pub const LAST_EXPORT: Duration = Duration::from_millis(800);

/// The metrics of the hub at this moment.
pub type Gathering = Pin<Box<dyn Future<Output = Gathered>>>;

/// The settings of an export.
#[derive(Debug)]
pub struct OtlpSettings {
    /// Connects to the collector.
    pub connector: Arc<Connector>,
    /// The path before `/v1/traces` and `/v1/metrics`; without a slash at its end.
    pub path: String,
    /// Headers of each request, such as a credential.
    pub headers: HeaderMap,
    /// Time between two exports of the metrics.
    pub interval: Duration,
    /// Time for one attempt, from the connection to the end of the answer.
    pub timeout: Duration,
    /// Whether traces are exported.
    pub traces: bool,
    /// Whether metrics are exported.
    pub metrics: bool,
    /// Share of the requests without a parent that get a span: 0 to 1.
    pub sample: f64,
    /// `service.name` of everything that is exported.
    pub service: String,
}
