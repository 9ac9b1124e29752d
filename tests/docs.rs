//! The documents agree with the program: tables, links, quoted log lines, names of tests, types and functions, and commands.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use gapless::{
    config::{
        ConfigKey, KEYS,
        kinds::{DurationText, ValueKind as _},
    },
    engine::{
        jetstream::admin::{StreamFindingKind, hub_permissions},
        sled::FindingKind,
    },
    event::duration,
    http::message::problem::Code,
};
use serde_json::Value;

#[allow(dead_code, reason = "shared with the promises, which use all of it")]
#[path = "promises/support/mod.rs"]
mod support;

#[path = "docs/blocks.rs"]
mod blocks;
#[path = "docs/commands.rs"]
mod commands;
#[path = "docs/left.rs"]
mod left;
#[path = "support/provider.rs"]
mod provider;
#[path = "docs/shown.rs"]
mod shown;

use support::hub::Hub;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Files below `dir` that end in `ending`.
fn files(dir: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![root().join(dir)];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !["target", "node_modules"].contains(&&*name) && !name.starts_with('.') {
                dirs.push(path);
            } else if name.ends_with(ending) && path.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn every_problem_has_a_row_and_a_section() {
    let text = read("docs/PROTOCOL.md");
    for code in Code::ALL {
        let (name, status) = (code.as_str(), code.status().as_u16());
        let row = format!("| [`{name}`](#{name}) | {status} | {} |\n", code.title());
        assert!(text.contains(&row), "docs/PROTOCOL.md lacks {row}");
        let place = format!("\n### {name}\n\n{status}");
        assert!(text.contains(&place), "docs/PROTOCOL.md lacks a heading for {name}, followed by its status");
    }
}

#[test]
fn every_key_has_a_row_with_its_default_and_range() {
    let text = read("docs/OPERATIONS.md");
    let rows = text.lines().filter(|line| line.starts_with("| `")).collect::<Vec<_>>();
    for key in KEYS {
        let range = key.range.map(|(low, high)| format!("`{low}` to `{high}`")).unwrap_or_default();
        let row = format!("| `{}` | `{}` | {range} | ", key.path(), key.default);
        assert!(rows.iter().any(|line| line.starts_with(&row)), "docs/OPERATIONS.md lacks a row that starts {row}");
    }
}

#[test]
fn every_finding_of_a_check_has_a_row() {
    let text = read("docs/OPERATIONS.md");
    for kind in FindingKind::ALL {
        let row = format!("| `{}` | {} | {} | {} |\n", kind.code(), kind.severity(), kind.meaning(), kind.advice());
        assert!(text.contains(&row), "docs/OPERATIONS.md lacks {row}");
    }
    let codes = FindingKind::ALL.iter().map(|kind| kind.code().to_owned());
    assert_eq!(codes.collect::<BTreeSet<_>>(), first_cells("docs/OPERATIONS.md", "### Checking a store"));
}

#[test]
fn every_finding_of_a_check_of_a_stream_has_a_row() {
    let text = read("docs/JETSTREAM.md");
    for kind in StreamFindingKind::ALL {
        let row = format!("| `{}` | {} | {} | {} |\n", kind.code(), kind.rank(), kind.meaning(), kind.advice());
        assert!(text.contains(&row), "docs/JETSTREAM.md lacks {row}");
    }
    let codes = StreamFindingKind::ALL.iter().map(|kind| kind.code().to_owned());
    assert_eq!(codes.collect::<BTreeSet<_>>(), first_cells("docs/JETSTREAM.md", "## Checking"));
}

/// The recommended server lets a hub do what the printed permissions let it, and nothing more.
#[test]
fn the_recommended_server_has_the_permissions_that_init_prints() {
    let text = read("deploy/nats.conf");
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let (have, want) = (words(&text), words(&hub_permissions("GAPLESS", "gapless")));
    assert!(have.windows(want.len()).any(|part| part == want), "deploy/nats.conf lacks {}", want.join(" "));
}

#[test]
fn every_duration_in_the_documents_is_one() {
    let text = read("docs/PROTOCOL.md");
    let section = text.split_once("\n## Durations\n").unwrap().1.split("\n## ").next().unwrap();
    let spans = section.split('`').skip(1).step_by(2);
    let examples = spans.filter(|span| span.starts_with(|c: char| c.is_ascii_digit())).collect::<Vec<_>>();
    assert!(examples.len() > 10, "the examples were not found");
    for example in examples {
        let want = duration::parse(example).unwrap_or_else(|| panic!("docs/PROTOCOL.md: {example}"));
        assert_eq!(DurationText::parse(example), Ok(want), "{example}");
    }
}

#[test]
fn every_figure_is_described_and_every_described_figure_exists() {
    let hub = Hub::start_with(&["--engine", "memory"]);
    let mut fields = BTreeSet::new();
    leaves(&hub.stats(), "", &mut fields);
    assert_eq!(fields, first_cells("docs/OPERATIONS.md", "### Stats"));

    let history = hub.get("/admin/history").json();
    let columns: BTreeSet<String> = history.as_object().unwrap().keys().cloned().collect();
    assert_eq!(columns, first_cells("docs/OPERATIONS.md", "### History"));

    let metrics = hub.get("/metrics").text();
    let names = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next().map(str::to_owned));
    assert_eq!(names.collect::<BTreeSet<_>>(), first_cells("docs/OPERATIONS.md", "### Metrics"));
}

