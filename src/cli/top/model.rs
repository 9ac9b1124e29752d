//! What is shown: the hub's statistics, and what the user has chosen. Drawing is a function of it.

use super::{
    attention::{self, Attention},
    history::RecentPast,
    hub_stats::{HolderStats, HubStats, TopicStats},
};

/// A message of the connection to the hub.
#[derive(Debug)]
pub(super) enum FeedEvent {
    /// The newest statistics; with the hub's reason if it is not ready.
    Stats(Box<HubStats>, Option<String>),
    /// The connection is lost, for this reason; a new one is on its way.
    Lost(String),
}

/// What is known of the hub.
#[derive(Debug, Clone)]
pub(super) struct HubView {
    /// Its URL.
    pub(super) url: String,
    pub(super) stats: HubStats,
    pub(super) history: RecentPast,
    /// Why there is no connection.
    pub(super) lost: Option<String>,
    pub(super) attention: Vec<Attention>,
}

/// A table of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BusiestTable {
    Topics,
    Holders,
}

/// A column that a table is sorted by, the largest first; names in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SortColumn {
    Events,
    Bytes,
    Streams,
    Refused,
    Name,
}

/// The whole screen.
#[derive(Debug)]
pub(super) struct TopModel {
    /// What is known now.
    current: HubView,
    /// What was known when the user paused.
    paused: Option<Box<HubView>>,
    pub(super) table: BusiestTable,
    sorts: [SortColumn; 2],
    selected: [usize; 2],
    pub(super) help: bool,
}

impl BusiestTable {
    /// The columns that it can be sorted by.
    pub(super) fn columns(self) -> &'static [SortColumn] {
        match self {
            Self::Topics => &[SortColumn::Events, SortColumn::Bytes, SortColumn::Streams, SortColumn::Name],
            Self::Holders => {
                &[SortColumn::Events, SortColumn::Bytes, SortColumn::Streams, SortColumn::Refused, SortColumn::Name]
            }
        }
    }
}

impl TopModel {
    /// The screen for a hub whose first statistics are `stats`.
    pub(super) fn new(url: &str, stats: HubStats, not_ready: Option<String>) -> Self {
        let current = HubView {
            url: url.into(),
            stats: HubStats::default(),
            history: RecentPast::default(),
            lost: None,
            attention: Vec::new(),
        };
        let mut model = Self {
            current,
            paused: None,
            table: BusiestTable::Topics,
            sorts: [SortColumn::Events; 2],
            selected: [0; 2],
            help: false,
        };
        model.take(FeedEvent::Stats(stats.into(), not_ready));
        model
    }

    /// Takes a message of the feed.
    pub(super) fn take(&mut self, event: FeedEvent) {
        let current = &mut self.current;
        match event {
            FeedEvent::Stats(stats, not_ready) => {
                current.history.add(&stats);
                current.lost = None;
                current.attention = attention::of(&stats, &current.history, not_ready.as_deref());
                current.stats = *stats;
            }
            FeedEvent::Lost(reason) => current.lost = Some(reason),
        }
    }

    /// What is shown: the present, or the moment of the pause.
    pub(super) fn shown(&self) -> &HubView {
        self.paused.as_deref().unwrap_or(&self.current)
    }

    /// Whether the screen is paused.
    pub(super) fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// Why there is no connection now, also while the screen is paused.
    pub(super) fn lost(&self) -> Option<&str> {
        self.current.lost.as_deref()
    }

    /// Pauses, or goes on with the present.
    pub(super) fn toggle_pause(&mut self) {
        self.paused = match self.paused {
            Some(_) => None,
            None => Some(Box::new(self.current.clone())),
        };
    }

    /// Makes the other table the one that keys act on.
    pub(super) fn next_table(&mut self) {
        self.table = match self.table {
            BusiestTable::Topics => BusiestTable::Holders,
            BusiestTable::Holders => BusiestTable::Topics,
        };
    }

    /// The column that a table is sorted by.
    pub(super) fn sort(&self, table: BusiestTable) -> SortColumn {
        self.sorts[table as usize]
    }

    /// Sorts the table by a column, if it has that.
    pub(super) fn sort_by(&mut self, column: SortColumn) {
        if self.table.columns().contains(&column) {
            self.sorts[self.table as usize] = column;
        }
    }

    /// Sorts the table by its next column.
    pub(super) fn sort_by_next(&mut self) {
        let columns = self.table.columns();
        let at = columns.iter().position(|column| *column == self.sort(self.table)).unwrap_or(0);
        self.sort_by(columns[(at + 1) % columns.len()]);
    }

    /// The selected row of a table.
    pub(super) fn selected(&self, table: BusiestTable) -> usize {
        self.selected[table as usize].min(self.rows(table).saturating_sub(1))
    }

    /// Moves the selection by `rows`, within the table.
    pub(super) fn select(&mut self, rows: isize) {
        let last = self.rows(self.table).saturating_sub(1);
        self.selected[self.table as usize] = self.selected(self.table).saturating_add_signed(rows).min(last);
    }

    fn rows(&self, table: BusiestTable) -> usize {
        match table {
            BusiestTable::Topics => self.shown().stats.busiest_topics().len(),
            BusiestTable::Holders => self.shown().stats.holders.len(),
        }
    }

    /// The busiest topics, sorted.
    pub(super) fn topics(&self) -> Vec<TopicStats> {
        let mut topics = self.shown().stats.busiest_topics();
        let rate = |rate: Option<f64>| rate.unwrap_or(-1.0);
        topics.sort_by(|a, b| match self.sort(BusiestTable::Topics) {
            SortColumn::Bytes => rate(b.bytes_per_s).total_cmp(&rate(a.bytes_per_s)),
            SortColumn::Streams => b.subscribers.cmp(&a.subscribers),
            SortColumn::Name => a.topic.cmp(&b.topic),
            SortColumn::Events | SortColumn::Refused => rate(b.events_per_s).total_cmp(&rate(a.events_per_s)),
        });
        topics
    }

    /// The busiest holders, sorted.
    pub(super) fn holders(&self) -> Vec<HolderStats> {
        let mut holders = self.shown().stats.holders.clone();
        holders.sort_by(|a, b| match self.sort(BusiestTable::Holders) {
            SortColumn::Events => b.events_total.cmp(&a.events_total),
            SortColumn::Bytes => b.bytes_total.cmp(&a.bytes_total),
            SortColumn::Streams => b.streams.cmp(&a.streams),
            SortColumn::Refused => b.refused_total.cmp(&a.refused_total),
            SortColumn::Name => a.holder.cmp(&b.holder),
        });
        holders
    }
}
