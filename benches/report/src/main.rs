//! Renders docs/BENCHMARKS.md and its plots from the reports that the benches wrote to target/bench. What the document
//! tells of other benches stays; to drop a bench, remove its section.
//!
//! `gapless-report [BENCH_DIR [DOCS_DIR]]`; the defaults are those of the repository. The output is deterministic.
//!
//! | module | idea |
//! |---|---|
//! | `input` | the format of a report, and the order of the benches |
//! | `groups` | a report's rows by measure |
//! | `verdict` | whether a target is met |
//! | `document` | the Markdown |
//! | `by_hand` | keeps the part that is written by hand |
//! | `kept` | keeps benches that were not run again |
//! | `plot` | bars and lines as SVG |
//! | `figure` | formats numbers |

mod by_hand;
mod document;
mod figure;
mod groups;
mod input;
mod kept;
mod plot;
mod verdict;

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use kept::KeptBench;

fn main() -> ExitCode {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut args = env::args_os().skip(1).map(PathBuf::from);
    let benches = args.next().unwrap_or_else(|| repository.join("target/bench"));
    let docs = args.next().unwrap_or_else(|| repository.join("docs"));
    match report(&benches, &docs) {
        Ok(count) => {
            println!("{count} reports are in {}", docs.join("BENCHMARKS.md").display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("gapless-report: {error}");
            ExitCode::FAILURE
        }
    }
}

fn report(from: &Path, docs: &Path) -> io::Result<usize> {
    let benches = input::read(from)?;
    let path = docs.join("BENCHMARKS.md");
    let before = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        text => Some(text?),
    };
    let mut kept = kept::benches(before.as_deref());
    kept.retain(|kept| benches.iter().all(|bench| bench.name != kept.name));
    let text = document::document(&benches, &kept, &by_hand::kept(before.as_deref())?);
    let mut plots = BTreeMap::new();
    for bench in &benches {
        for group in groups::groups(bench) {
            if let Some(name) = group.plot(bench) {
                plots.insert(name, plot::bars::bars(bench, &group));
            }
        }
        if !bench.series.is_empty() {
            plots.insert(document::over_time(bench), plot::lines::lines(bench));
        }
    }
    let old: Vec<&str> = kept.iter().flat_map(KeptBench::plots).collect();
    replace_plots(&docs.join(document::PLOTS), &plots, &old)?;
    fs::write(path, text)?;
    Ok(benches.len())
}

/// Writes these plots, keeps the old ones that are still shown, and deletes all others.
fn replace_plots(dir: &Path, plots: &BTreeMap<String, String>, old: &[&str]) -> io::Result<()> {
    if plots.is_empty() && !dir.exists() {
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let kept = name.is_some_and(|name| plots.contains_key(name) || old.contains(&name));
        if path.extension().is_some_and(|ending| ending == "svg") && !kept {
            fs::remove_file(path)?;
        }
    }
    plots.iter().try_for_each(|(name, svg)| fs::write(dir.join(name), svg))
}
