//! The kinds of values that a key can have, and their text forms.

use std::{fmt, marker::PhantomData, num::NonZeroUsize, path::PathBuf, str::FromStr, time::Duration};

use super::{credential, errors::ValueProblem};
use crate::event::duration;

/// Parses the text of a key into a value.
pub trait ValueKind {
    /// The parsed value.
    type Value;
    /// The placeholder for a value in `--help`.
    const METAVAR: &'static str;
    /// Whether the text is TOML, not a TOML string.
    const IS_TOML: bool = false;
    /// Whether the flag may be given without a value, meaning `true`.
    const IS_SWITCH: bool = false;

    /// Parses a value.
    ///
    /// # Errors
    /// Every mistake, in words that follow the text: `"x" is not …`.
    fn parse(text: &str) -> Result<Self::Value, Vec<String>>;

    /// Parses a value; in a list of tables, an error names the table and the key.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    fn parse_parts(text: &str) -> Result<Self::Value, Vec<ValueProblem>> {
        Self::parse(text).map_err(|problems| problems.into_iter().map(Into::into).collect())
    }

    /// The number that is compared with the range; `None` is in every range.
    fn magnitude(_: &Self::Value) -> Option<u128> {
        None
    }
}

/// A file or directory.
#[derive(Debug)]
pub struct Path;
/// A file, or `credential:NAME`.
#[derive(Debug)]
pub struct FilePath;
/// Text without control characters.
#[derive(Debug)]
pub struct PlainText;
/// `true` or `false`.
#[derive(Debug)]
pub struct Switch;
/// A number of threads, or `auto`: one per core.
#[derive(Debug)]
pub struct Shards;
/// A duration, in the grammar of [`duration::parse`].
#[derive(Debug)]
pub struct DurationText;
/// A [`DurationText`] in whole milliseconds, as in the `retry:` field of a stream.
#[derive(Debug)]
pub struct Milliseconds;
/// A log filter in the syntax of `tracing_subscriber::EnvFilter`.
#[derive(Debug)]
pub struct LogFilter;
/// A whole number.
#[derive(Debug)]
pub struct Count<T = usize>(PhantomData<T>);
/// A number of bytes: `64KiB`, `1GB`, or bytes.
#[derive(Debug)]
pub struct Size<T = usize>(PhantomData<T>);
/// Another kind, or `none`.
#[derive(Debug)]
pub struct Maybe<K>(PhantomData<K>);

/// A storage engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// On disk.
    Sled,
    /// In a stream of NATS JetStream, which many hubs share.
    JetStream,
    /// In memory; events are lost at exit.
    Memory,
}

impl EngineKind {
    /// Its name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sled => "sled",
            Self::JetStream => "jetstream",
            Self::Memory => "memory",
        }
    }
}

/// A protocol beside the hub's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolKind {
    /// Durable Streams 1.0.
    DurableStreams,
    /// Mercure, in both dialects.
    Mercure,
}

/// The format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people to read.
    Text,
    /// For programs: a JSON object per line.
    Json,
}

/// An error with one mistake.
pub(super) fn problem<T>(text: impl fmt::Display) -> Result<T, Vec<String>> {
    Err(vec![text.to_string()])
}

impl ValueKind for Path {
    type Value = PathBuf;
    const METAVAR: &'static str = "DIR";

    fn parse(text: &str) -> Result<PathBuf, Vec<String>> {
        if text.is_empty() { problem("is empty; name a directory") } else { Ok(text.into()) }
    }
}

impl ValueKind for FilePath {
    type Value = PathBuf;
    const METAVAR: &'static str = "FILE";

    fn parse(text: &str) -> Result<PathBuf, Vec<String>> {
        if text.is_empty() { problem("is empty; name a file") } else { credential::file(text).or_else(problem) }
    }
}

impl ValueKind for PlainText {
    type Value = String;
    const METAVAR: &'static str = "TEXT";

    fn parse(text: &str) -> Result<String, Vec<String>> {
        if text.is_empty() || text.contains(char::is_control) {
            return problem("is empty, or has control characters");
        }
        Ok(text.into())
    }
}

impl ValueKind for Switch {
    type Value = bool;
    const METAVAR: &'static str = "BOOL";
    const IS_SWITCH: bool = true;

    fn parse(text: &str) -> Result<bool, Vec<String>> {
        match text {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => problem("is neither true nor false"),
        }
    }
}

impl ValueKind for Shards {
    type Value = usize;
    const METAVAR: &'static str = "COUNT";

    fn parse(text: &str) -> Result<usize, Vec<String>> {
        match text {
            "auto" => Ok(std::thread::available_parallelism().map_or(1, NonZeroUsize::get)),
            _ => text.parse().or_else(|_| problem("is neither a whole number nor auto")),
        }
    }

    fn magnitude(value: &usize) -> Option<u128> {
        Some(*value as u128)
    }
}

impl ValueKind for DurationText {
    type Value = Duration;
    const METAVAR: &'static str = "TIME";

    fn parse(text: &str) -> Result<Duration, Vec<String>> {
        duration::parse(text)
            .map_or_else(|| problem("is not a duration; write it like 2s, 10m, 7d or 1h 30m, or in seconds"), Ok)
    }

    fn magnitude(value: &Duration) -> Option<u128> {
        Some(value.as_nanos())
    }
}

impl ValueKind for Milliseconds {
    type Value = u32;
    const METAVAR: &'static str = "TIME";

