//! The statistics once, as plain text: a name and its value on each line, in a fixed order, for people and for scripts.

use std::fmt::Write;

use super::{
    attention,
    history::RecentPast,
    hub_stats::HubStats,
    units::{bytes_per_second, count, duration, milliseconds, per_second, size},
};
use crate::cli::text::one_line;

/// Columns of a name.
const NAME_COLUMNS: usize = 13;

/// The text. Names of topics and holders stand last on their lines, because they may contain spaces.
pub(super) fn text(url: &str, stats: &HubStats, not_ready: Option<&str>) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        writeln!(text, "{name:<NAME_COLUMNS$}{}", one_line(&value)).expect("memory");
    };
    let condition = match (stats.draining, stats.ready) {
        (true, _) => "draining",
        (false, true) => "ready",
        (false, false) => "not ready",
    };
    line("hub", format!("{url}, gapless {}, {}", stats.version, stats.engine));
    line("state", format!("{condition}, up {}, newest id {}", duration(stats.uptime_s), stats.last_id));
    for attention in attention::of(stats, &RecentPast::default(), not_ready) {
        line("attention", attention.text);
    }
    let (events, amounts) = (&stats.events, &stats.bytes);
    line("events in", format!("{}, {} in all", per_second(events.in_per_s), count(events.in_total)));
    line("events out", format!("{}, {} in all", per_second(events.out_per_s), count(events.out_total)));
    line("bytes in", format!("{}, {} in all", bytes_per_second(amounts.in_per_s), size(amounts.in_total)));
    line("bytes out", format!("{}, {} in all", bytes_per_second(amounts.out_per_s), size(amounts.out_total)));
    let (open, store) = (&stats.subscriptions, &stats.store);
    let by_kind = [("live", open.live), ("replaying", open.replaying), ("lagged", open.lagged)];
    line("streams", format!("{}{}", count(stats.subscribers), named(by_kind.into_iter())));
    line("connections", format!("{} of {}", count(stats.connections), count(stats.connections_limit)));
    line("commits", format!("p50 {}, p99 {}", milliseconds(store.commit_ms.p50), milliseconds(store.commit_ms.p99)));
    let known = |value: Option<u64>| value.map_or("unknown".into(), size);
    let disk = (known(store.disk_free_bytes), known(store.disk_total_bytes));
    line("disk", format!("{} free of {}, store {}", disk.0, disk.1, size(store.disk_bytes)));
    line("kept", format!("{} events in {} topics", count(store.events), count(stats.topics)));
    for (name, counters) in [("refused", &stats.refused_total), ("gaps told", &stats.gaps_total)] {
        let each = counters.iter().map(|(code, number)| (&**code, *number)).filter(|(_, number)| *number > 0);
        line(name, format!("{}{}", count(counters.values().sum()), named(each)));
    }
    line("readers cut", count(stats.slow_readers_cut_total));
    line("relay", format!("{} runs, {} viewers", count(stats.relay.running), count(stats.relay.viewers)));
    for topic in stats.busiest_topics() {
        let rate = |rate: Option<String>| rate.unwrap_or("-".into());
        let events = rate(topic.events_per_s.map(per_second));
        let amount = rate(topic.bytes_per_s.map(bytes_per_second));
        line("topic", format!("{events}, {amount}, {} streams: {}", count(topic.subscribers), topic.topic));
    }
    for holder in &stats.holders {
        let numbers = (count(holder.events_total), size(holder.bytes_total), count(holder.streams));
        let refused = count(holder.refused_total);
        line(
            "holder",
            format!("{} events, {}, {} streams, {refused} refused: {}", numbers.0, numbers.1, numbers.2, holder.holder),
        );
    }
    text
}

/// `: a 1, b 2`, or nothing if there is nothing.
fn named<'a>(counters: impl Iterator<Item = (&'a str, u64)>) -> String {
    let each: Vec<String> = counters.map(|(name, number)| format!("{name} {}", count(number))).collect();
    if each.is_empty() { String::new() } else { format!(": {}", each.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::{super::hub_stats::tests::busy_with, *};

    #[test]
    fn each_line_has_a_name_and_a_value() {
        let stats = busy_with(&[("/ready", false.into()), ("/top_topics/0/topic", "a b\nc".into())]);
        let text = text("http://hub", &stats, Some("the disk is full"));
        let want = "\
hub          http://hub, gapless 0.1.0, sled
state        not ready, up 2h 3m, newest id yrtxnomj-81234
attention    not ready: the disk is full
events in    1,204/s, 81,234 in all
events out   60,210/s, 4,000,000 in all
bytes in     121 KiB/s, 7.7 MiB in all
bytes out    6.2 MiB/s, 381 MiB in all
streams      5,012: live 5,000, replaying 10, lagged 2
connections  5,020 of 10,000
commits      p50 1.2 ms, p99 8.1 ms
disk         14.0 GiB free of 30.0 GiB, store 1.2 GiB
kept         3,100,000 events in 12,000 topics
refused      12: rate-limited 10, unauthorized 2
gaps told    3: trimmed 3
readers cut  2
relay        3 runs, 7 viewers
topic        801/s, 78.1 KiB/s, 4,000 streams: a b c
topic        400/s, 87.9 KiB/s, 3 streams: jobs/42/tokens
topic        -, -, 4,000 streams: orders/new
topic        -, -, 900 streams: notices
holder       80,000 events, 7.6 MiB, 12 streams, 10 refused: ci
holder       1,234 events, 121 KiB, 5,000 streams, 0 refused: web
";
        assert_eq!(text, want);
    }
}
