//! The times of events, as a person reads them.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

/// `time`, RFC 3339, as a time of day in `zone`; with the date, unless it is `today`. `None` if it is not a time.
pub(super) fn time_of_day(time: &str, zone: &TimeZone, today: Date) -> Option<String> {
    let time = time.parse::<Timestamp>().ok()?.to_zoned(zone.clone());
    let format = if time.date() == today { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
    Some(time.strftime(format).to_string())
}

/// The date in `zone`.
pub(super) fn today(zone: &TimeZone) -> Date {
    Timestamp::now().to_zoned(zone.clone()).date()
}

#[cfg(test)]
mod tests {
    use jiff::{civil::date, tz::offset};

    use super::*;

    #[test]
    fn a_time_is_local_and_has_its_date_unless_it_is_of_today() {
        let zone = TimeZone::fixed(offset(2));
        let shown = |time: &str| time_of_day(time, &zone, date(2026, 11, 22));
        assert_eq!(shown("2026-11-21T22:13:25.790Z").as_deref(), Some("00:13:25"));
        assert_eq!(shown("2026-11-21T21:13:25.790Z").as_deref(), Some("2026-11-21 23:13:25"));
        assert_eq!(shown("now"), None);
    }
}
