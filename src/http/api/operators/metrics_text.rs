//! Prometheus' text format.

use std::fmt::{Display, Write};

/// The text format. Label values come from the program, so nothing needs escaping.
#[derive(Default)]
pub(super) struct MetricsText(pub(super) String);

impl MetricsText {
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head("gauge", name, help);
        self.line(format_args!("{name} {value}"));
    }

    /// A gauge without a sample while its value is not known.
    pub(super) fn known_gauge(&mut self, name: &str, help: &str, value: Option<impl Display>) {
        self.head("gauge", name, help);
        if let Some(value) = value {
            self.line(format_args!("{name} {value}"));
        }
    }

    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head("counter", name, help);
        self.line(format_args!("{name} {value}"));
    }

    pub(super) fn labeled<'a, T: Display>(
        &mut self,
        kind: &str,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'a str, T)>,
    ) {
        self.head(kind, name, help);
        for (text, value) in values {
            self.line(format_args!("{name}{{{label}=\"{text}\"}} {value}"));
        }
    }

    /// What a summary has counted, after its quantiles: from these rates of any interval are made.
    pub(super) fn sum_and_count(&mut self, name: &str, sum: f64, count: u64) {
        self.line(format_args!("{name}_sum {sum}"));
        self.line(format_args!("{name}_count {count}"));
    }

    /// A metric with several labels, of which each value has the text.
    pub(super) fn with_labels(
        &mut self,
        kind: &str,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (String, u64)>,
    ) {
        self.head(kind, name, help);
        for (labels, value) in values {
            self.line(format_args!("{name}{{{labels}}} {value}"));
        }
    }

    pub(super) fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str)]) {
        self.head("gauge", name, help);
        let labels: Vec<String> = labels.iter().map(|(label, text)| format!("{label}=\"{text}\"")).collect();
        self.line(format_args!("{name}{{{}}} 1", labels.join(",")));
    }

    fn head(&mut self, kind: &str, name: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{text}").expect("writing to memory");
    }
}