#[test]
fn every_name_in_the_sizing_exists() {
    let metrics = first_cells("docs/OPERATIONS.md", "### Metrics");
    let stats = first_cells("docs/OPERATIONS.md", "### Stats");
    let keys: BTreeSet<String> = KEYS.iter().map(ConfigKey::path).collect();
    let sections: BTreeSet<&str> = keys.iter().filter_map(|key| Some(key.split_once('.')?.0)).collect();
    let text = read("docs/SCALING.md");
    let mut named = 0;
    for name in text.split(|c: char| !c.is_ascii_alphanumeric() && !['.', '_'].contains(&c)) {
        let name = name.trim_matches('.');
        let key = name.split_once('.').is_some_and(|(section, _)| sections.contains(section));
        if name.starts_with("gapless_") {
            assert!(metrics.contains(name), "docs/SCALING.md: there is no metric {name}");
        } else if key {
            let there = keys.contains(name) || stats.contains(name);
            assert!(there, "docs/SCALING.md: there is no key and no figure {name}");
        } else {
            continue;
        }
        named += 1;
    }
    assert!(named > 20, "the names were not found");
}

#[test]
fn every_command_in_the_documents_runs_or_is_listed_with_a_reason() {
    let documents = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut documents: Vec<PathBuf> =
        documents.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    documents.sort();
    documents.insert(0, root().join("README.md"));
    let mut ran = 0;
    let (mut used, mut failures) = (BTreeSet::new(), Vec::new());
    for document in documents {
        let name = document.strip_prefix(root()).unwrap().display().to_string();
        let outcome = commands::run(&name, &read(&document));
        ran += outcome.ran;
        used.extend(outcome.used);
        failures.extend(outcome.failures);
    }
    let listed = left::LEFT.iter().chain(left::NO_SHELL).map(|(text, _)| *text);
    failures.extend(
        listed.filter(|text| !used.contains(text)).map(|text| format!("tests/docs/left.rs: nothing has {text:?}")),
    );
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(ran > 80, "only {ran} commands were found");
}

/// Dotted paths of the leaves of a JSON value.
fn leaves(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value.as_object().filter(|object| !object.is_empty()) {
        Some(object) => {
            for (key, value) in object {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                leaves(value, &path, found);
            }
        }
        None => drop(found.insert(path.to_owned())),
    }
}

/// The code spans in the first column of the table below `heading`.
fn first_cells(path: &str, heading: &str) -> BTreeSet<String> {
    let text = read(path);
    let section = text.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading}")).1;
    let section = section.split("\n#").next().unwrap();
    section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next().map(str::to_owned)).collect()
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    for document in files(".", ".md") {
        let text = read(&document);
        for target in links(&text) {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if path.is_empty() { document.clone() } else { document.parent().unwrap().join(path) };
            assert!(file.exists(), "{}: {target} leads nowhere", document.display());
            if !anchor.is_empty() && file.extension().is_some_and(|ending| ending == "md") {
                let there = read(&file);
                let found = headings(&there).any(|heading| heading == anchor);
                assert!(found, "{}: {target} has no such heading", document.display());
            }
        }
    }
}

/// The log lines that the table in OPERATIONS.md quotes are in the code.
#[test]
fn every_log_line_that_is_described_exists() {
    // A string literal may continue on the next line.
    let code: String = files("src", ".rs").iter().map(read).collect();
    let code: String = code.split("\\\n").map(str::trim_start).collect();
    let text = read("docs/OPERATIONS.md");
    let table = text.split_once("\n### The log\n").unwrap().1.split("\n## ").next().unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | ")).skip(1);
    let lines = rows.map(|(line, _)| line.trim_end_matches(" …"));
    let count = lines.inspect(|line| assert!(code.contains(&format!("\"{line}")), "no such line: {line}")).count();
    assert!(count > 40, "the table is not where it was");
}

/// Files that the code includes at compile time are in the image's build context.
#[test]
fn the_images_context_has_all_that_a_build_needs() {
    let allowed = read("deploy/Dockerfile.dockerignore");
    let allowed: BTreeSet<&str> = allowed.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let mut needed: BTreeSet<String> =
        ["Cargo.toml", "Cargo.lock", "clients/rust", "src", "benches"].map(Into::into).into();
    for path in files("src", ".rs") {
        let code = read(&path);
        for taken in ["include_str!(\"", "include_bytes!(\""] {
            for target in code.split(taken).skip(1).filter_map(|rest| rest.split('"').next()) {
                let file = path.parent().unwrap().join(target).canonicalize().unwrap();
                let below = file.strip_prefix(root().canonicalize().unwrap()).unwrap();
                needed.insert(below.components().next().unwrap().as_os_str().to_string_lossy().into_owned());
            }
        }
    }
    assert!(needed.contains("docs") && needed.contains("console"), "{needed:?}");
    let missing: Vec<_> = needed.iter().filter(|name| !allowed.contains(&***name)).collect();
    assert!(missing.is_empty(), "deploy/Dockerfile.dockerignore leaves out {missing:?}");
}

