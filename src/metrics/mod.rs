//! Floor 0: metrics, whoever gathers them and whoever reads them.
//!
//! What is gathered once, as [`Family`] values, is written in each form: Prometheus' text, Prometheus' protobuf (which has
//! native histograms), and OTLP (in `otlp`).
//!
//! | module | idea |
//! |---|---|
//! | [`histogram`] | durations, counted in the buckets of both kinds of histogram at once |
//! | [`family`] | a metric with its samples |
//! | [`gathered`] | a list of them, as it is gathered |
//! | [`text`] | the text format 0.0.4 |
//! | [`protobuf`] | the protobuf format |

pub mod family;
pub mod gathered;
pub mod histogram;
pub mod protobuf;
pub mod text;

pub use family::{Family, Labels, MetricKind, MetricSample, MetricValue};
pub use gathered::Gathered;
pub use histogram::{DurationHistogram, HistogramCounts};
