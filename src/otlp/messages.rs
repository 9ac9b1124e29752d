//! Spans and metrics as messages of OTLP.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    metrics::v1::{
        AggregationTemporality, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Metric, NumberDataPoint,
        ResourceMetrics, ScopeMetrics, Sum, exponential_histogram_data_point::Buckets, metric::Data, number_data_point,
    },
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span as SpanMessage, Status, span::SpanKind, status::StatusCode},
};
use prost::Message as _;

use super::span::{AttributeValue, Span};
use crate::metrics::{
    Family, Gathered, HistogramCounts, MetricKind, MetricSample, MetricValue,
    histogram::{NativeBuckets, SCHEMA, zero_threshold},
};

/// Bit 8 of a span's flags: bit 9, whether the parent is of another process, is known. It is.
const PARENT_IS_REMOTE: u32 = 0x100 | 0x200;

/// Makes messages of one process.
pub(super) struct OtlpMessages {
    resource: Resource,
    scope: InstrumentationScope,
    /// When the process began, which is when its sums began.
    began: u64,
}

impl OtlpMessages {
    pub(super) fn new(service: &str) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let attributes = vec![
            attribute("service.name", text(service)),
            attribute("service.version", text(version)),
            attribute("service.instance.id", text(&instance())),
        ];
        let resource = Resource { attributes, ..Resource::default() };
        let scope = InstrumentationScope { name: "gapless".into(), version: version.into(), ..Default::default() };
        Self { resource, scope, began: nanos(SystemTime::now()) }
    }

    /// Spans that have ended.
    pub(super) fn traces(&self, spans: &[Span]) -> Bytes {
        let spans = spans.iter().map(span_message).collect();
        let scope = ScopeSpans { scope: Some(self.scope.clone()), spans, ..ScopeSpans::default() };
        let resource = Some(self.resource.clone());
        let of_hub = ResourceSpans { resource, scope_spans: vec![scope], ..ResourceSpans::default() };
        ExportTraceServiceRequest { resource_spans: vec![of_hub] }.encode_to_vec().into()
    }

    /// Metrics at this moment.
    pub(super) fn metrics(&self, gathered: &Gathered) -> Bytes {
        let now = nanos(SystemTime::now());
        let metrics = gathered.0.iter().map(|family| self.metric(family, now)).collect();
        let scope = ScopeMetrics { scope: Some(self.scope.clone()), metrics, ..ScopeMetrics::default() };
        let resource = Some(self.resource.clone());
        let of_hub = ResourceMetrics { resource, scope_metrics: vec![scope], ..ResourceMetrics::default() };
        ExportMetricsServiceRequest { resource_metrics: vec![of_hub] }.encode_to_vec().into()
    }

    fn metric(&self, family: &Family, now: u64) -> Metric {
        let cumulative = AggregationTemporality::Cumulative.into();
        let numbers = || family.samples.iter().filter_map(|sample| self.number(sample, now)).collect();
        let data = match family.kind {
            MetricKind::Gauge => Data::Gauge(Gauge { data_points: numbers() }),
            MetricKind::Counter => {
                Data::Sum(Sum { data_points: numbers(), aggregation_temporality: cumulative, is_monotonic: true })
            }
            MetricKind::Histogram => Data::ExponentialHistogram(ExponentialHistogram {
                data_points: family.samples.iter().filter_map(|sample| self.histogram(sample, now)).collect(),
                aggregation_temporality: cumulative,
            }),
        };
        Metric {
            name: family.name.into(),
            description: family.help.into(),
            unit: unit(family.name).into(),
            data: Some(data),
            ..Metric::default()
        }
    }

    fn number(&self, sample: &MetricSample, now: u64) -> Option<NumberDataPoint> {
        let MetricValue::Number(value) = sample.value else { return None };
        Some(NumberDataPoint {
            attributes: labels(sample),
            start_time_unix_nano: self.began,
            time_unix_nano: now,
            value: Some(number_data_point::Value::AsDouble(value)),
            ..NumberDataPoint::default()
        })
    }

    fn histogram(&self, sample: &MetricSample, now: u64) -> Option<ExponentialHistogramDataPoint> {
        let MetricValue::Histogram(counts) = &sample.value else { return None };
        let NativeBuckets { zero_count, first_index, counts: bucket_counts } = HistogramCounts::native(counts);
        Some(ExponentialHistogramDataPoint {
            attributes: labels(sample),
            start_time_unix_nano: self.began,
            time_unix_nano: now,
            count: counts.count(),
            sum: Some(counts.sum().as_secs_f64()),
            scale: SCHEMA,
            zero_count,
            zero_threshold: zero_threshold(),
            // OTLP names a bucket by its lower bound, Prometheus by its upper one.
            positive: Some(Buckets { offset: first_index - 1, bucket_counts }),
            ..ExponentialHistogramDataPoint::default()
        })
    }
}

