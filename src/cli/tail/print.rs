//! Prints events and notices.

use std::{
    collections::VecDeque,
    io::{self, Write},
};

use clap::builder::styling::Style;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::{
    clock,
    json::{JsonLayout, is_container, write_json},
    notice::{EndData, GapData, RemovalData},
    style::{self, NoteKind},
};
use crate::cli::{CliError, output::Screen, text::one_line};

/// The output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OutputFormat {
    /// The data of each event.
    Data,
    /// Each line of the data, prefixed with the topic. Needs envelopes.
    TopicAndData,
    /// The envelope of each event, on one line. Needs envelopes.
    Json,
    /// For people: the time, the topic if there may be several, the event's name and the data. Needs envelopes.
    Human { with_topic: bool },
}

/// Begins each line but the first of an event in [`OutputFormat::Human`], so that data cannot imitate another event.
const CONTINUED: &str = "  ";

/// Most reported removals that are remembered, so that an event's tombstone and its later removal notice are reported
/// once. Each takes some 40 bytes.
const MAX_REMOVALS: usize = 1024;

/// Writes events to `out`, and the hub's notices to `notes`.
#[derive(Debug)]
pub(super) struct Printer<O, N> {
    out: Screen<O>,
    notes: Screen<N>,
    format: OutputFormat,
    /// Whether JSON is indented.
    pretty: bool,
    zone: TimeZone,
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
    #[serde(default)]
    time: String,
}

impl<O: Write, N: Write> Printer<O, N> {
    /// Prints at most `count` events.
    pub(super) fn new(out: Screen<O>, notes: Screen<N>, format: OutputFormat, count: Option<u64>) -> Self {
        let (zone, removals) = (TimeZone::system(), VecDeque::new());
        Self { out, notes, format, pretty: false, zone, left: count, removals }
    }

    /// Indents JSON.
    pub(super) fn pretty(self, pretty: bool) -> Self {
        Self { pretty, ..self }
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
                self.note(NoteKind::Warning, &GapData::message(data));
                return Ok(Printed::Notice);
            }
            "hub.end" => {
                let end = serde_json::from_str::<EndData>(data);
                self.note(NoteKind::End, &end.as_ref().map_or_else(|_| data.into(), EndData::describe));
                return Ok(end.map_or(Printed::Notice, |end| Printed::End(end.topic)));
            }
            // With --json a removal is printed as an envelope, so that programs can process it.
            "hub.removed" if self.format != OutputFormat::Json => {
                self.removal(data);
                return Ok(Printed::Notice);
            }
            _ => {}
        }
        self.write(name, data).map_err(CliError::output)?;
        self.left = self.left.map(|left| left - 1);
        Ok(Printed::Event)
    }

    /// Prints a notice. Errors are ignored.
    pub(super) fn note(&mut self, kind: NoteKind, text: &str) {
        // One write, so that lines of other processes do not mix with it.
        let _ignored = self.notes.styled(kind.style(), &format!("gapless: {}", one_line(text)), "\n");
    }

    /// Flushes the output.
    pub(super) fn flush(&mut self) -> Result<(), CliError> {
        self.out.flush().map_err(CliError::output)
    }

    /// Reports a removed event, unless it was reported before.
    fn removal(&mut self, data: &str) {
        let Some(removed) = removed(data) else { return self.note(NoteKind::Removal, data) };
        if self.removals.contains(&removed.id) {
            return;
        }
        self.note(NoteKind::Removal, &removed.describe());
        if self.removals.len() == MAX_REMOVALS {
            self.removals.pop_front();
        }
        self.removals.push_back(removed.id);
    }

    fn write(&mut self, name: &str, data: &str) -> io::Result<()> {
        if self.format == OutputFormat::Json {
            return self.json(data);
        }
        let envelope = match self.format {
            OutputFormat::Data => None,
            _ => serde_json::from_str::<ReceivedEnvelope>(data).ok(),
        };
        // An event without an envelope is not from a hub, and is printed as it is.
        let Some(envelope) = envelope else { return self.data(data, style::of_event(name), "") };
        let OutputFormat::Human { with_topic } = self.format else {
            let prefix = format!("{}: ", envelope.topic);
            self.out.styled(style::ASIDE, &prefix, "")?;
            return self.data(&envelope.data, style::of_event(name), &prefix);
        };
        if let Some(time) = clock::time_of_day(&envelope.time, &self.zone, clock::today(&self.zone)) {
            self.out.styled(style::ASIDE, &time, " ")?;
        }
        if with_topic {
            self.out.styled(style::ASIDE, &one_line(&envelope.topic), " ")?;
        }
        if !name.is_empty() && name != "message" {
            self.out.styled(style::of_event(name), &one_line(name), " ")?;
        }
        self.data(&envelope.data, style::of_data(name), CONTINUED)
    }

    /// Writes data and a line feed. Each line but the first begins with `prefix`.
    fn data(&mut self, data: &str, style: Style, prefix: &str) -> io::Result<()> {
        if self.pretty && is_container(data) {
            write_json(&mut self.out, data, JsonLayout::Indented(prefix))?;
        } else {
            for (number, line) in data.split('\n').enumerate() {
                if number > 0 {
                    self.out.write_all(b"\n")?;
                    self.out.styled(style::ASIDE, prefix, "")?;
                }
                self.out.styled(style, line, "")?;
            }
        }
        self.out.write_all(b"\n")
    }

    /// Writes an envelope and a line feed.
    fn json(&mut self, envelope: &str) -> io::Result<()> {
        let escaped;
        let mut json = envelope;
        // Several languages treat these as line breaks. In JSON they occur only in strings, where they can be escaped.
        if json.contains(['\u{2028}', '\u{2029}']) {
            escaped = json.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
            json = &escaped;
        }
        if (self.pretty || self.out.is_colored()) && is_container(json) {
            let layout = if self.pretty { JsonLayout::Indented("") } else { JsonLayout::Unchanged };
            write_json(&mut self.out, json, layout)?;
            self.out.write_all(b"\n")
        } else {
            writeln!(self.out, "{json}")
        }
    }
}

