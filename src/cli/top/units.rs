//! Numbers with units, as a person reads them.

use crate::event::byte_size;

pub(super) use crate::event::byte_size::spell as size;

/// A whole number with separators: `1,234,567`.
pub(super) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate: `1,204/s`, and with a decimal below ten.
pub(super) fn per_second(value: f64) -> String {
    if value > 0.0 && value < 9.95 { format!("{value:.1}/s") } else { format!("{}/s", count(whole(value))) }
}

/// A rate of bytes: `1.2 MiB/s`.
pub(super) fn bytes_per_second(value: f64) -> String {
    format!("{}/s", byte_size::spell(whole(value)))
}

/// Milliseconds: `1.2 ms`.
pub(super) fn milliseconds(value: f64) -> String {
    if value < 99.95 { format!("{value:.1} ms") } else { format!("{} ms", count(whole(value))) }
}

/// A duration in its two largest units: `2h 13m`.
pub(super) fn duration(seconds: f64) -> String {
    let seconds = whole(seconds);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

/// `value` rounded; 0 if it is negative or no number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates")]
pub(super) fn whole(value: f64) -> u64 {
    value.round() as u64
}

/// `one` or `many` after its number: `1 stream`, `2 streams`.
pub(super) fn several(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_have_units() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 0.26, 9.94, 9.96, 1204.4].map(per_second), ["0/s", "0.3/s", "9.9/s", "10/s", "1,204/s"]);
        assert_eq!([0.4, 1536.0].map(bytes_per_second), ["0 B/s", "1.5 KiB/s"]);
        assert_eq!([1.234, 123.4, 12_345.0].map(milliseconds), ["1.2 ms", "123 ms", "12,345 ms"]);
        assert_eq!([5.0, 65.0, 7384.0, 90_000.0].map(duration), ["5s", "1m 5s", "2h 3m", "1d 1h"]);
        assert_eq!((whole(-1.0), whole(f64::NAN)), (0, 0));
        assert_eq!(
            (several(1, "reader", "readers"), several(0, "reader", "readers")),
            ("1 reader".into(), "0 readers".into())
        );
    }
}
