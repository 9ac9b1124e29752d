//! Numbers of bytes as text for people: `17 B`, `1.2 MiB`, `381 MiB`.

const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/// Formats a number of bytes in the largest binary unit that fits, with two or three digits.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
#[must_use]
pub fn spell(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 99.95);
    format!("{value:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_unit_that_fits_is_written() {
        assert_eq!(
            [0, 999, 1000, 1024, 102_400, 1_073_741_824, u64::MAX].map(spell),
            ["0 B", "999 B", "1.0 KiB", "1.0 KiB", "100 KiB", "1.0 GiB", "16384 PiB"]
        );
    }
}