/// The lines outside code fences.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// Targets of links within the repository.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = prose(text).flat_map(|line| line.split("](").skip(1).filter_map(|rest| rest.split(')').next()));
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
}

/// The anchors that GitHub gives a document's headings.
fn headings(text: &str) -> impl Iterator<Item = String> {
    prose(text).filter(|line| line.starts_with('#')).map(|line| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}

#[test]
fn every_test_that_the_documents_name_exists() {
    let code: String = files("src", ".rs").iter().chain(&files("tests", ".rs")).map(read).collect();
    let words: BTreeSet<&str> = code.split(|c: char| c != '_' && !c.is_alphanumeric()).collect();
    for (document, table) in [("ARCHITECTURE.md", "\n## Invariants\n"), ("SECURITY.md", "\n## Threats\n")] {
        let text = read(document);
        let table = text.split_once(table).unwrap().1.split("\n## ").next().unwrap();
        // A test name has more than three words; keys and headers have fewer.
        let names = table.split('`').skip(1).step_by(2).filter(|name| name.matches('_').count() > 2);
        let count = names.inspect(|name| assert!(words.contains(name), "{document}: no test is called {name}")).count();
        assert!(count > 10, "{document}: the table is not where it was");
    }
}

/// `Type`, `Type::item` and `module::item` in ARCHITECTURE.md exist: some file names the first and defines the item.
#[test]
fn every_item_that_the_architecture_names_exists() {
    let files = [files("src", ".rs"), files("clients/rust/src", ".rs")].concat();
    let code: Vec<String> = files.iter().map(read).collect();
    let code: Vec<(BTreeSet<&str>, BTreeSet<&str>)> = code.iter().map(|file| (words(file), defined(file))).collect();
    let text = read("ARCHITECTURE.md");
    let is_path = |span: &&str| {
        let plain = span.chars().all(|c| c.is_alphanumeric() || ['_', ':'].contains(&c));
        let type_name = span.starts_with(char::is_uppercase) && span.contains(char::is_lowercase);
        plain && (span.contains("::") || type_name)
    };
    let spans = prose(&text).flat_map(|line| line.split('`').skip(1).step_by(2));
    let mut count = 0;
    for span in spans.filter(is_path).filter(|span| !HEADER_NAMES.contains(span)) {
        let found = match span.split_once("::") {
            Some((owner, item)) => code.iter().any(|(words, items)| words.contains(owner) && items.contains(item)),
            None => code.iter().any(|(_, items)| items.contains(span)),
        };
        assert!(found, "ARCHITECTURE.md: nothing in src/ and clients/rust/src/ is called {span}");
        count += 1;
    }
    assert!(count > 60, "only {count} names were found");
}

/// Names of headers in ARCHITECTURE.md, which are not types.
const HEADER_NAMES: [&str; 2] = ["Host", "Origin"];

fn words(code: &str) -> BTreeSet<&str> {
    code.split(|c: char| c != '_' && !c.is_alphanumeric()).collect()
}

/// Functions, types, modules, variants and fields that `code` defines, at most one per line.
fn defined(code: &str) -> BTreeSet<&str> {
    code.lines().filter_map(defined_in).collect()
}

fn defined_in(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    if let Some(after) = rest.strip_prefix("pub") {
        rest = after
            .strip_prefix('(')
            .and_then(|scope| scope.split_once(')'))
            .map_or(after, |(_, rest)| rest)
            .trim_start();
    }
    let keyword = ["const fn ", "async fn ", "fn ", "struct ", "enum ", "trait ", "type ", "mod "];
    let item = keyword.iter().find_map(|keyword| rest.strip_prefix(keyword));
    let name = item.unwrap_or(rest).split(|c: char| c != '_' && !c.is_alphanumeric()).next()?;
    let field_or_variant = rest[name.len()..].starts_with([':', ',', '(']) && line.starts_with(' ');
    (item.is_some() || field_or_variant).then_some(name)
}

/// The Rust version in README.md is that of Cargo.toml, and new enough for every dependency, including those of tests.
#[test]
fn the_toolchain_asked_for_builds_everything() {
    let asked = env!("CARGO_PKG_RUST_VERSION");
    assert!(read("README.md").contains(&format!("You need Rust {asked} or later")), "README.md asks for another one");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let version =
        |text: &str| text.split('.').map(|part| part.parse().unwrap()).chain([0; 2]).take(3).collect::<Vec<u32>>();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100);
    for package in packages {
        let needs = package["rust_version"].as_str().unwrap_or("1.0");
        assert!(version(needs) <= version(asked), "{} needs Rust {needs}", package["name"]);
    }
}
