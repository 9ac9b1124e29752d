//! Formats numbers for readers.

/// Three significant digits, without a needless decimal point.
pub(crate) fn figure(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 || v == 0.0 => 2,
        v if v >= 0.1 => 3,
        _ => 4,
    };
    let text = format!("{value:.digits$}");
    let short = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    thousands(short)
}

/// With thousands separators, from five digits on.
fn thousands(text: &str) -> String {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    if digits.contains('.') || digits.len() < 5 {
        return text.to_owned();
    }
    let mut out = String::from(sign);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A figure with its unit.
pub(crate) fn with_unit(value: f64, unit: &str) -> String {
    if unit.is_empty() { figure(value) } else { format!("{} {unit}", figure(value)) }
}

/// A median with the minimum and maximum in brackets; alone when they are equal.
pub(crate) fn spread(median: f64, min: f64, max: f64) -> String {
    let (least, most) = (figure(min), figure(max));
    if least == most { figure(median) } else { format!("{} ({least}–{most})", figure(median)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_count() {
        for (value, text) in [
            (0.0, "0"),
            (0.0321, "0.0321"),
            (0.104, "0.104"),
            (3.8, "3.8"),
            (3.857, "3.86"),
            (38.57, "38.6"),
            (385.7, "386"),
            (100.0, "100"),
            (3857.0, "3857"),
            (38570.0, "38,570"),
            (1_234_567.8, "1,234,568"),
            (-12_345.0, "-12,345"),
        ] {
            assert_eq!(figure(value), text);
        }
        assert_eq!(spread(3.9, 3.8, 4.1), "3.9 (3.8–4.1)");
        assert_eq!(spread(5.0, 5.0, 5.0), "5");
    }
}
