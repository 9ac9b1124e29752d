//! The colours of the output. Only the 16 of every terminal, so that its user's theme applies.

use clap::builder::styling::{AnsiColor, Style};

/// What a line on stderr is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoteKind {
    /// A gap, or something that was skipped.
    Warning,
    /// The end of a topic.
    End,
    /// A removed event.
    Removal,
    /// The state of the connection.
    Connection,
}

/// What stands beside the data: time and topic.
pub(super) const ASIDE: Style = Style::new().dimmed();
/// The name of a member of an object.
pub(super) const JSON_KEY: Style = AnsiColor::Cyan.on_default();
/// Text in JSON.
pub(super) const JSON_TEXT: Style = AnsiColor::Green.on_default();
/// Numbers, `true`, `false` and `null`.
pub(super) const JSON_LITERAL: Style = AnsiColor::Magenta.on_default();

/// Colours of event names that say nothing of errors or warnings, whose colours they do not include.
const NAMES: [AnsiColor; 8] = [
    AnsiColor::Green,
    AnsiColor::Blue,
    AnsiColor::Magenta,
    AnsiColor::Cyan,
    AnsiColor::BrightGreen,
    AnsiColor::BrightBlue,
    AnsiColor::BrightMagenta,
    AnsiColor::BrightCyan,
];

const ERRORS: &[&str] = &["error", "fail", "fatal", "panic", "critical", "emergency", "crash"];
const WARNINGS: &[&str] = &["warn", "alert", "timeout", "retry"];

impl NoteKind {
    pub(super) fn style(self) -> Style {
        match self {
            Self::Warning => AnsiColor::Yellow.on_default().bold(),
            Self::End => AnsiColor::Cyan.on_default().bold(),
            Self::Removal => AnsiColor::Magenta.on_default().bold(),
            Self::Connection => ASIDE,
        }
    }
}

/// The style of an event's name: the usual ones for errors and warnings, else a colour that depends on the name alone.
pub(super) fn of_event(name: &str) -> Style {
    match severity(name) {
        Some(style) => style,
        None if name.is_empty() || name == "message" => Style::new(),
        None => NAMES[crc32fast::hash(name.as_bytes()) as usize % NAMES.len()].on_default(),
    }
}

/// The style of an event's data: plain, unless its name says that it is an error or a warning.
pub(super) fn of_data(name: &str) -> Style {
    severity(name).unwrap_or_default()
}

fn severity(name: &str) -> Option<Style> {
    let name = name.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if has(ERRORS) {
        Some(AnsiColor::Red.on_default())
    } else if has(WARNINGS) {
        Some(AnsiColor::Yellow.on_default())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_warnings_have_the_usual_colours_and_other_names_their_own() {
        for name in ["error", "job.failed", "FATAL", "run-error"] {
            assert_eq!(of_event(name), AnsiColor::Red.on_default(), "{name}");
            assert_eq!(of_data(name), of_event(name), "{name}");
        }
        assert_eq!(of_event("disk_warning"), AnsiColor::Yellow.on_default());
        assert_eq!((of_event(""), of_event("message")), (Style::new(), Style::new()));
        // Fixed values: a name keeps its colour over versions.
        assert_eq!(of_event("token"), AnsiColor::Cyan.on_default());
        assert_eq!(of_event("progress"), AnsiColor::BrightMagenta.on_default());
        assert_eq!(of_data("token"), Style::new());
        let used: std::collections::BTreeSet<String> =
            (0..100).map(|number| of_event(&format!("kind{number}")).to_string()).collect();
        assert_eq!(used.len(), NAMES.len(), "all are used");
    }
}
