//! The metrics as they are gathered.

use super::{
    family::{Family, Labels, MetricKind, MetricSample, MetricValue},
    histogram::HistogramCounts,
};

/// All metrics at one moment, in the order in which they were added.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Gathered(pub Vec<Family>);

/// A number that is a sample. Above 2^53 it loses digits, as it does in Prometheus, which stores `f64`.
pub trait Number {
    /// The number.
    fn number(self) -> f64;
}

impl Gathered {
    /// A value that rises and falls.
    pub fn gauge(&mut self, name: &'static str, help: &'static str, value: impl Number) {
        self.known_gauge(name, help, Some(value));
    }

    /// A gauge without a sample while its value is not known.
    pub fn known_gauge(&mut self, name: &'static str, help: &'static str, value: Option<impl Number>) {
        self.add(MetricKind::Gauge, name, help, value.map(|value| (Vec::new(), value.number())));
    }

    /// A value that only rises.
    pub fn counter(&mut self, name: &'static str, help: &'static str, value: u64) {
        self.add(MetricKind::Counter, name, help, [(Vec::new(), value.number())]);
    }

    /// A metric with one label.
    pub fn labeled<'a, T: Number>(
        &mut self,
        kind: MetricKind,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        values: impl IntoIterator<Item = (&'a str, T)>,
    ) {
        let samples = values.into_iter().map(|(text, value)| (vec![(label, text.to_owned())], value.number()));
        self.add(kind, name, help, samples);
    }

    /// A counter with several labels.
    pub fn with_labels(
        &mut self,
        name: &'static str,
        help: &'static str,
        values: impl IntoIterator<Item = (Labels, u64)>,
    ) {
        let samples = values.into_iter().map(|(labels, value)| (labels, value.number()));
        self.add(MetricKind::Counter, name, help, samples);
    }

    /// A gauge that is always 1, for its labels.
    pub fn info(&mut self, name: &'static str, help: &'static str, labels: &[(&'static str, &str)]) {
        let labels = labels.iter().map(|(label, text)| (*label, (*text).to_owned())).collect();
        self.add(MetricKind::Gauge, name, help, [(labels, 1.0)]);
    }

    /// Durations, in seconds.
    pub fn histogram(&mut self, name: &'static str, help: &'static str, counts: HistogramCounts) {
        let samples = vec![MetricSample { labels: Vec::new(), value: MetricValue::Histogram(counts) }];
        self.0.push(Family { name, help, kind: MetricKind::Histogram, samples });
    }

    fn add(
        &mut self,
        kind: MetricKind,
        name: &'static str,
        help: &'static str,
        values: impl IntoIterator<Item = (Labels, f64)>,
    ) {
        let sample = |(labels, value)| MetricSample { labels, value: MetricValue::Number(value) };
        self.0.push(Family { name, help, kind, samples: values.into_iter().map(sample).collect() });
    }
}

impl Number for f64 {
    fn number(self) -> f64 {
        self
    }
}

impl Number for u8 {
    fn number(self) -> f64 {
        self.into()
    }
}

impl Number for u64 {
    #[expect(clippy::cast_precision_loss, reason = "said by the trait")]
    fn number(self) -> f64 {
        self as f64
    }
}
