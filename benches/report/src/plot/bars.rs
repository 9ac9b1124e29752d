//! A measure of all contenders, one panel per case: bars from zero, or points on a logarithmic axis when bars would
//! mislead.

use svg::node::element::{Circle, Rectangle};

use super::{Canvas, LETTER, MARGIN, WIDTH, fitted, tidy, width_of};
use crate::{
    figure::{figure, with_unit},
    groups::Group,
    input::{Bench, Row},
};

/// Ratio of the maximum to the minimum from which on the shortest bars would be invisible.
const RANGE: f64 = 30.0;
/// Height of a bar's row, and of the bar in it.
const PLACE: f64 = 23.0;
const BAR: f64 = 15.0;
/// Width of the word "logarithmic" in a panel.
const LOGARITHMIC: f64 = 90.0;
/// Largest width of a name.
const NAMES: f64 = 200.0;

/// How values map to the horizontal axis.
enum Scale {
    Linear {
        most: f64,
    },
    /// Powers of ten.
    Log {
        least: i32,
        most: i32,
    },
}

impl Scale {
    fn of(rows: &[&Row]) -> Self {
        let most = rows.iter().map(|row| row.max).fold(0.0, f64::max);
        let least = rows.iter().map(|row| row.min).fold(f64::INFINITY, f64::min);
        if least > 0.0 && most / least > RANGE { Self::log(least, most) } else { Self::Linear { most } }
    }

    #[expect(clippy::cast_possible_truncation, reason = "powers of ten are few")]
    fn log(least: f64, most: f64) -> Self {
        Self::Log { least: least.log10().floor() as i32, most: most.log10().ceil() as i32 }
    }

    /// The position of a value, from 0 to 1.
    fn place(&self, value: f64) -> f64 {
        match *self {
            Self::Linear { most } if most > 0.0 => value.max(0.0) / most,
            Self::Linear { .. } => 0.0,
            Self::Log { least, most } => (value.log10() - f64::from(least)) / f64::from(most - least),
        }
    }
}

/// The plot of a group: each case on an axis of its own. With one contender only, its cases share a panel.
pub(crate) fn bars(bench: &Bench, group: &Group<'_>) -> String {
    let title = format!("{}: {}", bench.name, with_its_unit(group));
    let alone = group.contenders().len() == 1;
    let name = |row: &Row| if alone { row.case.clone() } else { row.contender.clone() };
    let left = MARGIN + group.rows.iter().map(|row| width_of(&name(row))).fold(0.0, f64::max).min(NAMES) + LETTER;
    let figures = group.rows.iter().map(|row| width_of(&figure(row.median))).fold(0.0, f64::max);
    let span = [left, WIDTH - MARGIN - figures - LETTER];
    let mut canvas = Canvas::new(&title, "median, least to most");
    let cases = if alone { vec![""] } else { group.cases() };
    for case in cases {
        let rows: Vec<&Row> = if alone {
            group.rows.clone()
        } else {
            group.contenders().into_iter().filter_map(|contender| group.row(case, contender)).collect()
        };
        let scale = Scale::of(&rows);
        canvas.y += if case.is_empty() { 12.0 } else { 24.0 };
        if let Scale::Log { .. } = scale {
            canvas.text(WIDTH - MARGIN, "logarithmic", "muted", "end");
        }
        canvas.text(MARGIN, &fitted(case, WIDTH - 2.0 * MARGIN - LOGARITHMIC), "case", "start");
        canvas.y += 6.0;
        #[expect(clippy::cast_precision_loss, reason = "a handful of rows")]
        let bottom = canvas.y + PLACE * rows.len() as f64;
        grid(&mut canvas, &scale, span, bottom);
        for row in rows {
            bar(&mut canvas, &scale, span, row, &name(row));
        }
        if let Scale::Log { least, most } = scale {
            canvas.y += 15.0;
            for power in least..=most {
                let x = at(span, scale.place(10_f64.powi(power)));
                canvas.text(x, &figure(10_f64.powi(power)), "muted", "middle");
            }
        }
    }
    canvas.finish(&title)
}

fn with_its_unit(group: &Group<'_>) -> String {
    if group.unit.is_empty() { group.measure.to_owned() } else { format!("{}, {}", group.measure, group.unit) }
}

fn at([from, to]: [f64; 2], part: f64) -> f64 {
    from + (to - from) * part
}

/// Zero, or the powers of ten.
fn grid(canvas: &mut Canvas, scale: &Scale, span: [f64; 2], bottom: f64) {
    let top = canvas.y;
    match *scale {
        Scale::Linear { .. } => canvas.line([span[0], top], [span[0], bottom], "grid"),
        Scale::Log { least, most } => {
            for power in least..=most {
                let x = at(span, scale.place(10_f64.powi(power)));
                canvas.line([x, top], [x, bottom], "grid");
            }
        }
    }
}

fn bar(canvas: &mut Canvas, scale: &Scale, span: [f64; 2], row: &Row, name: &str) {
    let ours = if Bench::is_ours(&row.contender) { "ours" } else { "" };
    let middle = canvas.y + PLACE / 2.0;
    let [least, median, most] = [row.min, row.median, row.max].map(|value| at(span, scale.place(value)));
    if let Scale::Linear { .. } = scale {
        let bar = Rectangle::new().set("x", tidy(span[0])).set("y", tidy(middle - BAR / 2.0));
        let bar = bar.set("width", tidy((median - span[0]).max(1.0))).set("height", BAR);
        canvas.add(bar.set("class", format!("bar {ours}").trim_end()));
    }
    if most - least > 1.0 {
        canvas.line([least, middle], [most, middle], "spread");
        for x in [least, most] {
            canvas.line([x, middle - 4.0], [x, middle + 4.0], "spread");
        }
    }
    if let Scale::Log { .. } = scale {
        let point = Circle::new().set("cx", tidy(median)).set("cy", tidy(middle)).set("r", 5);
        canvas.add(point.set("class", format!("bar {ours}").trim_end()));
    }
    let top = std::mem::replace(&mut canvas.y, middle + 5.0);
    canvas.text(span[0] - LETTER, &fitted(name, NAMES), ours, "end");
    canvas.text(most.max(median + 4.0) + LETTER, &figure(row.median), ours, "start");
    canvas.y = top + PLACE;
}

/// Text for screen readers: the best and the worst.
pub(crate) fn in_words(group: &Group<'_>) -> String {
    let mut rows = group.rows.clone();
    rows.sort_by(|a, b| a.median.total_cmp(&b.median));
    let say = |row: &Row| format!("{} {} ({})", row.contender, with_unit(row.median, group.unit), row.case);
    format!("from {} to {}", say(rows[0]), say(rows[rows.len() - 1]))
}