/// The content of `hub.removed`, bare or in an envelope.
fn removed(data: &str) -> Option<RemovalData> {
    let inner =
        serde_json::from_str::<ReceivedEnvelope>(data).map_or_else(|_| data.to_owned(), |envelope| envelope.data);
    serde_json::from_str(&inner).ok()
}

#[cfg(test)]
mod tests {
    use clap::ColorChoice;

    use super::*;

    fn printed(format: OutputFormat, count: Option<u64>, events: &[(&str, &str)]) -> (String, String) {
        printed_with(format, ColorChoice::Never, false, count, events)
    }

    fn printed_with(
        format: OutputFormat,
        colors: ColorChoice,
        pretty: bool,
        count: Option<u64>,
        events: &[(&str, &str)],
    ) -> (String, String) {
        let screen = || Screen::new(false, Vec::new()).colored(colors);
        let mut printer = Printer::new(screen(), screen(), format, count).pretty(pretty);
        printer.zone = TimeZone::UTC;
        for (name, data) in events {
            printer.event(name, data).expect("memory takes it");
        }
        let text = |screen: Screen<Vec<u8>>| String::from_utf8(screen.into_inner()).expect("UTF-8");
        (text(printer.out), text(printer.notes))
    }

    fn envelope(event: &str, data: &str) -> String {
        let time = "2026-11-21T05:13:25.790Z";
        serde_json::json!({"topic": "t/1", "id": "abcd-1", "time": time, "event": event, "data": data}).to_string()
    }

    const HUMAN: OutputFormat = OutputFormat::Human { with_topic: true };

    #[test]
    fn for_people_a_line_has_time_topic_name_and_data() {
        let (plain, failed) = (envelope("message", "a\nb"), envelope("job.failed", "no disk"));
        let events = [("", &*plain), ("job.failed", &failed), ("", "no envelope")];
        let (out, _) = printed(HUMAN, None, &events);
        let time = "2026-11-21 05:13:25";
        assert_eq!(out, format!("{time} t/1 a\n  b\n{time} t/1 job.failed no disk\nno envelope\n"));
        let (out, _) = printed(OutputFormat::Human { with_topic: false }, None, &events[..1]);
        assert_eq!(out, format!("{time} a\n  b\n"));
        let (out, _) = printed_with(HUMAN, ColorChoice::Always, false, None, &events[..2]);
        let aside = format!("\u{1b}[2m{time}\u{1b}[0m \u{1b}[2mt/1\u{1b}[0m ");
        let red = |text: &str| format!("\u{1b}[31m{text}\u{1b}[0m");
        let failed = format!("{aside}{} {}\n", red("job.failed"), red("no disk"));
        assert_eq!(out, format!("{aside}a\n\u{1b}[2m  \u{1b}[0mb\n{failed}"));
    }

    #[test]
    fn a_name_or_a_topic_cannot_begin_a_line() {
        let evil = serde_json::json!({"topic": "t\n00:00:00 u", "data": "x"}).to_string();
        let (out, _) = printed(HUMAN, None, &[("e\n00:00:00", &evil)]);
        assert_eq!(out, "t 00:00:00 u e 00:00:00 x\n");
    }

    #[test]
    fn json_is_indented_on_demand_in_each_format() {
        let data = r#"{"a":[1]}"#;
        let wrapped = envelope("message", data);
        let pretty = |format, data| printed_with(format, ColorChoice::Never, true, None, &[("", data)]).0;
        assert_eq!(pretty(OutputFormat::Data, data), "{\n  \"a\": [\n    1\n  ]\n}\n");
        let prefixed = "t/1: {\nt/1:   \"a\": [\nt/1:     1\nt/1:   ]\nt/1: }\n";
        assert_eq!(pretty(OutputFormat::TopicAndData, &wrapped), prefixed);
        let human = "2026-11-21 05:13:25 t/1 {\n    \"a\": [\n      1\n    ]\n  }\n";
        assert_eq!(pretty(HUMAN, &wrapped), human);
        let json: serde_json::Value = serde_json::from_str(&pretty(OutputFormat::Json, &wrapped)).expect("JSON");
        assert_eq!(json["data"], data);
        assert_eq!(pretty(OutputFormat::Data, "[no JSON"), "[no JSON\n");
    }

    #[test]
    fn gaps_and_ends_stand_out() {
        let gap = r#"{"topic":"t","after":"abcd-3","resumes_at":null,"reason":"lost"}"#;
        let end = r#"{"topic":"t","reason":"closed"}"#;
        let events = [("hub.gap", gap), ("hub.end", end)];
        let (out, notes) = printed_with(OutputFormat::Data, ColorChoice::Always, false, None, &events);
        assert_eq!(out, "");
        let lines: Vec<&str> = notes.lines().collect();
        assert!(lines[0].starts_with("\u{1b}[1m\u{1b}[33mgapless: warning: gap") && lines[0].ends_with("\u{1b}[0m"));
        assert_eq!(lines[1], "\u{1b}[1m\u{1b}[36mgapless: t was closed\u{1b}[0m");
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
