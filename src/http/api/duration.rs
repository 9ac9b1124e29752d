//! Durations as text: `500ms`, `2s`, `10m`, `12h`, `7d`, or a number of seconds.

use std::time::Duration;

/// The longest duration: a hundred years. A longer one is a mistake, and would overflow in computations.
pub const MAX: Duration = Duration::from_hours(100 * 365 * 24);

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Parses a whole number with a unit, or of seconds; `None` for anything else, and above [`MAX`].
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = if unit.is_empty() { "s" } else { unit };
    let (_, ms) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    let total = number.parse::<u64>().ok()?.checked_mul(ms)?;
    Some(Duration::from_millis(total)).filter(|duration| *duration <= MAX)
}

/// Formats a duration, cut to milliseconds, in the largest unit that represents it exactly. [`parse`] reads it back.
#[must_use]
pub fn format(duration: Duration) -> String {
    let total = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let (name, ms) = match total {
        0 => ("s", 1000),
        _ => UNITS.into_iter().find(|(_, ms)| total % ms == 0).expect("one millisecond divides all"),
    };
    format!("{}{name}", total / ms)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        for (text, ms) in [("2s", 2000), ("10m", 600_000), ("7d", 604_800_000), ("90", 90_000), ("0", 0), ("15ms", 15)]
        {
            assert_eq!(parse(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "-1s", "1.5s", " 1s", "1 s", "1y", "1M", "+1s", "36501d", "99999999999999999999"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_largest_unit_that_fits_is_written() {
        for (ms, text) in [(0, "0s"), (1500, "1500ms"), (5_400_000, "90m"), (86_400_000, "1d")] {
            assert_eq!(format(Duration::from_millis(ms)), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(ms in 0..=3_153_600_000_000_u64) {
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(parse(&format(duration)), Some(duration));
        }
    }
}
