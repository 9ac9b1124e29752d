//! An event as lines of output.

use std::{collections::VecDeque, io::Write};

use serde::Deserialize;

use crate::cli::{CliError, output::one_line};

/// How an event is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OutputFormat {
    /// Its data.
    Data,
    /// Each line of its data after its topic. Wants envelopes.
    TopicAndData,
    /// Its envelope, a line. Wants envelopes.
    Json,
}

/// Removals that were told and are remembered, so that a tombstone and the notice of the same event, which may be far behind it,
/// are told once: at some 40 bytes each, few enough to forget about.
const MAX_REMOVALS: usize = 1024;

/// Writes events to `out` and what the hub says of itself to `notes`.
#[derive(Debug)]
pub(super) struct Printer<O, N> {
    out: O,
    notes: N,
    shape: OutputFormat,
    left: Option<u64>,
    /// Ids of events that were told to be taken back, the newest last.
    removals: VecDeque<String>,
}

/// What an event of the stream was.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Printed {
    /// An event of a topic.
    Event,
    /// Something that the hub says of the stream, or of an event that is gone.
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

/// An event that was taken back.
#[derive(Deserialize)]
struct RemovalData {
    topic: String,
    id: String,
}

impl<O: Write, N: Write> Printer<O, N> {
    /// Prints at most `count` events.
    pub(super) fn new(out: O, notes: N, shape: OutputFormat, count: Option<u64>) -> Self {
        Self { out, notes, shape, left: count, removals: VecDeque::new() }
    }

    /// Whether as many events were printed as were asked for.
    pub(super) fn is_full(&self) -> bool {
        self.left == Some(0)
    }

