//! The busiest topics and holders.

use ratatui::{
    Frame,
    layout::{Constraint, Rect},
    style::{Style, Stylize},
    text::{Line, Text},
    widgets::{Block, Row, Table, TableState},
};

use super::clean::clean;
use crate::cli::top::{
    model::{BusiestTable, SortColumn, TopModel},
    units::{bytes_per_second, count, per_second, size},
};

/// Columns of a number.
const NUMBER: u16 = 12;

/// Columns of the screen from which all numbers are drawn; below, only events and streams.
const ALL_NUMBERS: u16 = 60;

/// What a rate that the hub does not report is shown as.
const UNKNOWN: &str = "-";

/// Draws one of the tables.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, model: &TopModel, table: BusiestTable) {
    let rows = match table {
        BusiestTable::Topics => topics(model),
        BusiestTable::Holders => holders(model),
    };
    let has =
        |column: &SortColumn| area.width >= ALL_NUMBERS || !matches!(column, SortColumn::Bytes | SortColumn::Refused);
    let numbers: Vec<SortColumn> =
        table.columns().iter().copied().filter(|column| *column != SortColumn::Name).filter(has).collect();
    let cells = |name: &str, value: &dyn Fn(SortColumn) -> String| {
        let numbers = numbers.iter().map(|column| Text::from(Line::from(value(*column)).right_aligned()));
        Row::new(std::iter::once(Text::from(name.to_owned())).chain(numbers))
    };
    let sort = model.sort(table);
    let heading = |column: SortColumn| {
        let mark = if column == sort { "\u{25bc}" } else { "" };
        format!("{}{mark}", heading(table, column))
    };
    let header = cells(&heading(SortColumn::Name), &heading).bold();
    let is_focused = model.table == table;
    let selected = model.selected(table);
    let mut block =
        Block::bordered().title(if table == BusiestTable::Topics { " Busiest topics " } else { " Busiest holders " });
    if is_focused && let Some(row) = rows.get(selected) {
        block = block.title_bottom(format!(" {} ", row.name));
    }
    let widths = std::iter::once(Constraint::Fill(1)).chain(numbers.iter().map(|_| Constraint::Length(NUMBER)));
    let body = rows.iter().map(|row| cells(&row.name, &|column| row.number(column)));
    let highlight = if is_focused { Style::new().reversed() } else { Style::new() };
    let drawn = Table::new(body, widths).header(header).block(block).row_highlight_style(highlight);
    frame.render_stateful_widget(drawn, area, &mut TableState::new().with_selected(is_focused.then_some(selected)));
}

/// A row of a table.
struct BusiestRow {
    name: String,
    numbers: Vec<(SortColumn, String)>,
}

impl BusiestRow {
    fn number(&self, column: SortColumn) -> String {
        let number = self.numbers.iter().find(|(of, _)| *of == column);
        number.map(|(_, number)| number.clone()).unwrap_or_default()
    }
}

fn topics(model: &TopModel) -> Vec<BusiestRow> {
    let row = |topic: crate::cli::top::hub_stats::TopicStats| BusiestRow {
        name: clean(&topic.topic),
        numbers: vec![
            (SortColumn::Events, topic.events_per_s.map_or(UNKNOWN.into(), per_second)),
            (SortColumn::Bytes, topic.bytes_per_s.map_or(UNKNOWN.into(), bytes_per_second)),
            (SortColumn::Streams, count(topic.subscribers)),
        ],
    };
    model.topics().into_iter().map(row).collect()
}

fn holders(model: &TopModel) -> Vec<BusiestRow> {
    let row = |holder: crate::cli::top::hub_stats::HolderStats| BusiestRow {
        name: clean(&holder.holder),
        numbers: vec![
            (SortColumn::Events, count(holder.events_total)),
            (SortColumn::Bytes, size(holder.bytes_total)),
            (SortColumn::Streams, count(holder.streams)),
            (SortColumn::Refused, count(holder.refused_total)),
        ],
    };
    model.holders().into_iter().map(row).collect()
}

fn heading(table: BusiestTable, column: SortColumn) -> &'static str {
    match (table, column) {
        (BusiestTable::Topics, SortColumn::Events) => "events/s",
        (BusiestTable::Topics, SortColumn::Bytes) => "bytes/s",
        (BusiestTable::Topics, SortColumn::Name) => "topic",
        (BusiestTable::Holders, SortColumn::Events) => "events",
        (BusiestTable::Holders, SortColumn::Bytes) => "bytes",
        (BusiestTable::Holders, SortColumn::Name) => "holder",
        (_, SortColumn::Streams) => "streams",
        (_, SortColumn::Refused) => "refused",
    }
}
