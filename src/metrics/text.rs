//! Prometheus' text format 0.0.4.

use std::fmt::Write;

use super::{
    family::{Family, MetricSample, MetricValue},
    gathered::Gathered,
};

/// Its media type.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The metrics as text. Histograms have their classic buckets.
#[must_use]
pub fn text(gathered: &Gathered) -> String {
    let mut out = String::new();
    for family in &gathered.0 {
        write_family(&mut out, family).expect("writing to memory");
    }
    out
}

fn write_family(out: &mut String, family: &Family) -> std::fmt::Result {
    let Family { name, help, kind, samples } = family;
    writeln!(out, "# HELP {name} {help}")?;
    writeln!(out, "# TYPE {name} {}", kind.as_str())?;
    for MetricSample { labels, value } in samples {
        match value {
            MetricValue::Number(value) => writeln!(out, "{name}{} {value}", braces(labels, None))?,
            MetricValue::Histogram(counts) => {
                for (bound, below) in counts.classic() {
                    writeln!(out, "{name}_bucket{} {below}", braces(labels, Some(&bound.to_string())))?;
                }
                writeln!(out, "{name}_bucket{} {}", braces(labels, Some("+Inf")), counts.count())?;
                writeln!(out, "{name}_sum{} {}", braces(labels, None), counts.sum().as_secs_f64())?;
                writeln!(out, "{name}_count{} {}", braces(labels, None), counts.count())?;
            }
        }
    }
    Ok(())
}

/// The labels in braces, and `le` if it is given; empty without any.
fn braces(labels: &[(&'static str, String)], le: Option<&str>) -> String {
    let own = labels.iter().map(|(label, text)| (*label, &**text));
    let all: Vec<String> =
        own.chain(le.map(|le| ("le", le))).map(|(label, text)| format!("{label}=\"{}\"", escaped(text))).collect();
    if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::DurationHistogram;

    #[test]
    fn a_histogram_has_its_buckets_its_sum_and_its_count() {
        let histogram = DurationHistogram::default();
        histogram.record(Duration::from_millis(3));
        let mut gathered = Gathered::default();
        gathered.histogram("x_seconds", "Help.", histogram.counts());
        gathered.info("x_info", "Help.", &[("a", "b\"c\\d\n")]);
        let text = text(&gathered);
        assert!(text.starts_with("# HELP x_seconds Help.\n# TYPE x_seconds histogram\n"), "{text}");
        for line in [
            "x_seconds_bucket{le=\"0.0025\"} 0",
            "x_seconds_bucket{le=\"0.005\"} 1",
            "x_seconds_bucket{le=\"+Inf\"} 1",
            "x_seconds_sum 0.003",
            "x_seconds_count 1",
            "x_info{a=\"b\\\"c\\\\d\\n\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
