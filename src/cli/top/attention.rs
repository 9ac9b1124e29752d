//! What needs an operator's attention, in words. The most urgent first.

use super::{
    history::RecentPast,
    hub_stats::HubStats,
    units::{count, several, size},
};

/// How urgent it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Clients are refused or events are lost, now or soon.
    Alarm,
    /// It may become an alarm.
    Notice,
}

/// Something that needs attention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attention {
    pub(super) urgency: Urgency,
    pub(super) text: String,
}

/// Percent of free disk below which it is an alarm; and below which it is mentioned.
const DISK_PERCENT: (f64, f64) = (5.0, 10.0);

/// Percent of the connections in use above which it is mentioned.
const CONNECTIONS_PERCENT: u64 = 80;

/// Codes of refused requests that are named in one line.
const CODES: usize = 3;

/// What needs attention, with the hub's reason for not being ready.
pub(super) fn of(stats: &HubStats, history: &RecentPast, not_ready: Option<&str>) -> Vec<Attention> {
    let mut found = AttentionList::default();
    if stats.draining {
        found.alarm("draining: the hub is about to end".into());
    } else if !stats.ready {
        found.alarm(format!("not ready: {}", not_ready.unwrap_or("a durable publish would be refused")));
    }
    disk(stats, &mut found);
    let lost = history.gaps("lost");
    if lost > 0 {
        found.alarm(format!("{} of lost events in the last minute", several(lost, "gap", "gaps")));
    }
    if stats.store.losses > 0 {
        found.alarm(format!("store: {} damaged", several(stats.store.losses, "part was", "parts were")));
    }
    if stats.connections_limit > 0 && stats.connections * 100 >= stats.connections_limit * CONNECTIONS_PERCENT {
        let (open, limit) = (count(stats.connections), count(stats.connections_limit));
        found.alarm(format!("connections: {open} of {limit}; beyond that clients are turned away"));
    }
    recent(history, &mut found);
    if stats.store.clock_ahead_s > 0 {
        found.notice(format!("clock: events are stamped {} s ahead of it", count(stats.store.clock_ahead_s)));
    }
    if stats.store.clock_leapt_s > 0 {
        found.notice(format!("clock: it leapt {} s ahead", count(stats.store.clock_leapt_s)));
    }
    found.0.sort_by_key(|attention| attention.urgency != Urgency::Alarm);
    found.0
}

fn disk(stats: &HubStats, found: &mut AttentionList) {
    let (Some(percent), Some(free)) = (stats.disk_free_percent(), stats.store.disk_free_bytes) else { return };
    let text = format!("disk: {percent:.0} % left ({})", size(free));
    if percent < DISK_PERCENT.0 {
        found.alarm(text);
    } else if percent < DISK_PERCENT.1 {
        found.notice(text);
    }
}

/// What happened in the last minute.
fn recent(history: &RecentPast, found: &mut AttentionList) {
    let cut = history.cut();
    if cut > 0 {
        found.notice(format!("{} cut in the last minute: they did not read", several(cut, "reader", "readers")));
    }
    let refused = history.refused();
    if !refused.is_empty() {
        let all = refused.iter().map(|(_, count)| count).sum();
        let named = refused.iter().take(CODES).map(|(code, number)| format!("{code} {}", count(*number)));
        let more = if refused.len() > CODES { ", …" } else { "" };
        let named = named.collect::<Vec<_>>().join(", ");
        found.notice(format!("{} refused in the last minute: {named}{more}", several(all, "request", "requests")));
    }
    for (reason, meaning) in [
        ("trimmed", "readers came back after retention had removed events"),
        ("unknown", "readers came with positions of another store"),
        ("ahead", "readers were ahead of this store; is it an old copy?"),
    ] {
        let gaps = history.gaps(reason);
        if gaps > 0 {
            found.notice(format!("{} told in the last minute ({reason}): {meaning}", several(gaps, "gap", "gaps")));
        }
    }
    let lines = history.lines_dropped();
    if lines > 0 {
        found.notice(format!("log: {} dropped in the last minute; is stderr read?", several(lines, "line", "lines")));
    }
    if history.is_scrubbing_late() {
        found.notice("bytes of removed events have been on the disk for over a minute".into());
    }
}

#[derive(Default)]
struct AttentionList(Vec<Attention>);

impl AttentionList {
    fn alarm(&mut self, text: String) {
        self.0.push(Attention { urgency: Urgency::Alarm, text });
    }

    fn notice(&mut self, text: String) {
        self.0.push(Attention { urgency: Urgency::Notice, text });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{super::hub_stats::tests::busy_with, *};

    fn texts(changes: &[(&str, Value)]) -> Vec<String> {
        // The hub a second before, as it usually is.
        let mut history = RecentPast::default();
        history.add(&busy_with(&[("/uptime_s", 7383.5.into())]));
        let stats = busy_with(changes);
        history.add(&stats);
        let found = of(&stats, &history, Some("the disk is full"));
        found.iter().map(|attention| format!("{:?} {}", attention.urgency, attention.text)).collect()
    }

    #[test]
    fn a_hub_that_is_well_needs_none() {
        assert_eq!(texts(&[]), [""; 0]);
        assert_eq!(
            texts(&[("/store/disk_free_bytes", Value::Null), ("/store/disk_total_bytes", Value::Null)]),
            [""; 0]
        );
        assert_eq!(texts(&[("/connections_limit", 0.into())]), [""; 0], "unknown");
    }

    #[test]
    fn each_trouble_has_its_words() {
        for (pointer, value, want) in [
            ("/draining", Value::from(true), "Alarm draining: the hub is about to end"),
            ("/ready", false.into(), "Alarm not ready: the disk is full"),
            ("/store/disk_free_bytes", 1_288_490_188_u64.into(), "Alarm disk: 4 % left (1.2 GiB)"),
            ("/store/disk_free_bytes", 2_899_102_925_u64.into(), "Notice disk: 9 % left (2.7 GiB)"),
            ("/store/losses", 1.into(), "Alarm store: 1 part was damaged"),
            ("/gaps_total/lost", 2.into(), "Alarm 2 gaps of lost events in the last minute"),
            ("/connections", 9000.into(), "Alarm connections: 9,000 of 10,000; beyond that clients are turned away"),
            ("/slow_readers_cut_total", 5.into(), "Notice 3 readers cut in the last minute: they did not read"),
            ("/refused_total/forbidden", 1.into(), "Notice 1 request refused in the last minute: forbidden 1"),
            (
                "/gaps_total/trimmed",
                4.into(),
                "Notice 1 gap told in the last minute (trimmed): readers came back after retention had removed events",
            ),
            ("/log_lines_dropped_total", 7.into(), "Notice log: 7 lines dropped in the last minute; is stderr read?"),
            ("/store/clock_ahead_s", 7.into(), "Notice clock: events are stamped 7 s ahead of it"),
        ] {
            assert_eq!(texts(&[(pointer, value)]), [want]);
        }
    }

    #[test]
    fn alarms_come_first() {
        let found = texts(&[
            ("/slow_readers_cut_total", 5.into()),
            ("/store/clock_leapt_s", 1.into()),
            ("/ready", false.into()),
        ]);
        assert_eq!(found.len(), 3);
        assert!(found[0].starts_with("Alarm not ready"), "{found:?}");
    }
}
