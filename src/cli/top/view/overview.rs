//! The overview: traffic with charts of the last minutes, and the figures of the hub.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Stylize},
    text::Line,
    widgets::{Block, Paragraph, Sparkline},
};

use super::clean::clean;
use crate::cli::top::{
    hub_stats::HubStats,
    model::HubView,
    units::{bytes_per_second, count, milliseconds, per_second, several, size},
};

/// Flows: events in and out, bytes in and out.
const FLOWS: usize = 4;

/// Columns of a flow's name and rate, before its chart.
const FLOW_COLUMNS: u16 = 22;

/// Columns of a figure's name.
const NAME_COLUMNS: usize = 12;

/// Rows that the overview can use.
pub(super) const ROWS: u16 = 10;

/// Draws charts and figures beside each other.
pub(super) fn draw_wide(frame: &mut Frame<'_>, area: Rect, view: &HubView) {
    let [left, right] = Layout::horizontal([Constraint::Fill(4), Constraint::Fill(5)]).areas(area);
    let block = Block::bordered().title(" Traffic ");
    let inner = block.inner(left);
    frame.render_widget(block, left);
    for (at, row) in Layout::vertical([Constraint::Fill(1); FLOWS]).split(inner).iter().enumerate() {
        draw_flow(frame, *row, view, at);
    }
    let figures = Paragraph::new(figures(&view.stats)).block(Block::bordered().title(" Hub "));
    frame.render_widget(figures, right);
}

/// Draws figures only, a line each.
pub(super) fn draw_narrow(frame: &mut Frame<'_>, area: Rect, view: &HubView) {
    let flow = |name: &str, first: usize| {
        let both = format!("{} in, {} out", rate(&view.stats, first), rate(&view.stats, first + 1));
        figure(name, both)
    };
    let mut lines = vec![flow("events", 0), flow("bytes", 2)];
    lines.extend(figures(&view.stats));
    frame.render_widget(Paragraph::new(lines), area);
}

fn draw_flow(frame: &mut Frame<'_>, area: Rect, view: &HubView, at: usize) {
    let name = ["events in", "events out", "bytes in", "bytes out"][at];
    let [text, chart] = Layout::horizontal([Constraint::Length(FLOW_COLUMNS), Constraint::Fill(1)]).areas(area);
    let rate = Line::from(vec![format!("{name:<10} ").into(), format!("{:>10}", rate(&view.stats, at)).bold()]);
    let total = Line::from(format!("{:>21}", format!("{} in all", total(&view.stats, at)))).dim();
    frame.render_widget(Paragraph::new(vec![rate, total]), text);
    let columns = usize::from(chart.width);
    let rates: Vec<Option<u64>> = view.history.newest(columns).map(|rates| rates.map(|rates| rates[at])).collect();
    let padding = std::iter::repeat_n(None, columns - rates.len());
    let color = if at.is_multiple_of(2) { Color::Green } else { Color::Cyan };
    frame.render_widget(Sparkline::default().data(padding.chain(rates)).fg(color), chart);
}

/// The average of the last ten seconds.
fn rate(stats: &HubStats, at: usize) -> String {
    match at {
        0 => per_second(stats.events.in_per_s),
        1 => per_second(stats.events.out_per_s),
        2 => bytes_per_second(stats.bytes.in_per_s),
        _ => bytes_per_second(stats.bytes.out_per_s),
    }
}

/// Since the hub's start.
fn total(stats: &HubStats, at: usize) -> String {
    match at {
        0 => count(stats.events.in_total),
        1 => count(stats.events.out_total),
        2 => size(stats.bytes.in_total),
        _ => size(stats.bytes.out_total),
    }
}

fn figures(stats: &HubStats) -> Vec<Line<'static>> {
    let (open, store) = (&stats.subscriptions, &stats.store);
    let streams = format!(
        "{}: {} live, {} replaying, {} lagged",
        count(stats.subscribers),
        count(open.live),
        count(open.replaying),
        count(open.lagged)
    );
    let commits = format!(
        "p50 {}, p99 {}, {} waiting",
        milliseconds(store.commit_ms.p50),
        milliseconds(store.commit_ms.p99),
        size(store.queued_bytes)
    );
    let disk = match (store.disk_free_bytes, stats.disk_free_percent()) {
        (Some(free), Some(percent)) => format!("{percent:.0} % free ({})", size(free)),
        _ => "unknown".into(),
    };
    let relay = format!(
        "{}, {}",
        several(stats.relay.running, "run", "runs"),
        several(stats.relay.viewers, "viewer", "viewers")
    );
    vec![
        figure("streams", streams),
        figure("connections", format!("{} of {}", count(stats.connections), count(stats.connections_limit))),
        figure("commits", commits),
        figure("disk", format!("{disk}, store {}", size(store.disk_bytes))),
        figure("refused", counts(stats.refused_total.iter())),
        figure(
            "gaps told",
            format!(
                "{}; {} cut",
                counts(stats.gaps_total.iter()),
                several(stats.slow_readers_cut_total, "reader", "readers")
            ),
        ),
        figure(
            "kept",
            format!("{} in {}", several(store.events, "event", "events"), several(stats.topics, "topic", "topics")),
        ),
        figure("relay", relay),
    ]
}

/// The sum of some counters, and the largest of them: `12 (rate-limited 10, unauthorized 2)`.
fn counts<'a>(counters: impl Iterator<Item = (&'a String, &'a u64)>) -> String {
    let mut counters: Vec<(&String, u64)> =
        counters.map(|(name, count)| (name, *count)).filter(|(_, count)| *count > 0).collect();
    counters.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let sum = count(counters.iter().map(|(_, count)| count).sum());
    if counters.is_empty() {
        return sum;
    }
    let named: Vec<String> =
        counters.iter().map(|(name, number)| format!("{} {}", clean(name), count(*number))).collect();
    format!("{sum} ({})", named.join(", "))
}

fn figure(name: &str, value: String) -> Line<'static> {
    Line::from(vec![format!("{name:<NAME_COLUMNS$}").dim(), value.into()])
}