fn span_message(span: &Span) -> SpanMessage {
    let start = nanos(span.start);
    let parent = span.parent.map(|parent| parent.bytes().to_vec());
    let code = if span.failed { StatusCode::Error } else { StatusCode::Unset };
    SpanMessage {
        trace_id: span.trace.bytes().to_vec(),
        span_id: span.id.bytes().to_vec(),
        flags: u32::from(span.flags) | if parent.is_some() { PARENT_IS_REMOTE } else { 0x100 },
        parent_span_id: parent.unwrap_or_default(),
        name: span.name.clone(),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: start.saturating_add(span.nanos),
        attributes: span.attributes.iter().map(|(name, value)| attribute(name, any_value(value))).collect(),
        status: Some(Status { code: code.into(), ..Status::default() }),
        ..SpanMessage::default()
    }
}

fn any_value(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::Text(value) => text(value),
        AttributeValue::Number(value) => Value::IntValue(*value),
    }
}

fn labels(sample: &MetricSample) -> Vec<KeyValue> {
    sample.labels.iter().map(|(name, value)| attribute(name, text(value))).collect()
}

fn attribute(name: &str, value: Value) -> KeyValue {
    KeyValue { key: name.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(value: &str) -> Value {
    Value::StringValue(value.into())
}

/// The unit that a metric's name says, as UCUM writes it.
fn unit(name: &str) -> &'static str {
    match name.strip_suffix("_total").unwrap_or(name) {
        name if name.ends_with("_seconds") => "s",
        name if name.ends_with("_bytes") => "By",
        _ => "",
    }
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// A random UUID of this process.
fn instance() -> String {
    let random = u128::from(fastrand::u64(..)) << 64 | u128::from(fastrand::u64(..));
    // Version 4, variant 1.
    let number = random & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let digits = format!("{number:032x}");
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::DurationHistogram;

    #[test]
    fn metrics_are_those_that_were_gathered() {
        let histogram = DurationHistogram::default();
        histogram.record(Duration::from_secs(1));
        let mut gathered = Gathered::default();
        gathered.counter("a_bytes_total", "Help.", 7);
        gathered.labeled(MetricKind::Gauge, "b", "Help.", "state", [("live", 2_u64)]);
        gathered.histogram("c_seconds", "Help.", histogram.counts());
        let bytes = OtlpMessages::new("test").metrics(&gathered);
        let mut request = ExportMetricsServiceRequest::decode(bytes).expect("a request");
        let metrics = request.resource_metrics.remove(0).scope_metrics.remove(0).metrics;
        let units: Vec<_> = metrics.iter().map(|metric| (&*metric.name, &*metric.unit)).collect();
        assert_eq!(units, [("a_bytes_total", "By"), ("b", ""), ("c_seconds", "s")]);
        let Some(Data::Sum(sum)) = &metrics[0].data else { panic!("{:?}", metrics[0]) };
        assert!(sum.is_monotonic && sum.data_points[0].value == Some(number_data_point::Value::AsDouble(7.0)));
        let Some(Data::Gauge(gauge)) = &metrics[1].data else { panic!("{:?}", metrics[1]) };
        assert_eq!(gauge.data_points[0].attributes, [attribute("state", text("live"))]);
        let Some(Data::ExponentialHistogram(histogram)) = &metrics[2].data else { panic!("{:?}", metrics[2]) };
        let point = &histogram.data_points[0];
        // (2^(-1/8), 1] s
        assert_eq!(point.positive, Some(Buckets { offset: -1, bucket_counts: vec![1] }));
        assert_eq!((point.count, point.sum, point.scale), (1, Some(1.0), 3));
    }

    #[test]
    fn the_id_of_a_process_is_a_uuid() {
        let id = instance();
        let parts: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert!(id.as_bytes()[14] == b'4' && matches!(id.as_bytes()[19], b'8'..=b'b'), "{id}");
        assert_ne!(id, instance());
    }
}
