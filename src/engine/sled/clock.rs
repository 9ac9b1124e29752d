//! The saved state of the log's clock, in the file `clock`, a fact on each line.
//!
//! ```text
//! ahead <time>                           the log's time, while it is ahead of the machine's
//! leap <time> <time> <ms>                the log's time before and after a leap, and the ms that ages do not count
//! seen <time> <boot> <ms>                the log's time at this uptime of this boot
//! ```
//!
//! Times are RFC 3339. A time alone, written by an older gapless, means `ahead`. Lines of unknown form are ignored:
//! ages are then computed without them.

use std::{fs, io, path::Path, time::Duration};

use crate::event::Millis;

use super::super::log::store::{ClockSeen, KeptClock, Leap};
use super::disk;

/// Name of the file.
const FILE: &str = "clock";

/// Reads the saved clock of the store at `dir`; the default when there is none or it cannot be read. Does not need the
/// store's lock.
#[must_use]
pub fn kept_clock(dir: &Path) -> KeptClock {
    fs::read_to_string(dir.join(FILE)).map(|text| parse(&text)).unwrap_or_default()
}

/// Number of lines of the saved clock of the store at `dir` that have no meaning; 0 when there is no file.
pub(super) fn unknown_lines(dir: &Path) -> io::Result<usize> {
    match fs::read_to_string(dir.join(FILE)) {
        Ok(text) => Ok(text.lines().filter(|line| parse(line) == KeptClock::default()).count()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// Replaces the saved clock, durably. Removes the file when `clock` is the default.
pub(super) fn save(dir: &Path, clock: &KeptClock) -> io::Result<()> {
    let path = dir.join(FILE);
    if *clock == KeptClock::default() {
        return match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    disk::write_whole(&path, text(clock).as_bytes())
}

pub(super) fn text(clock: &KeptClock) -> String {
    let ahead = clock.ahead.map(|time| format!("ahead {time}\n"));
    let leap = |leap: &Leap| format!("leap {} {} {}\n", leap.at, leap.to, leap.gained.as_millis());
    let seen = |seen: &ClockSeen| format!("seen {} {} {}\n", seen.time, seen.boot, seen.uptime.as_millis());
    ahead.into_iter().chain(clock.leaps.iter().map(leap)).chain(clock.seen.as_ref().map(seen)).collect()
}

pub(super) fn parse(text: &str) -> KeptClock {
    let mut clock = KeptClock::default();
    let time = Millis::parse_rfc3339;
    let ms = |word: &str| word.parse().ok().map(Duration::from_millis);
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["ahead", at] | [at] => clock.ahead = time(at),
            ["leap", at, to, gained] => {
                if let (Some(at), Some(to), Some(gained)) = (time(at), time(to), ms(gained)) {
                    clock.leaps = clock.leaps.with(Leap { at, to, gained });
                }
            }
            ["seen", at, boot, uptime] => {
                let seen = |(time, uptime)| ClockSeen { time, boot: boot.into(), uptime };
                clock.seen = time(at).zip(ms(uptime)).map(seen);
            }
            _ => {}
        }
    }
    clock
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_795_233_960_007);

    #[test]
    fn a_saved_clock_is_read_back_and_a_time_alone_means_ahead() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(kept_clock(dir.path()), KeptClock::default());
        let gained = Duration::from_hours(87_600);
        let leap = Leap { at: NOW, to: NOW.after(gained), gained };
        let seen = ClockSeen { time: NOW, boot: "0af413a8-eb25".into(), uptime: Duration::from_millis(1_234_567) };
        let leaps = || [leap, Leap { at: leap.to.after(gained), to: leap.to.after(gained * 2), gained }];
        for ahead in [None, Some(NOW)] {
            for count in 0..=2 {
                for seen in [None, Some(seen.clone())] {
                    let clock = KeptClock { ahead, leaps: leaps().into_iter().take(count).collect(), seen };
                    save(dir.path(), &clock).expect("saved");
                    assert_eq!(kept_clock(dir.path()), clock);
                }
            }
        }
        fs::write(dir.path().join(FILE), "2026-11-21T04:06:00.007Z\n").expect("written");
        assert_eq!(kept_clock(dir.path()), KeptClock { ahead: Some(NOW), ..KeptClock::default() });
        save(dir.path(), &KeptClock::default()).expect("removed");
        assert!(!dir.path().join(FILE).exists());
        save(dir.path(), &KeptClock::default()).expect("no file, no error");
    }

    #[test]
    fn a_line_of_unknown_form_is_ignored() {
        for text in ["", "\n\n", "leap 1 2 3", "leap 2026-11-21T04:06:00Z", "seen x y z", "\0\0\0", "new words\n"] {
            assert_eq!(parse(text), KeptClock::default(), "{text:?}");
        }
        let text = "more 1\nahead 2026-11-21T04:06:00.007Z\nleap 2026-11-21T04:06:00Z 2036-11-21T04:06:00Z -5\n";
        assert_eq!(parse(text), KeptClock { ahead: Some(NOW), ..KeptClock::default() });
    }
}
