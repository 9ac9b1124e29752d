//! Renders docs/BENCHMARKS.md.

use std::fmt::Write as _;

use crate::{
    figure::{spread, with_unit},
    groups::{Group, groups},
    input::{self, Bench, Better, Ratio},
    kept::KeptBench,
    plot::bars::in_words,
    verdict::{Standing, standing, standing_in, words},
};

/// Directory of the plots, relative to the document.
pub(crate) const PLOTS: &str = "benchmarks";

/// A bench of the document.
enum Entry<'a> {
    /// Run since the document was made last.
    Run(&'a Bench),
    /// Of the document as it was.
    Kept(&'a KeptBench),
}

impl Entry<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Run(bench) => &bench.name,
            Self::Kept(kept) => &kept.name,
        }
    }

    /// Its lines in the table of targets, and what each tells.
    fn targets(&self) -> Vec<(String, Standing)> {
        match self {
            Self::Run(bench) => bench.ratios.iter().map(|ratio| (target(bench, ratio), standing(ratio))).collect(),
            Self::Kept(kept) => kept.targets.iter().map(|line| (line.clone(), standing_in(line))).collect(),
        }
    }

    /// When and where it was run.
    fn place(&self) -> (String, String) {
        match self {
            Self::Run(bench) => {
                let machine = &bench.machine;
                let (cores, memory) = (machine.cores, machine.memory_gib);
                let text = format!("{}, {cores} cores, {memory} GiB, Linux {}", machine.cpu, machine.kernel);
                (bench.date.clone(), text)
            }
            Self::Kept(kept) => (kept.date.clone(), kept.machine.clone()),
        }
    }
}

/// Renders the document of these benches, and of those that are kept; `by_hand` is copied unchanged.
pub(crate) fn document(benches: &[Bench], kept: &[KeptBench], by_hand: &str) -> String {
    let mut out = String::from(
        "# Benchmarks\n\nMade by `make bench`; only what stands between the markers at the end is written by hand.\n\n",
    );
    let mut entries: Vec<Entry<'_>> = benches.iter().map(Entry::Run).chain(kept.iter().map(Entry::Kept)).collect();
    entries.sort_by(|a, b| input::place(a.name()).cmp(&input::place(b.name())));
    if entries.is_empty() {
        out.push_str("No bench has been run yet: there are no figures.\n\n");
    } else {
        let names: Vec<String> = entries.iter().map(|entry| format!("[{0}](#{0})", entry.name())).collect();
        let _ = write!(out, "- [Targets](#targets)\n- {}\n", names.join(", "));
        out.push_str(
            "- [Where and when](#where-and-when), [again](#again), [what the figures mean](#what-the-figures-mean)\n\n",
        );
        targets(&mut out, &entries);
        for entry in &entries {
            let _ = write!(out, "## {}\n\n", entry.name());
            match entry {
                Entry::Run(bench) => section(&mut out, bench),
                Entry::Kept(kept) => out.push_str(&kept.section),
            }
        }
        place(&mut out, &entries);
    }
    out.push_str(AGAIN);
    let _ = write!(out, "## What the figures mean\n\n{by_hand}\n");
    out
}

const AGAIN: &str = "## Again\n\n```console\n$ make bench                        # all of it, and this document\n\
    $ make soak                         # the half hour of `sustained`, and this document\n\
    $ cargo bench --bench fan_out       # one question\n\
    $ cargo bench --bench peers         # beside Mercure and Centrifugo: about half an hour\n\
    $ cargo bench --bench durable_streams   # beside the servers of Durable Streams: about ten minutes\n\
    $ make report                       # this document from target/bench/*.json; of other benches, what it told before\n```\n\n";

