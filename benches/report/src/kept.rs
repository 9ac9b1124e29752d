//! What an earlier document tells of benches that were not run again: a run of one bench must not lose the figures of
//! the others.

use crate::document::PLOTS;

/// Headings that are no bench's.
const OTHERS: [&str; 4] = ["Targets", "Where and when", "Again", "What the figures mean"];

/// A bench of an earlier document, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptBench {
    pub(crate) name: String,
    /// Its section, after the heading.
    pub(crate) section: String,
    /// Its lines in the table of targets.
    pub(crate) targets: Vec<String>,
    /// When it was run.
    pub(crate) date: String,
    /// Where.
    pub(crate) machine: String,
}

/// All benches of a document; none without one.
pub(crate) fn benches(document: Option<&str>) -> Vec<KeptBench> {
    let Some((document, _)) = document.and_then(|text| text.split_once("\n## What the figures mean\n")) else {
        return Vec::new();
    };
    let sections: Vec<(&str, &str)> =
        document.split("\n## ").skip(1).filter_map(|section| section.split_once("\n\n")).collect();
    let section = |name: &str| sections.iter().find(|(heading, _)| *heading == name).map_or("", |(_, text)| *text);
    let (targets, places) = (section("Targets"), section("Where and when"));
    let bench = |&(name, text): &(&str, &str)| {
        let mine = format!("| [{name}](#{name}): ");
        let targets = targets.lines().filter(|line| line.starts_with(&mine)).map(str::to_owned).collect();
        let (date, machine) = place(places, name);
        KeptBench { name: name.into(), section: format!("{}\n\n", text.trim_end()), targets, date, machine }
    };
    sections.iter().filter(|(heading, _)| !OTHERS.contains(heading)).map(bench).collect()
}

/// When and where a bench was run: a line without names is all benches'.
fn place(places: &str, name: &str) -> (String, String) {
    let found = places.lines().filter_map(|line| {
        let (when, machine) = line.strip_prefix("- ")?.split_once(": ")?;
        let (date, names) = when.split_once(" (").unwrap_or((when, ""));
        let is_its = names.is_empty() || names.trim_end_matches(')').split(", ").any(|other| other == name);
        is_its.then(|| (date.to_owned(), machine.to_owned()))
    });
    found.into_iter().next().unwrap_or_default()
}

impl KeptBench {
    /// The files of its plots.
    pub(crate) fn plots(&self) -> impl Iterator<Item = &str> {
        let begin = format!("]({PLOTS}/");
        let parts: Vec<&str> = self.section.split(&begin).skip(1).collect();
        parts.into_iter().filter_map(|part| part.split(')').next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "# Benchmarks\n\n## Targets\n\n1 target\n\n| [a](#a): x | **no**: 1 |\n| [b](#b): y | yes |\n\n\
        ## a\n\n**Why?**\n\n![a: x](benchmarks/a-x.svg)\n\n## b\n\n**What?**\n\n## Where and when\n\n\
        - 2026-01-02 (a): one\n- 2026-01-03 (b, c): two\n\n## Again\n\nmake\n\n## What the figures mean\n\nmore\n";

    #[test]
    fn a_bench_is_found_with_its_targets_its_place_and_its_plots() {
        let found = benches(Some(DOCUMENT));
        let [a, b] = &found[..] else { panic!("{found:?}") };
        assert_eq!((&*a.name, &*a.date, &*a.machine), ("a", "2026-01-02", "one"));
        assert_eq!(a.targets, ["| [a](#a): x | **no**: 1 |"]);
        assert_eq!(a.plots().collect::<Vec<_>>(), ["a-x.svg"]);
        assert_eq!((&*b.section, &*b.machine), ("**What?**\n\n", "two"));
        let alone = DOCUMENT.replace(" (a)", "");
        assert_eq!(benches(Some(&alone))[0].machine, "one", "a line without names is everyone's");
        assert_eq!(benches(None), []);
    }
}
