//! Prometheus' protobuf format: `io.prometheus.client.MetricFamily`, each after its length. Only this format has native
//! histograms.
//!
//! The messages are those of `metrics.proto` of [client_model](https://github.com/prometheus/client_model), as far as they
//! are written here; their numbers never change.

use prost::Message;

use super::{
    family::{Family, MetricKind, MetricSample, MetricValue},
    gathered::Gathered,
    histogram::{HistogramCounts, NativeBuckets, SCHEMA, zero_threshold},
};

/// Its media type.
pub const CONTENT_TYPE: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// The metrics as messages. Histograms have classic and native buckets: a server chooses which it stores.
#[must_use]
pub fn encode(gathered: &Gathered) -> Vec<u8> {
    let mut out = Vec::new();
    for family in &gathered.0 {
        family_message(family).encode_length_delimited(&mut out).expect("a Vec grows");
    }
    out
}

#[derive(Clone, PartialEq, Message)]
struct FamilyMessage {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    help: String,
    /// 0 counter, 1 gauge, 4 histogram.
    #[prost(int32, tag = "3")]
    kind: i32,
    #[prost(message, repeated, tag = "4")]
    metric: Vec<MetricMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct MetricMessage {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelMessage>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<NumberMessage>,
    #[prost(message, optional, tag = "3")]
    counter: Option<NumberMessage>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<HistogramMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct LabelMessage {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// A gauge or a counter.
#[derive(Clone, PartialEq, Message)]
struct NumberMessage {
    #[prost(double, tag = "1")]
    value: f64,
}

#[derive(Clone, PartialEq, Message)]
struct HistogramMessage {
    #[prost(uint64, tag = "1")]
    sample_count: u64,
    #[prost(double, tag = "2")]
    sample_sum: f64,
    #[prost(message, repeated, tag = "3")]
    bucket: Vec<BucketMessage>,
    #[prost(sint32, tag = "5")]
    schema: i32,
    #[prost(double, tag = "6")]
    zero_threshold: f64,
    #[prost(uint64, tag = "7")]
    zero_count: u64,
    #[prost(message, repeated, tag = "12")]
    positive_span: Vec<SpanMessage>,
    /// The first count, then each count less the one before it.
    #[prost(sint64, repeated, tag = "13")]
    positive_delta: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct BucketMessage {
    #[prost(uint64, tag = "1")]
    cumulative_count: u64,
    #[prost(double, tag = "2")]
    upper_bound: f64,
}

/// Buckets in a row.
#[derive(Clone, PartialEq, Message)]
struct SpanMessage {
    /// Index of the first one, or the number of empty buckets since the span before it.
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint32, tag = "2")]
    length: u32,
}

fn family_message(family: &Family) -> FamilyMessage {
    let kind = match family.kind {
        MetricKind::Counter => 0,
        MetricKind::Gauge => 1,
        MetricKind::Histogram => 4,
    };
    let metric = family.samples.iter().map(|sample| metric_message(family.kind, sample)).collect();
    FamilyMessage { name: family.name.into(), help: family.help.into(), kind, metric }
}

fn metric_message(kind: MetricKind, sample: &MetricSample) -> MetricMessage {
    let label = |(name, value): &(&'static str, String)| LabelMessage { name: (*name).into(), value: value.clone() };
    let mut metric = MetricMessage { label: sample.labels.iter().map(label).collect(), ..MetricMessage::default() };
    match &sample.value {
        MetricValue::Number(value) if kind == MetricKind::Counter => {
            metric.counter = Some(NumberMessage { value: *value });
        }
        MetricValue::Number(value) => metric.gauge = Some(NumberMessage { value: *value }),
        MetricValue::Histogram(counts) => metric.histogram = Some(histogram_message(counts)),
    }
    metric
}

fn histogram_message(counts: &HistogramCounts) -> HistogramMessage {
    let NativeBuckets { zero_count, first_index, counts: native } = counts.native();
    let bucket = |(upper_bound, cumulative_count)| BucketMessage { cumulative_count, upper_bound };
    let mut before = 0;
    let delta = |count: &u64| {
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        count - std::mem::replace(&mut before, count)
    };
    HistogramMessage {
        sample_count: counts.count(),
        sample_sum: counts.sum().as_secs_f64(),
        bucket: counts.classic().map(bucket).collect(),
        schema: SCHEMA,
        zero_threshold: zero_threshold(),
        zero_count,
        // A span without a bucket says that it is a native histogram, also before anything is counted.
        positive_span: vec![SpanMessage { offset: first_index, length: u32::try_from(native.len()).unwrap_or(0) }],
        positive_delta: native.iter().map(delta).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::DurationHistogram;

    #[test]
    fn each_family_comes_after_its_length_and_a_histogram_has_both_kinds_of_buckets() {
        let histogram = DurationHistogram::default();
        for ms in [1, 1, 1, 3] {
            histogram.record(Duration::from_millis(ms));
        }
        let mut gathered = Gathered::default();
        gathered.counter("a_total", "Help.", 7);
        gathered.histogram("b_seconds", "Help.", histogram.counts());
        let bytes = encode(&gathered);
        let mut rest = &bytes[..];
        let counter = FamilyMessage::decode_length_delimited(&mut rest).expect("a family");
        assert_eq!(
            (&*counter.name, counter.kind, counter.metric[0].counter.clone()),
            ("a_total", 0, Some(NumberMessage { value: 7.0 }))
        );
        let family = FamilyMessage::decode_length_delimited(&mut rest).expect("another");
        assert!(rest.is_empty());
        let histogram = family.metric[0].histogram.as_ref().expect("a histogram");
        assert_eq!((family.kind, histogram.sample_count, histogram.bucket.len()), (4, 4, 17));
        let deltas = &histogram.positive_delta;
        assert_eq!((deltas[0], deltas[1], deltas.last()), (3, -3, Some(&1)));
        assert_eq!(histogram.positive_span[0].length as usize, deltas.len());
    }
}
