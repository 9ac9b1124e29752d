//! The keys.

use ratatui::{
    Frame,
    layout::{Constraint, Rect},
    widgets::{Block, Row, Table},
};

use crate::cli::top::keys::HELP;

/// Draws what the keys do.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect) {
    let rows = HELP.iter().map(|(keys, meaning)| Row::new([*keys, *meaning]));
    let table = Table::new(rows, [Constraint::Length(17), Constraint::Fill(1)]);
    frame.render_widget(table.block(Block::bordered().title(" Keys ")), area);
}
