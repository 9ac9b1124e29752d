//! An event as lines of output.

use std::io::Write;

use serde::Deserialize;

use crate::cli::CliError;

/// How an event is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Its data.
    Data,
    /// Each line of its data after its topic. Wants envelopes.
    TopicAndData,
    /// Its envelope, a line. Wants envelopes.
    Json,
}

/// Writes events to `out` and what the hub says of itself to `notes`.
#[derive(Debug)]
pub(super) struct Printer<O, N> {
    out: O,
    notes: N,
    shape: Shape,
    left: Option<u64>,
}

#[derive(Deserialize)]
struct Envelope {
    topic: String,
    data: String,
}

#[derive(Deserialize)]
struct Gap {
    topic: Option<String>,
    after: Option<String>,
    resumes_at: Option<String>,
    reason: String,
}

#[derive(Deserialize)]
struct End {
    topic: String,
    reason: String,
}

impl<O: Write, N: Write> Printer<O, N> {
    /// Prints at most `count` events.
    pub(super) fn new(out: O, notes: N, shape: Shape, count: Option<u64>) -> Self {
        Self { out, notes, shape, left: count }
    }

    /// Whether as many events were printed as were asked for.
    pub(super) fn is_full(&self) -> bool {
        self.left == Some(0)
    }

    /// Prints an event, unless there were enough.
    pub(super) fn event(&mut self, name: &str, data: &str) -> Result<(), CliError> {
        match name {
            _ if self.is_full() => return Ok(()),
            "hub.cursor" | "hub.keepalive" => return Ok(()),
            "hub.gap" => {
                self.note(&serde_json::from_str::<Gap>(data).map_or_else(|_| data.into(), |gap| gap.in_words()));
                return Ok(());
            }
            "hub.end" => {
                self.note(&serde_json::from_str::<End>(data).map_or_else(|_| data.into(), |end| end.in_words()));
                return Ok(());
            }
            _ => {}
        }
        self.write(data).map_err(CliError::output)?;
        self.left = self.left.map(|left| left - 1);
        Ok(())
    }

    /// Says something about the stream. Nobody needs to hear it.
    pub(super) fn note(&mut self, text: &str) {
        let _unheard = writeln!(self.notes, "gapless: {text}");
    }

    /// Gives what was printed to the reader.
    pub(super) fn flush(&mut self) -> Result<(), CliError> {
        self.out.flush().map_err(CliError::output)
    }

    fn write(&mut self, data: &str) -> std::io::Result<()> {
        match (self.shape, serde_json::from_str::<Envelope>(data)) {
            (Shape::TopicAndData, Ok(envelope)) => {
                envelope.data.split('\n').try_for_each(|line| writeln!(self.out, "{}: {line}", envelope.topic))
            }
            _ => writeln!(self.out, "{data}"),
        }
    }
}

impl Gap {
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

impl End {
    fn in_words(&self) -> String {
        format!("{} was {}", self.topic, self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(shape: Shape, count: Option<u64>, events: &[(&str, &str)]) -> (String, String) {
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
        assert_eq!(printed(Shape::Data, None, &[("", "a\nb")]).0, "a\nb\n");
        assert_eq!(printed(Shape::TopicAndData, None, &[("", envelope)]).0, "t: a\nt: b\n");
        assert_eq!(printed(Shape::Json, None, &[("", envelope)]).0, format!("{envelope}\n"));
    }

    #[test]
    fn no_more_events_are_printed_than_asked_for_and_notices_do_not_count() {
        let end = ("hub.end", r#"{"topic":"t","reason":"closed","last_id":"abcd-2"}"#);
        let (out, notes) = printed(Shape::Data, Some(2), &[end, ("", "1"), ("", "2"), ("", "3")]);
        assert_eq!((&*out, &*notes), ("1\n2\n", "gapless: t was closed\n"));
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
            let (out, notes) = printed(Shape::Data, None, &[("hub.gap", gap)]);
            assert!(out.is_empty() && notes.contains(want), "{notes}");
        }
    }
}
