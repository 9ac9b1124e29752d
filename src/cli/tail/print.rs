//! Prints events and notices.

use std::{collections::VecDeque, io::Write};

use serde::Deserialize;

use crate::cli::{CliError, text::one_line};

/// The output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OutputFormat {
    /// The data of each event.
    Data,
    /// Each line of the data, prefixed with the topic. Needs envelopes.
    TopicAndData,
    /// The envelope of each event, on one line. Needs envelopes.
    Json,
}

/// Most reported removals that are remembered, so that an event's tombstone and its later removal notice are reported
/// once. Each takes some 40 bytes.
const MAX_REMOVALS: usize = 1024;

/// Writes events to `out`, and the hub's notices to `notes`.
#[derive(Debug)]
pub(super) struct Printer<O, N> {
    out: O,
    notes: N,
    format: OutputFormat,
    left: Option<u64>,
    /// Ids of removed events that were reported, the newest last.
    removals: VecDeque<String>,
}

/// What was printed for an event of the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Printed {
    /// An event of a topic.
    Event,
    /// A notice of the hub.
    Notice,
    /// The end of this topic.
    End(String),
}

#[derive(Deserialize)]
struct ReceivedEnvelope {
    topic: String,
    data: String,
}

#[derive(Deserialize)]
struct GapData {
    topic: Option<String>,
    after: Option<String>,
    resumes_at: Option<String>,
    reason: String,
}

#[derive(Deserialize)]
struct EndData {
    topic: String,
    reason: String,
}

/// A removed event.
#[derive(Deserialize)]
struct RemovalData {
    topic: String,
    id: String,
}

impl<O: Write, N: Write> Printer<O, N> {
    /// Prints at most `count` events.
    pub(super) fn new(out: O, notes: N, format: OutputFormat, count: Option<u64>) -> Self {
        Self { out, notes, format, left: count, removals: VecDeque::new() }
    }

    /// Whether the requested number of events is printed.
    pub(super) fn is_full(&self) -> bool {
        self.left == Some(0)
    }

    /// Prints an event, unless [`is_full`](Self::is_full). The hub's own events are printed as notices.
    pub(super) fn event(&mut self, name: &str, data: &str) -> Result<Printed, CliError> {
        match name {
            _ if self.is_full() => return Ok(Printed::Notice),
            // The position is kept already, and a keepalive has no content.
            "hub.cursor" | "hub.keepalive" => return Ok(Printed::Notice),
            "hub.gap" => {
                self.note(&serde_json::from_str::<GapData>(data).map_or_else(|_| data.into(), |gap| gap.describe()));
                return Ok(Printed::Notice);
            }
            "hub.end" => {
                let end = serde_json::from_str::<EndData>(data);
                self.note(&end.as_ref().map_or_else(|_| data.into(), EndData::describe));
                return Ok(end.map_or(Printed::Notice, |end| Printed::End(end.topic)));
            }
            // With --json a removal is printed as an envelope, so that programs can process it.
            "hub.removed" if self.format != OutputFormat::Json => {
                match removed(data) {
                    Some(removed) if self.removals.contains(&removed.id) => {}
                    Some(removed) => {
                        self.note(&removed.describe());
                        if self.removals.len() == MAX_REMOVALS {
                            self.removals.pop_front();
                        }
                        self.removals.push_back(removed.id);
                    }
                    None => self.note(data),
                }
                return Ok(Printed::Notice);
            }
            _ => {}
        }
        self.write(data).map_err(CliError::output)?;
        self.left = self.left.map(|left| left - 1);
        Ok(Printed::Event)
    }

    /// Prints a notice. Errors are ignored.
    pub(super) fn note(&mut self, text: &str) {
        // One write, so that lines of other processes do not mix with it.
        let _ignored = self.notes.write_all(format!("gapless: {}\n", one_line(text)).as_bytes());
    }

    /// Flushes the output.
    pub(super) fn flush(&mut self) -> Result<(), CliError> {
        self.out.flush().map_err(CliError::output)
    }