    fn parse(text: &str) -> Result<u32, Vec<String>> {
        u32::try_from(DurationText::parse(text)?.as_millis())
            .or_else(|_| problem("is more than 49 days; write a shorter one"))
    }

    fn magnitude(value: &u32) -> Option<u128> {
        Some(u128::from(*value))
    }
}

impl ValueKind for LogFilter {
    type Value = String;
    const METAVAR: &'static str = "FILTER";

    fn parse(text: &str) -> Result<String, Vec<String>> {
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(text) {
            return problem(format_args!("is not a log filter: {error}; write it like info or gapless=debug"));
        }
        // EnvFilter takes a single word that is not a level as the name of a target, and would log nothing else.
        let is_level = |word: &str| word.parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
        let word = |part: &&str| !part.is_empty() && !part.contains(['=', '[']) && !is_level(part);
        match text.split(',').map(str::trim).find(word) {
            Some(word) => problem(format_args!(
                "has {word:?}, which is not a level; choose from error, warn, info, debug, trace and off, or write target=level, \
                 like gapless=debug"
            )),
            None => Ok(text.into()),
        }
    }
}

impl<T: TryFrom<u64> + Copy + TryInto<u128>> ValueKind for Count<T> {
    type Value = T;
    const METAVAR: &'static str = "COUNT";

    fn parse(text: &str) -> Result<T, Vec<String>> {
        let count = u64::from_str(text).ok().and_then(|count| count.try_into().ok());
        count.map_or_else(|| problem("is not a whole number"), Ok)
    }

    fn magnitude(value: &T) -> Option<u128> {
        (*value).try_into().ok()
    }
}

impl<T: TryFrom<u64> + Copy + TryInto<u128>> ValueKind for Size<T> {
    type Value = T;
    const METAVAR: &'static str = "SIZE";

    fn parse(text: &str) -> Result<T, Vec<String>> {
        let bytes = parse_bytes(text).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or_else(|| problem("is not a size; write it like 64KiB, 16MB or 1GiB, or in bytes"), Ok)
    }

    fn magnitude(value: &T) -> Option<u128> {
        (*value).try_into().ok()
    }
}

impl<K: ValueKind> ValueKind for Maybe<K> {
    type Value = Option<K::Value>;
    const METAVAR: &'static str = K::METAVAR;

    fn parse(text: &str) -> Result<Option<K::Value>, Vec<String>> {
        if text == "none" { Ok(None) } else { K::parse(text).map(Some) }
    }

    fn magnitude(value: &Option<K::Value>) -> Option<u128> {
        value.as_ref().and_then(K::magnitude)
    }
}

impl ValueKind for EngineKind {
    type Value = Self;
    const METAVAR: &'static str = "NAME";

    fn parse(text: &str) -> Result<Self, Vec<String>> {
        match text {
            "sled" => Ok(Self::Sled),
            "jetstream" => Ok(Self::JetStream),
            "memory" => Ok(Self::Memory),
            _ => problem("is not an engine; choose sled, jetstream or memory"),
        }
    }
}

impl ValueKind for ProtocolKind {
    type Value = Self;
    const METAVAR: &'static str = "NAMES";

    fn parse(text: &str) -> Result<Self, Vec<String>> {
        match text {
            "durable-streams" => Ok(Self::DurableStreams),
            "mercure" => Ok(Self::Mercure),
            _ => problem("is not a protocol; choose durable-streams or mercure"),
        }
    }
}

impl ValueKind for LogFormat {
    type Value = Self;
    const METAVAR: &'static str = "FORMAT";

    fn parse(text: &str) -> Result<Self, Vec<String>> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => problem("is not a format; choose text or json"),
        }
    }
}

/// A whole number of bytes with a decimal (`kB` is 1000) or binary (`KiB` is 1024) unit. A bare `K` is refused as
/// ambiguous.
fn parse_bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_decimal_or_binary_units() {
        for (text, want) in [("0", 0), ("17", 17), ("64KiB", 65_536), ("16 MB", 16_000_000), ("1GiB", 1 << 30)] {
            assert_eq!(Size::<u64>::parse(text), Ok(want), "{text}");
        }
        for text in ["", "KiB", "1K", "-1", "1.5MB", "1 potato", "99999999999TiB"] {
            assert!(Size::<u64>::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_have_units_or_are_seconds() {
        for (text, want) in [("2s", 2), ("90", 90), ("10m", 600), ("7d", 604_800), ("1h 30m", 5_400), ("1.5h", 5_400)] {
            assert_eq!(DurationText::parse(text), Ok(Duration::from_secs(want)), "{text}");
        }
        for text in ["", "-1s", "soon", "1.2.3s"] {
            assert!(DurationText::parse(text).is_err(), "{text}");
        }
        assert_eq!(Milliseconds::parse("250ms"), Ok(250));
        assert!(Milliseconds::parse("50d").is_err());
    }

    #[test]
    fn a_filter_is_a_level_or_names_the_level_of_a_target() {
        for text in ["info", "OFF", "warn,gapless=debug", "gapless=trace", "gapless[stream]=debug,error", ""] {
            assert!(LogFilter::parse(text).is_ok(), "{text}");
        }
        for text in ["blah", "gapless", "warn,blah", "gapless=loud"] {
            assert!(LogFilter::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn none_is_no_limit() {
        assert_eq!(Maybe::<Size<u64>>::parse("none"), Ok(None));
        assert_eq!(Maybe::<Size<u64>>::parse("1KiB"), Ok(Some(1024)));
        assert_eq!(Maybe::<Size<u64>>::magnitude(&None), None);
    }
}
