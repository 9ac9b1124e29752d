//! Measures over time, one panel each over a common time axis, from zero, so that only flat measures look flat.

use svg::node::element::{Path, path::Data};

use super::{Canvas, MARGIN, WIDTH, tidy};
use crate::{
    figure::{figure, with_unit},
    input::{Bench, Series},
};

/// Height of a panel's drawing.
const PANEL: f64 = 62.0;
/// Columns along the axis, of two pixels each.
const BINS: usize = 240;
/// Part of the values that the axis must include; the rest is described in text.
const SHOWN: f64 = 0.995;

/// The values of one column.
#[derive(Clone, Copy)]
struct Bin {
    least: f64,
    median: f64,
    most: f64,
}

/// The plot of a bench's series.
pub(crate) fn lines(bench: &Bench) -> String {
    let title = format!("{}: over time", bench.name);
    let end = bench.series.iter().flat_map(|series| &series.points).map(|(at, _)| *at).fold(1.0, f64::max);
    let mut canvas = Canvas::new(&title, "a line of medians; the band is from the least to the most");
    for series in &bench.series {
        panel(&mut canvas, series, end);
    }
    canvas.y += 16.0;
    let (unit, seconds) = if end >= 120.0 { ("min", 60.0) } else { ("s", 1.0) };
    for (part, anchor) in [(0.0, "start"), (0.25, "middle"), (0.5, "middle"), (0.75, "middle"), (1.0, "end")] {
        let text = with_unit((10.0 * end * part / seconds).round() / 10.0, unit);
        canvas.text(x(part), &text, "muted", anchor);
    }
    canvas.finish(&title)
}

fn x(part: f64) -> f64 {
    MARGIN + (WIDTH - 2.0 * MARGIN) * part
}

fn panel(canvas: &mut Canvas, series: &Series, end: f64) {
    let values = sorted(series.points.iter().filter_map(|(_, value)| *value));
    let Some(&most) = values.last() else { return };
    let shown = (quantile(&values, SHOWN) * 1.05).max(f64::MIN_POSITIVE);
    canvas.y += 24.0;
    canvas.text(MARGIN, &series.name, "case", "start");
    let beyond = if most > shown { format!(", at most {}", figure(most)) } else { String::new() };
    let median = with_unit(quantile(&values, 0.5), &series.unit);
    let said = format!("median {median}; 0 to {}{beyond}", figure(shown));
    canvas.text(WIDTH - MARGIN, &said, "muted", "end");
    canvas.y += 8.0 + PANEL;
    let bottom = canvas.y;
    let y = |value: f64| bottom - PANEL * (value / shown).clamp(0.0, 1.0);
    for part in [0.0, 0.25, 0.5, 0.75, 1.0] {
        canvas.line([x(part), bottom - PANEL], [x(part), bottom], "grid");
    }
    canvas.line([x(0.0), bottom], [x(1.0), bottom], "grid");
    let bins = bins(series, end);
    for run in bins.split(|(_, bin)| bin.is_none()).filter(|run| run.len() > 1) {
        let points: Vec<(f64, Bin)> = run.iter().filter_map(|(at, bin)| Some((x(*at), (*bin)?))).collect();
        let upper = points.iter().map(|(x, bin)| (*x, y(bin.most)));
        let lower = points.iter().rev().map(|(x, bin)| (*x, y(bin.least)));
        canvas.add(Path::new().set("d", trace(upper.chain(lower)).close()).set("class", "band"));
        let line = trace(points.iter().map(|(x, bin)| (*x, y(bin.median))));
        canvas.add(Path::new().set("d", line).set("class", "line"));
    }
}

fn trace(points: impl Iterator<Item = (f64, f64)>) -> Data {
    points.enumerate().fold(Data::new(), |data, (n, (x, y))| {
        let point = (tidy(x), tidy(y));
        if n == 0 { data.move_to(point) } else { data.line_to(point) }
    })
}

/// The values of each column; `None` where the series has none.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "few bins")]
fn bins(series: &Series, end: f64) -> Vec<(f64, Option<Bin>)> {
    let count = BINS.min(series.points.len()).max(1);
    let mut values = vec![Vec::new(); count];
    for (at, value) in &series.points {
        let bin = ((at / end * count as f64) as usize).min(count - 1);
        values[bin].extend(*value);
    }
    let mut last = None;
    let mut filled = Vec::new();
    for (n, values) in values.into_iter().enumerate() {
        let values = sorted(values.into_iter());
        let bin = values.first().zip(values.last()).map(|(&least, &most)| Bin {
            least,
            median: quantile(&values, 0.5),
            most,
        });
        // A late sample leaves its column empty: a single empty column is no hole in the series.
        let bridged = if bin.is_none() { last.take() } else { bin };
        last = bin;
        filled.push(((n as f64 + 0.5) / count as f64, bridged));
    }
    filled
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place")]
fn quantile(sorted: &[f64], part: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * part).round() as usize]
}
