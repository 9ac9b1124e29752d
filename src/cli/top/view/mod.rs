//! Draws the model. Nothing here has a state of its own, so that what a test draws is what a user sees.
//!
//! | module | idea |
//! |---|---|
//! | this file | the parts of the screen, and their room |
//! | `overview` | traffic with charts, and figures |
//! | `tables` | the busiest topics and holders |
//! | `help` | the keys |
//! | `clean` | untrusted text in a cell |

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style, Stylize},
    text::{Line, Span},
    widgets::Paragraph,
};

use super::{
    attention::Urgency,
    model::{BusiestTable, HubView, TopModel},
    units::duration,
};

mod clean;
mod help;
mod overview;
mod tables;

use self::clean::clean;

/// Columns from which charts and figures stand beside each other.
const WIDE: u16 = 80;

/// Rows below the overview from which both tables are drawn.
const BOTH_TABLES: u16 = 12;

/// Rows of a table with one row in it: its border, the header and the row.
const TABLE_ROWS: u16 = 4;

/// Draws the screen.
pub(super) fn draw(frame: &mut Frame<'_>, model: &TopModel) {
    let area = frame.area();
    let attention = attention(model);
    // At most a quarter of the screen, so that figures remain.
    let room = (area.height / 4).max(1);
    let attention_rows = u16::try_from(attention.len()).unwrap_or(room).min(room);
    let footer_rows = u16::from(area.height > 5);
    let rows = [
        Constraint::Length(1),
        Constraint::Length(attention_rows),
        Constraint::Fill(1),
        Constraint::Length(footer_rows),
    ];
    let [header, attention_area, body, footer] = Layout::vertical(rows).areas(area);
    draw_header(frame, header, model);
    draw_attention(frame, attention_area, attention);
    if model.help {
        help::draw(frame, body);
    } else {
        draw_body(frame, body, model);
    }
    frame.render_widget(Paragraph::new("q quit  p pause  Tab table  s sort  ? help".dim()), footer);
}

fn draw_body(frame: &mut Frame<'_>, area: Rect, model: &TopModel) {
    let is_wide = area.width >= WIDE;
    // With little room the tables get half of it, and at least one row of theirs is seen.
    let left = area.height.saturating_sub(TABLE_ROWS).max(1);
    let overview_rows = overview::ROWS.min(area.height.div_ceil(2)).min(left);
    let [overview, tables] = Layout::vertical([Constraint::Length(overview_rows), Constraint::Fill(1)]).areas(area);
    if is_wide {
        overview::draw_wide(frame, overview, model.shown());
    } else {
        overview::draw_narrow(frame, overview, model.shown());
    }
    if tables.height >= BOTH_TABLES {
        let parts = [Constraint::Fill(3), Constraint::Fill(2)];
        let [topics, holders] = Layout::vertical(parts).areas(tables);
        tables::draw(frame, topics, model, BusiestTable::Topics);
        tables::draw(frame, holders, model, BusiestTable::Holders);
    } else {
        tables::draw(frame, tables, model, model.table);
    }
}

fn draw_header(frame: &mut Frame<'_>, area: Rect, model: &TopModel) {
    let HubView { url, stats, .. } = model.shown();
    let state = if model.lost().is_some() {
        "NO CONNECTION".red().bold()
    } else if model.is_paused() {
        "PAUSED".yellow().bold()
    } else if stats.draining {
        "DRAINING".red().bold()
    } else if stats.ready {
        "ready".green()
    } else {
        "NOT READY".red().bold()
    };
    let width = u16::try_from(state.width()).unwrap_or(u16::MAX);
    let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Length(width)]).spacing(1).areas(area);
    let words = [format!("gapless {}", clean(&stats.version)), clean(url), format!("up {}", duration(stats.uptime_s))];
    let mut line = Line::from(words[0].clone().bold());
    for word in [&*words[1], &words[2], &clean(&stats.engine), &clean(&stats.last_id)] {
        line.push_span(Span::raw("  "));
        line.push_span(Span::raw(word.to_owned()));
    }
    frame.render_widget(line, left);
    frame.render_widget(Line::from(state), right);
}

/// The lines about what needs attention, the most urgent first.
fn attention(model: &TopModel) -> Vec<Line<'static>> {
    let alarm = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
    let line = |style: Style, text: &str| Line::styled(format!("! {}", clean(text)), style);
    let lost = model.lost().map(|reason| line(alarm, reason));
    let found = model.shown().attention.iter().map(|attention| match attention.urgency {
        Urgency::Alarm => line(alarm, &attention.text),
        Urgency::Notice => line(Style::new().fg(Color::Yellow), &attention.text),
    });
    lost.into_iter().chain(found).collect()
}

fn draw_attention(frame: &mut Frame<'_>, area: Rect, mut lines: Vec<Line<'static>>) {
    let room = usize::from(area.height);
    if lines.len() > room && room > 0 {
        let hidden = lines.len() - room;
        lines.truncate(room);
        if let Some(last) = lines.last_mut() {
            last.spans.insert(0, Span::raw(format!("(and {hidden} more) ")));
        }
    }
    frame.render_widget(Paragraph::new(lines), area);
}

#[cfg(test)]
mod tests;
