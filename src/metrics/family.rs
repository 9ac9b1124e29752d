//! A metric, and its samples at one moment.

use super::histogram::HistogramCounts;

/// Names and values of labels. Values come from the program or its configuration.
pub type Labels = Vec<(&'static str, String)>;

/// A metric with all its samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// Its name, `gapless_<noun>_<unit>[_total]`.
    pub name: &'static str,
    /// A sentence about it.
    pub help: &'static str,
    /// What its samples are.
    pub kind: MetricKind,
    /// One for each combination of labels; none while the value is not known.
    pub samples: Vec<MetricSample>,
}

/// What the samples of a metric are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// A value that rises and falls.
    Gauge,
    /// A value that only rises while the process lives.
    Counter,
    /// Durations in buckets, since the process began.
    Histogram,
}

/// A sample.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricSample {
    /// Its labels.
    pub labels: Labels,
    /// Its value.
    pub value: MetricValue,
}

/// The value of a sample.
#[derive(Debug, Clone, PartialEq)]
pub enum MetricValue {
    /// Of a gauge or a counter.
    Number(f64),
    /// Of a histogram.
    Histogram(HistogramCounts),
}

impl MetricKind {
    /// Its name in Prometheus' text format.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}