fn targets(out: &mut String, entries: &[Entry<'_>]) {
    let (lines, standings): (Vec<String>, Vec<Standing>) = entries.iter().flat_map(Entry::targets).unzip();
    let count = |which: &[Standing]| standings.iter().filter(|standing| which.contains(standing)).count();
    let (reached, aimed, missed) =
        (count(&[Standing::Reached, Standing::Aimed]), count(&[Standing::Aimed]), count(&[Standing::Missed]));
    let _ = write!(
        out,
        "## Targets\n\n{} targets: {reached} met, {aimed} of them with the aim; {missed} missed. A ratio is the median of \
         the ratios within each round; the least and the most are in brackets.\n\n\
         | question | figure | reach | aim | met? |\n|---|---|---|---|---|\n{}\n\n",
        reached + missed,
        lines.join("\n")
    );
}

/// A line of the table of targets.
fn target(bench: &Bench, ratio: &Ratio) -> String {
    let unit = if ratio.to.is_some() { "x" } else { &ratio.unit };
    let sign = if ratio.better == Better::Higher { "≥" } else { "≤" };
    let target = |target: Option<f64>| target.map_or("–".to_owned(), |it| format!("{sign} {}", with_unit(it, unit)));
    let against = ratio.to.as_ref().map_or(String::new(), |to| format!(" against {to}"));
    format!(
        "| [{0}](#{0}): {1}: {2}, {3}{4} | {5} | {6} | {7} | {8} |",
        bench.name,
        cell(&ratio.case),
        cell(&ratio.measure),
        cell(&ratio.of),
        cell(&against),
        figure_of(ratio, unit),
        target(ratio.reach),
        target(ratio.aim),
        words(ratio)
    )
}

fn figure_of(ratio: &Ratio, unit: &str) -> String {
    let figure = spread(ratio.median, ratio.min, ratio.max);
    let (median, rest) = figure.split_once(' ').unwrap_or((&figure, ""));
    let parts = [median, unit, rest].into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(" ")
}

fn section(out: &mut String, bench: &Bench) {
    let _ = write!(out, "**{}**\n\n", bench.question);
    if !bench.method.is_empty() {
        let _ = write!(out, "{}\n\n", bench.method);
    }
    let groups = groups(bench);
    let (lone, many): (Vec<&Group<'_>>, Vec<&Group<'_>>) = groups.iter().partition(|group| group.rows.len() == 1);
    for group in many {
        table(out, group);
        if let Some(file) = group.plot(bench) {
            let _ = write!(out, "![{}: {}, {}]({PLOTS}/{file})\n\n", bench.name, group.measure, in_words(group));
        }
    }
    alone(out, &lone);
    if !bench.series.is_empty() {
        let _ = write!(out, "![{}: over time]({PLOTS}/{})\n\n", bench.name, over_time(bench));
    }
    for note in &bench.notes {
        let _ = writeln!(out, "- {note}");
    }
    if !bench.notes.is_empty() {
        out.push('\n');
    }
}

/// Name of the plot of a bench's series.
pub(crate) fn over_time(bench: &Bench) -> String {
    format!("{}-over-time.svg", bench.name)
}

/// Largest number of columns of a table: the width of a page.
const MAX_COLUMNS: usize = 5;

/// A table of contenders by cases; transposed when there are more cases than columns on a page.
fn table(out: &mut String, group: &Group<'_>) {
    let (cases, contenders) = (group.cases(), group.contenders());
    let rounds = group.rows.iter().map(|row| row.rounds).max().unwrap_or(1);
    let unit = if group.unit.is_empty() { String::new() } else { format!(", {}", group.unit) };
    let of = if rounds > 1 { format!(" (median of {rounds}; least to most)") } else { String::new() };
    let _ = write!(out, "{}{unit}{of}:\n\n", capital(group.measure));
    let value = |case: &str, contender: &str| {
        group.row(case, contender).map_or("–".to_owned(), |row| spread(row.median, row.min, row.max))
    };
    let by_case = cases.len() > MAX_COLUMNS || contenders.len() == 1;
    let (across, down) = if by_case { (&contenders, &cases) } else { (&cases, &contenders) };
    let head = |name: &str| if Bench::is_ours(name) { format!("**{}**", cell(name)) } else { cell(name) };
    let heads: Vec<String> = across.iter().map(|name| head(name)).collect();
    let _ = write!(out, "| | {} |\n|---|{}\n", heads.join(" | "), "---:|".repeat(across.len()));
    for name in down {
        let of = |other: &&str| if by_case { value(name, other) } else { value(other, name) };
        let values: Vec<String> = across.iter().map(of).collect();
        let _ = writeln!(out, "| {} | {} |", head(name), values.join(" | "));
    }
    out.push('\n');
}

/// Measures with one figure each share a table.
fn alone(out: &mut String, groups: &[&Group<'_>]) {
    if groups.is_empty() {
        return;
    }
    out.push_str("| | median | least | most |\n|---|---:|---:|---:|\n");
    for group in groups {
        let row = group.rows[0];
        let values = [row.median, row.min, row.max].map(|value| with_unit(value, group.unit));
        let what = format!("{}, {}: {}", row.contender, row.case, group.measure);
        let _ = writeln!(out, "| {} | {} |", cell(&what), values.join(" | "));
    }
    out.push('\n');
}

fn place(out: &mut String, entries: &[Entry<'_>]) {
    out.push_str("## Where and when\n\n");
    let mut told: Vec<((String, String), Vec<&str>)> = Vec::new();
    for entry in entries {
        let place = entry.place();
        match told.iter_mut().find(|(first, _)| *first == place) {
            Some((_, names)) => names.push(entry.name()),
            None => told.push((place, vec![entry.name()])),
        }
    }
    let one = told.len() == 1;
    for ((date, machine), names) in told {
        let names = if one { String::new() } else { format!(" ({})", names.join(", ")) };
        let _ = writeln!(out, "- {date}{names}: {machine}");
    }
    out.push('\n');
}

/// Text in a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().collect::<String>() + chars.as_str())
}
