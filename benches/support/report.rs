//! The results of a bench: printed as a table, and written to `target/bench/<name>.json` for `benches/report`.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Value, json};

use super::{machine, median, rounds};

/// The results of a bench.
pub(crate) struct Report {
    name: &'static str,
    round: usize,
    rows: Vec<Row>,
    ratios: Vec<Ratio>,
    notes: Vec<String>,
}

/// Figures of one contender in one case, one for each round.
struct Row {
    case: String,
    contender: &'static str,
    measure: &'static str,
    unit: &'static str,
    values: BTreeMap<usize, f64>,
}

/// A figure with a target.
pub(crate) struct Ratio {
    pub(crate) case: String,
    /// A description of the figure.
    pub(crate) measure: &'static str,
    pub(crate) of: &'static str,
    /// The contender compared with; `None` when the figure itself has a target.
    pub(crate) to: Option<&'static str>,
    /// One value for each round.
    pub(crate) values: Vec<f64>,
    pub(crate) reach: Option<f64>,
    pub(crate) aim: Option<f64>,
    pub(crate) better: Better,
}

/// Which direction is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    Higher,
    Lower,
}

/// A comparison of two contenders by figures that are in the report.
pub(crate) struct Compare<'a> {
    pub(crate) case: &'a str,
    /// The measure whose figures are divided.
    pub(crate) measure: &'static str,
    /// A description of the ratio.
    pub(crate) tells: &'static str,
    /// Whether the ratio is inverted: `deliveries per CPU second` from figures of CPU per delivery.
    pub(crate) inverse: bool,
    pub(crate) better: Better,
    pub(crate) reach: Option<f64>,
    pub(crate) aim: Option<f64>,
}

/// The contender of figures without another name.
const OURS: &str = "gapless (sled)";