    fn write(&mut self, data: &str) -> std::io::Result<()> {
        match (self.format, serde_json::from_str::<ReceivedEnvelope>(data)) {
            (OutputFormat::TopicAndData, Ok(envelope)) => {
                envelope.data.split('\n').try_for_each(|line| writeln!(self.out, "{}: {line}", envelope.topic))
            }
            // Several languages treat these as line breaks. In JSON they occur only in strings, where they can be
            // escaped.
            (OutputFormat::Json, _) if data.contains(['\u{2028}', '\u{2029}']) => {
                writeln!(self.out, "{}", data.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029"))
            }
            _ => writeln!(self.out, "{data}"),
        }
    }
}

/// The content of `hub.removed`, bare or in an envelope.
fn removed(data: &str) -> Option<RemovalData> {
    let inner =
        serde_json::from_str::<ReceivedEnvelope>(data).map_or_else(|_| data.to_owned(), |envelope| envelope.data);
    serde_json::from_str(&inner).ok()
}

impl RemovalData {
    fn describe(&self) -> String {
        format!("{} of {} was removed", self.id, self.topic)
    }
}

impl GapData {
    fn describe(&self) -> String {
        let of = self.topic.as_ref().map(|topic| format!(" of {topic}")).unwrap_or_default();
        let after = self.after.as_ref().map(|after| format!(" after {after}")).unwrap_or_default();
        let on = match &self.resumes_at {
            Some(id) => format!("continuing from {id}"),
            None => "no older event is kept".into(),
        };
        match &*self.reason {
            "unknown" => format!("warning: gap: the hub does not know the position{after}; {on}"),
            "ahead" => {
                format!(
                    "warning: gap: the position{} is beyond the hub's newest event; {on}",
                    after.trim_start_matches(" after")
                )
            }
            reason => format!("warning: gap: events{of}{after} are gone ({reason}); {on}"),
        }
    }
}

impl EndData {
    fn describe(&self) -> String {
        format!("{} was {}", self.topic, self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(format: OutputFormat, count: Option<u64>, events: &[(&str, &str)]) -> (String, String) {
        let mut printer = Printer::new(Vec::new(), Vec::new(), format, count);
        for (name, data) in events {
            printer.event(name, data).expect("memory takes it");
        }
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (text(printer.out), text(printer.notes))
    }

    #[test]
    fn each_format_prints_its_fields() {
        let envelope = r#"{"topic":"t","id":"abcd-1","time":"x","event":"message","data":"a\nb"}"#;
        assert_eq!(printed(OutputFormat::Data, None, &[("", "a\nb")]).0, "a\nb\n");
        assert_eq!(printed(OutputFormat::TopicAndData, None, &[("", envelope)]).0, "t: a\nt: b\n");
        assert_eq!(printed(OutputFormat::Json, None, &[("", envelope)]).0, format!("{envelope}\n"));
    }

    #[test]
    fn the_count_bounds_events_and_not_notices() {
        let end = ("hub.end", r#"{"topic":"t","reason":"closed","last_id":"abcd-2"}"#);
        let (out, notes) = printed(OutputFormat::Data, Some(2), &[end, ("", "1"), ("", "2"), ("", "3")]);
        assert_eq!((&*out, &*notes), ("1\n2\n", "gapless: t was closed\n"));
    }

    #[test]
    fn a_removal_is_a_notice_and_with_json_an_envelope() {
        let removed = r#"{"topic":"t","id":"abcd-4"}"#;
        let envelope = serde_json::json!({"topic": "t", "id": "abcd-4", "event": "hub.removed", "data": removed});
        let envelope = envelope.to_string();
        for (format, data) in [(OutputFormat::Data, removed), (OutputFormat::TopicAndData, &*envelope)] {
            let (out, notes) = printed(format, None, &[("hub.removed", data)]);
            assert_eq!((&*out, &*notes), ("", "gapless: abcd-4 of t was removed\n"));
        }
        assert_eq!(
            printed(OutputFormat::Json, None, &[("hub.removed", &envelope)]),
            (format!("{envelope}\n"), String::new())
        );
    }

    #[test]
    fn a_removal_is_reported_once_while_it_is_remembered() {
        let removed = |number: usize| format!(r#"{{"topic":"t","id":"abcd-{number}"}}"#);
        let (again, others) = (removed(1), (2..=MAX_REMOVALS).map(removed).collect::<Vec<_>>());
        let notes = |last: &[&str]| {
            let all =
                [&*again, &again].into_iter().chain(others.iter().map(|other| &**other)).chain(last.iter().copied());
            let events: Vec<_> = all.map(|data| ("hub.removed", data)).collect();
            printed(OutputFormat::Data, None, &events).1.lines().count()
        };
        assert_eq!(notes(&[&again]), MAX_REMOVALS, "each once");
        assert_eq!(notes(&[&removed(MAX_REMOVALS + 1), &again]), MAX_REMOVALS + 2, "the oldest is forgotten");
    }

    #[test]
    fn json_lines_contain_no_unicode_line_breaks() {
        let out = printed(OutputFormat::Json, None, &[("", "{\"data\":\"a\u{2028}b\u{2029}c\"}")]).0;
        assert_eq!(out, "{\"data\":\"a\\u2028b\\u2029c\"}\n");
    }

    #[test]
    fn a_notice_is_always_one_line() {
        let (_, notes) = printed(OutputFormat::Data, None, &[("hub.gap", "no\ngapless: JSON\r")]);
        assert_eq!(notes, "gapless: no gapless: JSON \n");
    }

    #[test]
    fn a_gap_is_a_warning_on_stderr() {
        for (gap, want) in [
            (
                r#"{"topic":"t","after":"abcd-3","resumes_at":"abcd-9","reason":"trimmed"}"#,
                "events of t after abcd-3 are gone (trimmed); continuing from abcd-9",
            ),
            (
                r#"{"after":"junk","resumes_at":null,"reason":"unknown"}"#,
                "does not know the position after junk; no older event",
            ),
            (
                r#"{"after":"abcd-99","resumes_at":"abcd-1","reason":"ahead"}"#,
                "the position abcd-99 is beyond the hub's newest event; continuing",
            ),
        ] {
            let (out, notes) = printed(OutputFormat::Data, None, &[("hub.gap", gap)]);
            assert!(out.is_empty() && notes.contains(want), "{notes}");
        }
    }
}
