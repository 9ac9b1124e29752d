//! Durations as text, in queries, JSON, the configuration, flags, logs and messages: `500ms`, `2s`, `1h 30m`, `7d`, or a
//! number of seconds. docs/PROTOCOL.md ("Durations") is the grammar for users.
//!
//! The grammar of units is that of the crate `humantime`. No other module names it.

use std::{fmt, time::Duration};

/// The longest age in a request: a hundred years, as in the configuration. A longer one is a mistake.
pub const MAX_AGE: Duration = Duration::from_hours(100 * 365 * 24);

const UNITS: [(&str, u128); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Parses a whole number of seconds, or numbers with units; `None` for anything else. Cuts to whole milliseconds, which
/// every printed form can represent. Callers check the range; below 500 years, [`format()`] and this are inverse.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let seconds = text.parse().ok().map(Duration::from_secs);
    let exact = seconds.or_else(|| humantime::parse_duration(text).ok())?;
    Some(Duration::new(exact.as_secs(), exact.subsec_millis() * 1_000_000))
}

/// Formats a duration for programs, cut to milliseconds, in the largest unit that represents it exactly: `90m`.
#[must_use]
pub fn format(duration: Duration) -> String {
    let total = duration.as_millis();
    let (name, ms) = match total {
        0 => ("s", 1000),
        _ => UNITS.into_iter().find(|(_, ms)| total.is_multiple_of(*ms)).expect("one millisecond divides all"),
    };
    format!("{}{name}", total / ms)
}

/// Formats a duration for people, cut to seconds, in as many units as it needs: `1h 30m`.
pub fn spell(duration: Duration) -> impl fmt::Display {
    humantime::format_duration(Duration::from_secs(duration.as_secs()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_duration_is_seconds_or_numbers_with_units() {
        for (text, ms) in [
            ("2s", 2000),
            ("10m", 600_000),
            ("7d", 604_800_000),
            ("90", 90_000),
            ("0", 0),
            ("15ms", 15),
            ("1h 30m", 5_400_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("2 hours 1 min", 7_260_000),
            ("1 s", 1000),
            ("2w", 1_209_600_000),
            ("1M", 2_630_016_000),
            ("1y", 31_557_600_000),
            ("1999us", 1),
            ("36501d", 3_153_686_400_000),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", " ", "s", "-1s", "+1s", "1x", "1.2.3s", "1.5", "soon", "1h 30", "99999999999999999999"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_largest_unit_that_fits_is_written() {
        for (ms, text) in [(0, "0s"), (1500, "1500ms"), (5_400_000, "90m"), (86_400_000, "1d")] {
            assert_eq!(format(Duration::from_millis(ms)), text);
        }
    }

    #[test]
    fn people_are_given_several_units_and_no_fraction_of_a_second() {
        for (ms, text) in [(0, "0s"), (1500, "1s"), (5_400_000, "1h 30m"), (93_784_005, "1day 2h 3m 4s")] {
            assert_eq!(spell(Duration::from_millis(ms)).to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(secs in prop_oneof![0..100_000_u64, 0..500 * 31_557_600_u64], ms in 0..1000_u64) {
            let duration = Duration::from_secs(secs) + Duration::from_millis(ms);
            prop_assert_eq!(parse(&format(duration)), Some(duration));
            let whole = Duration::from_secs(secs);
            prop_assert_eq!(parse(&spell(whole).to_string()), Some(whole));
        }

        #[test]
        fn what_is_read_can_be_written(number in 0..1_000_000_u64, fraction in 0..1000_u32, unit in "(us|ms|s|m|h|d|w|M|y)") {
            let read = parse(&format!("{number}.{fraction}{unit}"));
            if let Some(duration) = read {
                prop_assert_eq!(parse(&format(duration)), Some(duration));
            }
        }
    }
}