impl Report {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, round: 0, rows: Vec::new(), ratios: Vec::new(), notes: Vec::new() }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Begins the next round.
    pub(crate) fn next_round(&mut self) {
        self.round += 1;
    }

    /// A figure of this round.
    pub(crate) fn sample(
        &mut self,
        case: &str,
        contender: &'static str,
        measure: &'static str,
        value: f64,
        unit: &'static str,
    ) {
        let same = |row: &&mut Row| row.case == case && row.contender == contender && row.measure == measure;
        let round = self.round;
        if let Some(row) = self.rows.iter_mut().find(same) {
            row.values.insert(round, value);
        } else {
            let values = BTreeMap::from([(round, value)]);
            self.rows.push(Row { case: case.into(), contender, measure, unit, values });
        }
    }

    /// A figure that is measured once.
    pub(crate) fn row(&mut self, what: impl Into<String>, value: f64, unit: &'static str) {
        self.sample(&what.into(), OURS, "", value, unit);
    }

    /// A figure that should be at most `target`.
    pub(crate) fn below(&mut self, what: impl Into<String>, value: f64, unit: &'static str, target: f64) {
        let case = what.into();
        self.sample(&case, OURS, "", value, unit);
        let (reach, aim, better) = (Some(target), None, Better::Lower);
        self.ratio(Ratio { case, measure: unit, of: OURS, to: None, values: vec![value], reach, aim, better });
    }

    /// A figure with a target.
    pub(crate) fn ratio(&mut self, ratio: Ratio) {
        if !ratio.values.is_empty() {
            self.ratios.push(ratio);
        }
    }

    /// Divides the figures of two contenders, round by round. Does nothing when one of them has none.
    pub(crate) fn compare(&mut self, of: &'static str, to: &'static str, compare: &Compare<'_>) {
        let figures = |contender: &str| {
            let same =
                |row: &&Row| row.case == compare.case && row.contender == contender && row.measure == compare.measure;
            self.rows.iter().find(same).map(|row| &row.values)
        };
        let (Some(ours), Some(theirs)) = (figures(of), figures(to)) else { return };
        let both = ours.iter().filter_map(|(round, ours)| Some((*ours, *theirs.get(round)?)));
        let values = both.map(|(ours, theirs)| if compare.inverse { theirs / ours } else { ours / theirs }).collect();
        self.ratio(Ratio {
            case: compare.case.into(),
            measure: compare.tells,
            of,
            to: Some(to),
            values,
            reach: compare.reach,
            aim: compare.aim,
            better: compare.better,
        });
    }

    /// Gives the figures of `contender` in a case a target.
    pub(crate) fn aim(&mut self, contender: &'static str, compare: &Compare<'_>) {
        let same =
            |row: &&Row| row.case == compare.case && row.contender == contender && row.measure == compare.measure;
        let Some(row) = self.rows.iter().find(same) else { return };
        let values = row.values.values().copied().collect();
        self.ratio(Ratio {
            case: compare.case.into(),
            measure: compare.tells,
            of: contender,
            to: None,
            values,
            reach: compare.reach,
            aim: compare.aim,
            better: compare.better,
        });
    }

    /// Adds a note for readers of the figures, once.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Prints the results and writes the JSON file.
    pub(crate) fn finish(mut self) {
        if rounds::quick() {
            self.note("a quick try: these figures say little");
        }
        self.print();
        let row = |row: &Row| {
            let (middle, least, most) = spread(row.values.values().copied().collect());
            json!({
                "case": row.case, "contender": row.contender, "measure": row.measure, "unit": row.unit,
                "median": middle, "min": least, "max": most, "rounds": row.values.len(),
            })
        };
        let ratio = |ratio: &Ratio| {
            let (middle, least, most) = spread(ratio.values.clone());
            let better = if ratio.better == Better::Higher { "higher" } else { "lower" };
            json!({
                "case": ratio.case, "measure": ratio.measure, "of": ratio.of, "to": ratio.to,
                "median": middle, "min": least, "max": most, "reach": ratio.reach, "aim": ratio.aim, "better": better,
            })
        };
        let (question, method) = self.header();
        let all = json!({
            "bench": self.name,
            "question": question,
            "method": method,
            "date": jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
            "machine": machine::description(),
            "rows": self.rows.iter().map(row).collect::<Vec<Value>>(),
            "ratios": self.ratios.iter().map(ratio).collect::<Vec<Value>>(),
            "notes": self.notes,
        });
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
        let text = serde_json::to_string_pretty(&all).expect("plain values");
        fs::create_dir_all(&dir)
            .and_then(|()| fs::write(dir.join(format!("{}.json", self.name)), text))
            .expect("written");
    }

    /// The question and the method: the first two paragraphs of the bench's module documentation.
    fn header(&self) -> (String, String) {
        let benches = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches");
        let files = [format!("{}.rs", self.name), format!("{}/main.rs", self.name)];
        let text = files.iter().find_map(|file| fs::read_to_string(benches.join(file)).ok()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim).collect();
        let mut paragraphs = lines.split(|line| line.is_empty()).map(|lines| lines.join(" "));
        let question = paragraphs.next().unwrap_or_default().trim_matches('*').to_owned();
        (question, paragraphs.next().unwrap_or_default())
    }

    fn print(&self) {
        println!("\n{}", self.name);
        let width = |text: fn(&Row) -> &str| self.rows.iter().map(|row| text(row).chars().count()).max().unwrap_or(0);
        let (case, contender, measure) = (width(|row| &row.case), width(|row| row.contender), width(|row| row.measure));
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        let place =
            |row: &Row| self.rows.iter().position(|first| first.case == row.case && first.measure == row.measure);
        rows.sort_by_key(|row| (place(row), contender_order(row.contender)));
        for row in rows {
            let (middle, least, most) = spread(row.values.values().copied().collect());
            let Row { case: of, contender: by, measure: what, unit, .. } = row;
            let range =
                if row.values.len() > 1 { format!("{} .. {}", figure(least), figure(most)) } else { String::new() };
            println!("  {of:case$}  {by:contender$}  {what:measure$}  {:>9} {unit:<10} {range}", figure(middle));
        }
        for ratio in &self.ratios {
            let (middle, least, most) = spread(ratio.values.clone());
            let met = |target: Option<f64>| {
                target.is_none_or(
                    |target| if ratio.better == Better::Higher { middle >= target } else { middle <= target },
                )
            };
            let verdict = match (ratio.reach, ratio.aim) {
                (None, None) => String::new(),
                (reach, aim) if met(aim) && met(reach) && aim.is_some() => format!("aim {}: met", shown(aim)),
                (reach, aim) if met(reach) => format!("reach {}: met; aim {}", shown(reach), shown(aim)),
                (reach, aim) => format!("reach {}: MISSED; aim {}", shown(reach), shown(aim)),
            };
            let against = ratio.to.map_or(String::new(), |to| format!(" against {to}"));
            println!(
                "  {}: {} of {}{against}: {} ({} .. {})  {verdict}",
                ratio.case,
                ratio.measure,
                ratio.of,
                figure(middle),
                figure(least),
                figure(most)
            );
        }
        for note in &self.notes {
            println!("  note: {note}");
        }
    }
}

fn contender_order(name: &str) -> usize {
    let order = ["gapless (sled)", "gapless (memory)", "floor", "floor (batch)", "nchan"];
    order.iter().position(|known| *known == name).unwrap_or(order.len())
}

fn shown(target: Option<f64>) -> String {
    target.map_or("none".into(), |target| target.to_string())
}

/// The median, the minimum and the maximum.
fn spread(values: Vec<f64>) -> (f64, f64, f64) {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (median(values), least, most)
}

/// Formatted with three significant digits.
fn figure(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
