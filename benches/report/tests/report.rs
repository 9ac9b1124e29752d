//! Runs the program over fixtures with invented figures, which are marked as such: they are not measurements.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

/// An empty directory for this test.
fn fresh(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// Runs the program; returns its error output when it failed.
fn run(from: &Path, docs: &Path) -> Result<(), String> {
    let out = Command::new(env!("CARGO_BIN_EXE_gapless-report")).arg(from).arg(docs).output().unwrap();
    if out.status.success() { Ok(()) } else { Err(String::from_utf8(out.stderr).unwrap()) }
}

/// All files below a directory.
fn files(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read_to_string(&path).unwrap());
        }
    }
    found
}

#[test]
fn what_is_missed_is_called_missed_and_every_figure_is_there() {
    let docs = fresh("figures");
    run(Path::new(FIXTURES), &docs).unwrap();
    let text = fs::read_to_string(docs.join("BENCHMARKS.md")).unwrap();
    for line in [
        "4 targets: 3 met, 2 of them with the aim; 1 missed.",
        "| [fan_out](#fan_out): 1 in flight, 1000 subscribers: CPU per delivery, gapless (sled) against floor \
         | 1.2 x (1.14–1.3) | ≤ 1.08 x | ≤ 1.03 x | **no**: 11.1 % over |",
        "9.6 ms (9.12–10.4) | ≤ 15 ms | ≤ 10 ms | yes, and the aim |",
        "| **gapless (sled)** | 3.9 (3.67–4.25) | 6.7 (6.3–7.3) | 0.21 (0.197–0.229) | 0.11 (0.103–0.12) |",
        "| gapless (sled), saturated, 1000 subscribers: most deliveries | 5,123,456 /s |",
        "## fan_out\n\n**What does a delivery cost?**\n",
        "| | 500 events/s to 1000 subscribers, one core |\n|---|---:|\n| **gapless (sled)** | 9.6 (7.68–12.5) |\n\
         | **gapless (memory)** | 9.2 (7.36–12) |\n| durable-streams 0.1.5 | 14 (11.2–18.2) |\n| floor |",
        "- s2-lite could not be built | in this fixture\n",
        "- 1999-01-01 (fan_out): INVENTED FIXTURE CPU, 2 cores, 24 GiB, Linux 0.0-fixture\n",
    ] {
        assert!(text.contains(line), "no {line} in {text}");
    }
    let headings = ["## fan_out\n", "## secure\n", "## access\n", "## sustained\n", "## Where and when\n"];
    let places = headings.map(|heading| text.find(heading).unwrap());
    assert!(places.is_sorted(), "benches come in the order of their questions");
    for (path, svg) in files(&docs.join("benchmarks")) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(text.contains(&format!("(benchmarks/{name})")), "{name} is shown nowhere");
        assert!(svg.starts_with("<svg ") && !svg.contains("NaN") && !svg.contains("inf"), "{name}: {svg}");
    }
    let shown = text.matches("](benchmarks/").count();
    assert_eq!(shown, files(&docs.join("benchmarks")).len(), "a plot that is shown is there");
    assert_eq!(shown, 3);
}

#[test]
fn the_same_reports_make_the_same_bytes() {
    let (one, other) = (fresh("once"), fresh("twice"));
    run(Path::new(FIXTURES), &one).unwrap();
    run(Path::new(FIXTURES), &other).unwrap();
    run(Path::new(FIXTURES), &other).unwrap();
    let texts = |dir: &Path| files(dir).into_values().collect::<Vec<_>>();
    assert_eq!(texts(&one), texts(&other));
}

#[test]
fn what_people_wrote_and_benches_that_were_not_run_again_stay_and_old_plots_go() {
    let docs = fresh("by hand");
    run(Path::new(FIXTURES), &docs).unwrap();
    let path = docs.join("BENCHMARKS.md");
    let before = fs::read_to_string(&path).unwrap();
    fs::write(&path, before.replace("*Nothing yet.*", "A profile says why.")).unwrap();
    fs::write(docs.join("benchmarks/old.svg"), "").unwrap();
    let of_all = files(&docs.join("benchmarks"));
    run(&fresh("no reports"), &docs).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, before.replace("*Nothing yet.*", "A profile says why."));
    let plots = files(&docs.join("benchmarks"));
    assert!(plots.len() == of_all.len() - 1 && !plots.contains_key(&docs.join("benchmarks/old.svg")), "{plots:?}");

    // One bench again.
    let one = fresh("one report");
    let again =
        fs::read_to_string(Path::new(FIXTURES).join("fan_out.json")).unwrap().replace("1999-01-01", "1999-01-03");
    fs::write(one.join("fan_out.json"), again).unwrap();
    run(&one, &docs).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("- 1999-01-03 (fan_out): INVENTED"), "{text}");
    assert!(text.contains("4 targets: 3 met, 2 of them with the aim; 1 missed."), "{text}");
    let without_dates = |text: &str| text.replace("1999-01-03", "1999-01-01");
    assert_eq!(without_dates(&text), before.replace("*Nothing yet.*", "A profile says why."));
    assert_eq!(files(&docs.join("benchmarks")), plots);

    fs::write(&path, text.replace("<!-- /by hand -->", "")).unwrap();
    let before = fs::read_to_string(&path).unwrap();
    assert!(run(Path::new(FIXTURES), &docs).unwrap_err().contains("by hand"));
    assert_eq!(fs::read_to_string(&path).unwrap(), before, "rather nothing new than something lost");
}

#[test]
fn a_file_that_is_no_report_is_named() {
    let (reports, docs) = (fresh("broken"), fresh("broken docs"));
    fs::write(reports.join("quiet.json"), "[]").unwrap();
    let said = run(&reports, &docs).unwrap_err();
    assert!(said.contains("quiet.json") && said.contains("run it again"), "{said}");
    assert_eq!(files(&docs).len(), 0);
}