    /// Prints an event, unless there were enough. What the hub says by events of its own goes to the notes.
    pub(super) fn event(&mut self, name: &str, data: &str) -> Result<Printed, CliError> {
        match name {
            _ if self.is_full() => return Ok(Printed::Notice),
            // The position, which is kept already, and a sign of life.
            "hub.cursor" | "hub.keepalive" => return Ok(Printed::Notice),
            "hub.gap" => {
                self.note(&serde_json::from_str::<GapData>(data).map_or_else(|_| data.into(), |gap| gap.in_words()));
                return Ok(Printed::Notice);
            }
            "hub.end" => {
                let end = serde_json::from_str::<EndData>(data);
                self.note(&end.as_ref().map_or_else(|_| data.into(), EndData::in_words));
                return Ok(end.map_or(Printed::Notice, |end| Printed::End(end.topic)));
            }
            // A program that reads envelopes is told as it is told of events.
            "hub.removed" if self.shape != OutputFormat::Json => {
                match removed(data) {
                    Some(removed) if self.removals.contains(&removed.id) => {}
                    Some(removed) => {
                        self.note(&removed.in_words());
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

    /// Says something about the stream. Nobody needs to hear it.
    pub(super) fn note(&mut self, text: &str) {
        // In one write, so that no other line comes in between.
        let _unheard = self.notes.write_all(format!("gapless: {}\n", one_line(text)).as_bytes());
    }

    /// Gives what was printed to the reader.
    pub(super) fn flush(&mut self) -> Result<(), CliError> {
        self.out.flush().map_err(CliError::output)
    }

    fn write(&mut self, data: &str) -> std::io::Result<()> {
        match (self.shape, serde_json::from_str::<ReceivedEnvelope>(data)) {
            (OutputFormat::TopicAndData, Ok(envelope)) => {
                envelope.data.split('\n').try_for_each(|line| writeln!(self.out, "{}: {line}", envelope.topic))
            }
            // Readers of lines in several languages end one at these, which stand only within strings here.
            (OutputFormat::Json, _) if data.contains(['\u{2028}', '\u{2029}']) => {
                writeln!(self.out, "{}", data.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029"))
            }
            _ => writeln!(self.out, "{data}"),
        }
    }
}

/// What `hub.removed` says, by itself or in an envelope.
fn removed(data: &str) -> Option<RemovalData> {
    let inner =
        serde_json::from_str::<ReceivedEnvelope>(data).map_or_else(|_| data.to_owned(), |envelope| envelope.data);
    serde_json::from_str(&inner).ok()
}

impl RemovalData {
    fn in_words(&self) -> String {
        format!("{} of {} was taken back", self.id, self.topic)
    }
}

impl GapData {
    fn in_words(&self) -> String {
        let of = self.topic.as_ref().map(|topic| format!(" of {topic}")).unwrap_or_default();
        let after = self.after.as_ref().map(|after| format!(" after {after}")).unwrap_or_default();
        let on = match &self.resumes_at {
            Some(id) => format!("going on from {id}"),
            None => "nothing older than now is kept".into(),
        };
        match &*self.reason {
            "unknown" => format!("warning: gap: the hub does not know the position{after}; {on}"),
            "ahead" => {
                format!("warning: gap: the hub has not come as far as{}; {on}", after.trim_start_matches(" after"))
            }
            reason => format!("warning: gap: events{of}{after} are gone ({reason}); {on}"),
        }
    }
}

impl EndData {
    fn in_words(&self) -> String {
        format!("{} was {}", self.topic, self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(shape: OutputFormat, count: Option<u64>, events: &[(&str, &str)]) -> (String, String) {
        let mut printer = Printer::new(Vec::new(), Vec::new(), shape, count);
        for (name, data) in events {
            printer.event(name, data).expect("memory takes it");
        }
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (text(printer.out), text(printer.notes))
    }

    #[test]
    fn each_shape_shows_what_it_should() {
        let envelope = r#"{"topic":"t","id":"abcd-1","time":"x","event":"message","data":"a\nb"}"#;
        assert_eq!(printed(OutputFormat::Data, None, &[("", "a\nb")]).0, "a\nb\n");
        assert_eq!(printed(OutputFormat::TopicAndData, None, &[("", envelope)]).0, "t: a\nt: b\n");
        assert_eq!(printed(OutputFormat::Json, None, &[("", envelope)]).0, format!("{envelope}\n"));
    }

    #[test]
    fn no_more_events_are_printed_than_asked_for_and_notices_do_not_count() {
        let end = ("hub.end", r#"{"topic":"t","reason":"closed","last_id":"abcd-2"}"#);
        let (out, notes) = printed(OutputFormat::Data, Some(2), &[end, ("", "1"), ("", "2"), ("", "3")]);
        assert_eq!((&*out, &*notes), ("1\n2\n", "gapless: t was closed\n"));
    }

    #[test]
    fn an_event_that_was_taken_back_is_told_apart_and_is_an_envelope_among_envelopes() {
        let removed = r#"{"topic":"t","id":"abcd-4"}"#;
        let envelope = serde_json::json!({"topic": "t", "id": "abcd-4", "event": "hub.removed", "data": removed});
        let envelope = envelope.to_string();
        for (shape, data) in [(OutputFormat::Data, removed), (OutputFormat::TopicAndData, &*envelope)] {
            let (out, notes) = printed(shape, None, &[("hub.removed", data)]);
            assert_eq!((&*out, &*notes), ("", "gapless: abcd-4 of t was taken back\n"));
        }
        assert_eq!(
            printed(OutputFormat::Json, None, &[("hub.removed", &envelope)]),
            (format!("{envelope}\n"), String::new())
        );
    }

    #[test]
    fn a_removal_is_told_once_as_long_as_it_is_remembered() {
        let removed = |number: usize| format!(r#"{{"topic":"t","id":"abcd-{number}"}}"#);
        let (again, others) = (removed(1), (2..=MAX_REMOVALS).map(removed).collect::<Vec<_>>());
        let told = |last: &[&str]| {
            let all =
                [&*again, &again].into_iter().chain(others.iter().map(|other| &**other)).chain(last.iter().copied());
            let events: Vec<_> = all.map(|data| ("hub.removed", data)).collect();
            printed(OutputFormat::Data, None, &events).1.lines().count()
        };
        assert_eq!(told(&[&again]), MAX_REMOVALS, "each once");
        assert_eq!(told(&[&removed(MAX_REMOVALS + 1), &again]), MAX_REMOVALS + 2, "the oldest is forgotten");
    }

    #[test]
    fn no_line_of_json_holds_what_some_readers_take_for_its_end() {
        let out = printed(OutputFormat::Json, None, &[("", "{\"data\":\"a\u{2028}b\u{2029}c\"}")]).0;
        assert_eq!(out, "{\"data\":\"a\\u2028b\\u2029c\"}\n");
    }

    #[test]
    fn a_note_is_one_line_whatever_the_hub_says() {
        let (_, notes) = printed(OutputFormat::Data, None, &[("hub.gap", "no\ngapless: JSON\r")]);
        assert_eq!(notes, "gapless: no gapless: JSON \n");
    }

    #[test]
    fn a_gap_is_a_warning_apart_from_the_events() {
        for (gap, want) in [
            (
                r#"{"topic":"t","after":"abcd-3","resumes_at":"abcd-9","reason":"trimmed"}"#,
                "events of t after abcd-3 are gone (trimmed); going on from abcd-9",
            ),
            (
                r#"{"after":"junk","resumes_at":null,"reason":"unknown"}"#,
                "does not know the position after junk; nothing older",
            ),
            (
                r#"{"after":"abcd-99","resumes_at":"abcd-1","reason":"ahead"}"#,
                "has not come as far as abcd-99; going on",
            ),
        ] {
            let (out, notes) = printed(OutputFormat::Data, None, &[("hub.gap", gap)]);
            assert!(out.is_empty() && notes.contains(want), "{notes}");
        }
    }
}
