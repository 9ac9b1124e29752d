//! Groups a bench's rows by measure.

use crate::input::{Bench, Row};

/// All rows with one measure and one unit.
pub(crate) struct Group<'a> {
    pub(crate) measure: &'a str,
    pub(crate) unit: &'a str,
    pub(crate) rows: Vec<&'a Row>,
}

impl<'a> Group<'a> {
    /// The cases, in the order of the rows.
    pub(crate) fn cases(&self) -> Vec<&'a str> {
        distinct(self.rows.iter().map(|row| &*row.case))
    }

    /// The contenders: ours first, durable ones before others, then by name. A bench measures them in any order.
    pub(crate) fn contenders(&self) -> Vec<&'a str> {
        let mut contenders = distinct(self.rows.iter().map(|row| &*row.contender));
        contenders.sort_by_key(|name| (!Bench::is_ours(name), name.contains("memory"), *name));
        contenders
    }

    pub(crate) fn row(&self, case: &str, contender: &str) -> Option<&'a Row> {
        self.rows.iter().find(|row| row.case == case && row.contender == contender).copied()
    }

    /// Name of its plot; `None` when a plot would show nothing: a single figure, or zeros.
    pub(crate) fn plot(&self, bench: &Bench) -> Option<String> {
        let name = |text: &str| {
            let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
            words.collect::<Vec<_>>().join("-").to_ascii_lowercase()
        };
        let seen = self.rows.len() > 1 && self.rows.iter().any(|row| row.max > 0.0);
        seen.then(|| format!("{}-{}.svg", name(&bench.name), name(self.measure)))
    }
}

/// The groups, in the order of the rows.
pub(crate) fn groups(bench: &Bench) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for row in &bench.rows {
        match groups.iter_mut().find(|group| group.measure == row.measure && group.unit == row.unit) {
            Some(group) => group.rows.push(row),
            None => groups.push(Group { measure: &row.measure, unit: &row.unit, rows: vec![row] }),
        }
    }
    groups
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut all = Vec::new();
    for name in names {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all
}
