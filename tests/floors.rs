//! A module uses only modules on lower floors, as ARCHITECTURE.md ("Floors") draws them. The `use crate::` lines of the code
//! are read for it.
//!
//! Only shipped code is checked: a file is read up to its `#[cfg(test)] mod tests`, and test-only files are left out.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

#[path = "floors/circles.rs"]
mod circles;

/// The crate in clients/rust, which is read like a module of this name. `client` is one of its modules: `transport`.
const CLIENT: &str = "gapless_client";

/// The modules, each with its floor.
const MODULES: &[(&str, u8)] = &[
    ("event", 0),
    ("lifecycle", 0),
    ("sync", 0),
    ("progress", 0),
    ("client", 0),
    ("metrics", 0),
    (CLIENT, 0),
    ("access", 1),
    ("backup", 1),
    ("config", 1),
    ("export", 1),
    ("telemetry", 1),
    ("engine", 1),
    ("quota", 1),
    ("otlp", 1),
    ("hub", 2),
    ("relay", 3),
    ("load", 3),
    ("http", 4),
    ("cli", 5),
    ("app", 5),
    ("main", 6),
    ("lib", 6),
];

/// Allowed uses between modules of one floor.
const BESIDE: &[(&str, &str)] = &[
    ("telemetry", "config"), // the log's format is a setting
    ("config", "access"),    // grants and issuers are part of the configuration
];

/// Forbidden uses of lower floors: modules that know less than their floor allows.
const NEVER: &[(&str, &[&str])] = &[
    ("engine", &["config", "telemetry", "lifecycle", "client"]),
    ("access", &["lifecycle"]),
    ("backup", &["lifecycle", "client", "progress", "sync"]),
    ("export", &["lifecycle", "client", "progress", "sync"]),
    ("quota", &["event", "lifecycle", "client"]),
    ("otlp", &["engine", "quota", "config", "telemetry", "lifecycle"]),
    ("hub", &["access", "quota", "config", "telemetry", "client", "otlp"]),
    ("relay", &["access", "quota", "config", "telemetry", "otlp"]),
    ("http", &["config", "telemetry", "load"]),
    ("config", &["engine", "lifecycle"]), // of the client it uses the URL of a provider
    ("telemetry", &["engine", "lifecycle", "client"]),
    ("cli", &["engine", "hub", "relay", "http", "quota", "app"]), // its clients speak the public protocol
    ("load", &["engine", "hub", "relay", "quota", "config", "telemetry", "client"]), // and so does the load generator
];

/// Paths of crates, and the only modules that may name them.
const FENCED: &[(&[&str], &[&str])] = &[
    (&["hyper::", "hyper_util::"], &["http/net", "cli", CLIENT]),
    (&["http::", "http_body::", "http_body_util::"], &["http", "relay", "cli", CLIENT, "otlp"]),
    (&["prost::"], &["metrics", "otlp"]),
    (&["opentelemetry_proto::"], &["otlp/collector", "otlp/messages"]),
    (&["sled::"], &["engine/sled"]),
    (&["tar::", "zstd::"], &["backup/archive"]),
    (&["async_nats::"], &["engine/jetstream/nats"]),
    (&["shuttle::"], &["sync"]), // the only module that depends on the feature `simulation`
    (&["listenfd::"], &["lifecycle/inherited"]),
    (&["humantime::"], &["event/duration"]),
    (
        &["serde_json::"],
        &[
            "engine/jetstream",
            "event/json_text",
            "backup",
            "export",
            "http",
            "relay",
            "cli",
            "config",
            "telemetry",
            "access",
            CLIENT,
        ],
    ),
    (&["jsonwebtoken::"], &["access"]),
    (&["indicatif::"], &["cli/progress"]),
    (&["clap_complete::"], &["cli/completions"]),
    (&["clap_mangen::"], &["cli/man"]),
    (&["ratatui::"], &["cli/top"]),
    (&["flate2::"], &["http/api/asset"]),
    (&["rustls::", "tokio_rustls::", "rustls_acme::"], &["http/net", "cli", "access", CLIENT]),
];

/// Directories whose threads and locks must be those of `sync`, what they must not name, and the files that may: counters
/// that decide nothing, and what the simulation leaves out.
const SIMULATED: (&[&str], &[&str], &[&str]) = (
    &["engine/log", "engine/memory", "hub"],
    &["parking_lot::", "tokio::task::", "tokio::spawn", "std::thread::Builder", "std::thread::spawn"],
    &["hub/stats", "hub/top"],
);

/// Directories that may not use all that their module may: a connection serves any handler, so `http/net` uses no hub.
const NARROWER: &[(&str, &[&str])] = &[
    ("http/net", &["access", "engine", "event", "hub"]),
    ("http/message", &["lifecycle"]),
    ("http/auth", &["engine", "lifecycle"]),
];

/// Names of the state of everything, and the only files that may use them: every other one gets the part that it needs.
const COMPOSED: (&[&str], &[&str]) = (
    &["AppState", "ShardState"],
    &["app", "http/api/dispatch", "http/api/routes", "http/api/server", "http/api/state"],
);

/// Handlers whose requests have a span only at the level debug (`RequestScope::span`). A line of a higher level would lack
/// the request's id.
const WITHOUT_SPAN: &[&str] =
    &["http/auth", "http/message", "http/api/body", "http/api/publish", "http/api/topics", "http/api/operators"];

/// Paths that the vocabulary (`event`) must not name: it is pure.
const IMPURE: &[&str] = &["tokio::", "std::fs", "std::net", "std::thread", "std::process"];

/// Most lines of a file without its tests: a longer one holds two ideas.
const MAX_LINES: usize = 400;

/// Tables of one idea, which grow by an entry for each thing that they list.
const LONG_TABLES: &[&str] = &["config/keys"];

struct Source {
    /// Below `src/`, without `.rs`.
    path: String,
    /// Shipped lines, without comments and indentation.
    lines: Vec<String>,
    /// Types defined in them. Associated types of an `impl` are indented, and are left out.
    types: Vec<String>,
    /// Number of lines before the tests, comments included.
    length: usize,
}

fn sources() -> Vec<Source> {
    let mut found = sources_below("src");
    found.extend(sources_below("clients/rust/src").into_iter().map(Source::of_client));
    assert!(found.len() > 50, "the sources were not found");
    found
}

fn sources_below(directory: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let mut dirs: Vec<PathBuf> = vec![root.clone()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if name != "tests" {
                    dirs.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(Source::read(&root, &path));
            }
        }
    }
    let tests = found.iter().flat_map(Source::test_only).collect::<BTreeSet<_>>();
    found.retain(|source| tests.iter().all(|test| !Path::new(&source.path).starts_with(test)));
    found
}

impl Source {
    fn read(root: &Path, path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let path = path.strip_prefix(root).unwrap().with_extension("");
        let all: Vec<&str> = text.lines().collect();
        let is_test =
            |at: &usize| all[*at] == "#[cfg(test)]" && all.get(at + 1).is_some_and(|next| next.ends_with('{'));
        let length = (0..all.len()).find(is_test).unwrap_or(all.len());
        let code = |line: &&str| line.split_once("//").map_or(*line, |(code, _)| code).trim().to_owned();
        let types = all[..length].iter().filter(|line| !line.starts_with(' ')).filter_map(|line| defined_type(line));
        Self {
            path: path.to_str().unwrap().into(),
            types: types.map(Into::into).collect(),
            lines: all[..length].iter().map(code).collect(),
            length,
        }
    }

    /// A file of the client's crate, as if the crate were a module. Its types are its own.
    fn of_client(self) -> Self {
        let path = if self.path == "lib" { "mod" } else { &self.path };
        Self {
            path: format!("{CLIENT}/{path}"),
            lines: self.lines.iter().map(|line| line.replace("crate::", &format!("crate::{CLIENT}::"))).collect(),
            types: Vec::new(),
            length: self.length,
        }
    }

    /// The top-level module of the file.
    fn module(&self) -> &str {
        self.path.split('/').next().unwrap()
    }

    /// Modules that this file declares for tests only.
    fn test_only(&self) -> Vec<String> {
        let here = self.path.strip_suffix("/mod").unwrap_or(&self.path);
        let pairs = self.lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]");
        let name = |pair: &[String]| Some(pair[1].strip_suffix(';')?.rsplit_once("mod ")?.1.to_owned());
        pairs.filter_map(name).map(|name| format!("{here}/{name}")).collect()
    }

    /// The top-level modules that the file uses: the names after each `crate::`, also in groups over several lines.
    fn uses(&self) -> BTreeSet<String> {
        let text = self.lines.join(" ");
        let mut modules = BTreeSet::new();
        for (at, _) in text.match_indices("crate::") {
            let rest = &text[at + "crate::".len()..];
            if let Some(group) = rest.strip_prefix('{') {
                modules.extend(first_names(group));
            } else {
                modules.insert(word(rest).to_owned());
            }
        }
        // `super::super::x` that leaves the module is a use of `crate::x`.
        modules.extend(self.uses_by_super());
        modules.retain(|name| !name.is_empty());
        modules
    }

    /// The code without imports from this crate, in which `sled` and `http` are modules.
    fn foreign(&self) -> String {
        let text = self.lines.join(" ");
        let statements = text.split_inclusive(';');
        let own = |statement: &&str| {
            ["crate::", "super::", "self::"].iter().any(|path| statement.contains(&format!("use {path}")))
        };
        statements.filter(|statement| !own(statement)).collect()
    }

    fn uses_by_super(&self) -> Vec<String> {
        let depth = self.path.matches('/').count() + usize::from(!self.path.ends_with("/mod"));
        let climb = "super::".repeat(depth);
        let text = self.lines.join(" ");
        text.match_indices(&climb).map(|(at, _)| word(&text[at + climb.len()..]).to_owned()).collect()
    }
}

/// The first name of each item of a `{…}` group; `group` starts after the brace.
fn first_names(group: &str) -> Vec<String> {
    let (mut names, mut depth, mut item) = (Vec::new(), 0, String::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(std::mem::take(&mut item)),
            _ if depth == 0 => item.push(c),
            _ => {}
        }
    }
    names.push(item);
    names.iter().map(|item| word(item.trim()).to_owned()).collect()
}

fn word(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap()
}

fn floor(module: &str) -> Option<u8> {
    MODULES.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

fn allowed(from: &str, to: &str) -> bool {
    let (Some(above), Some(below)) = (floor(from), floor(to)) else { return false };
    let never = NEVER.iter().any(|(module, others)| *module == from && others.contains(&to));
    from == to || BESIDE.contains(&(from, to)) || (below < above && !never)
}

/// What `check` finds in all files, each with its file.
fn violations(check: impl Fn(&Source) -> Vec<String>) -> Vec<String> {
    let of =
        |source: &Source| check(source).into_iter().map(|what| format!("src/{}.rs: {what}", source.path)).collect();
    sources().iter().flat_map(|source| -> Vec<String> { of(source) }).collect()
}

fn names(line: &str, path: &str) -> bool {
    let starts = |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
    line.match_indices(path).any(|(at, _)| starts(at))
}

#[test]
fn every_file_is_in_a_module_with_a_floor() {
    assert_eq!(violations(|source| floor(source.module()).map_or(vec!["no floor".into()], |_| vec![])), [""; 0]);
}

#[test]
fn no_arrow_points_up() {
    let upward = |source: &Source| -> Vec<String> {
        let modules = source.uses();
        let is_item = |name: &str| source.module() == "main" || name.starts_with(char::is_uppercase);
        let wrong = modules.iter().filter(|to| !is_item(to) && !allowed(source.module(), to));
        wrong.map(|to| format!("uses {to}, which {} may not use", source.module())).collect()
    };
    assert_eq!(violations(upward), [""; 0]);
}

#[test]
fn a_directory_uses_no_module_that_it_has_no_need_of() {
    let wider = |source: &Source| -> Vec<String> {
        let narrower = NARROWER.iter().filter(|(home, _)| Path::new(&source.path).starts_with(home));
        let modules = source.uses();
        let used = narrower.flat_map(|(_, never)| *never).filter(|module| modules.contains(**module));
        used.map(|module| format!("uses {module}")).collect()
    };
    assert_eq!(violations(wider), [""; 0]);
}

#[test]
fn the_state_of_everything_is_named_where_it_is_composed_only() {
    let (composed, homes) = COMPOSED;
    let outside = |source: &Source| -> Vec<String> {
        let at_home = homes.iter().any(|home| Path::new(&source.path).starts_with(home));
        let text = source.lines.join(" ");
        let used = composed.iter().filter(|name| !at_home && names(&text.replace("::", " "), name));
        used.map(|name| format!("names {name}")).collect()
    };
    assert_eq!(violations(outside), [""; 0]);
}

#[test]
fn a_fenced_crate_is_named_in_its_modules_only() {
    let outside = |source: &Source| -> Vec<String> {
        let at_home = |homes: &[&str]| homes.iter().any(|home| Path::new(&source.path).starts_with(home));
        let fences = FENCED.iter().filter(|(_, homes)| !at_home(homes));
        let text = source.foreign();
        let used = fences.flat_map(|(paths, _)| *paths).filter(|path| names(&text, path));
        used.map(|path| format!("names {path}")).collect()
    };
    assert_eq!(violations(outside), [""; 0]);
}

#[test]
fn the_simulation_replaces_every_thread_and_lock_below_http() {
    let (directories, forbidden, except) = SIMULATED;
    let foreign = |source: &Source| -> Vec<String> {
        let is_below = |path: &&str| Path::new(&source.path).starts_with(path);
        if !directories.iter().any(is_below) || except.iter().any(is_below) {
            return Vec::new();
        }
        let text = source.lines.join(" ");
        forbidden.iter().filter(|path| names(&text, path)).map(|path| format!("names {path}")).collect()
    };
    assert_eq!(violations(foreign), [""; 0]);
}

#[test]
fn a_line_above_debug_is_written_where_the_request_has_a_span() {
    let without = |source: &Source| -> Vec<String> {
        let here = WITHOUT_SPAN.iter().any(|home| Path::new(&source.path).starts_with(home));
        let text = source.lines.join(" ");
        let lines = ["tracing::error!", "tracing::warn!", "tracing::info!"].into_iter();
        lines.filter(|line| here && text.contains(line)).map(|line| format!("has {line}")).collect()
    };
    assert_eq!(violations(without), [""; 0]);
}

#[test]
fn the_vocabulary_is_pure() {
    let impure = |source: &Source| -> Vec<String> {
        let paths = IMPURE.iter().filter(|_| source.module() == "event");
        let text = source.lines.join(" ").replace("std::{", "std::");
        paths.filter(|path| names(&text, path)).map(|path| format!("names {path}")).collect()
    };
    assert_eq!(violations(impure), [""; 0]);
}

/// A default is a setting's, in `config/keys.rs`. A second one, in the type that takes it, would come to differ.
#[test]
fn only_tests_use_the_fixture_of_a_configuration() {
    let defaults = |source: &Source| -> Vec<String> {
        let engine = ["engine", "hub"].contains(&source.module());
        let default = |line: &&String| engine && line.starts_with("impl Default for ") && line.contains("Config");
        let stated = |line: &&String| line.contains("::fixture(") || default(line);
        source.lines.iter().filter(stated).cloned().collect()
    };
    assert_eq!(violations(defaults), [""; 0]);
}

#[test]
fn a_file_holds_one_idea() {
    let long = |source: &Source| -> Vec<String> {
        let length = source.length;
        if length > MAX_LINES && !LONG_TABLES.contains(&&*source.path) {
            vec![format!("{length} lines without its tests")]
        } else {
            vec![]
        }
    };
    assert_eq!(violations(long), [""; 0]);
}

#[test]
fn a_type_name_has_one_meaning() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources() {
        for name in source.types {
            places.entry(name).or_default().push(format!("src/{}.rs", source.path));
        }
    }
    assert!(places.len() > 300, "the types were not found");
    places.retain(|_, places| places.len() > 1);
    assert_eq!(places, BTreeMap::new(), "give one of them another name");
}

/// The name of the type that a line of code defines.
fn defined_type(line: &str) -> Option<&str> {
    let item = line.strip_prefix("pub").map_or(line, |rest| match rest.strip_prefix('(') {
        Some(rest) => rest.split_once(')').map_or("", |(_, rest)| rest),
        None => rest,
    });
    let (keyword, rest) = item.trim_start().split_once(' ')?;
    matches!(keyword, "struct" | "enum" | "trait" | "type" | "union").then(|| word(rest))
}

#[test]
fn groups_are_read_to_their_end() {
    assert_eq!(first_names("a::{b, c}, d, e::f::{g::{h}}}; crate::i"), ["a", "d", "e"]);
    assert!(
        names("use hyper::x", "hyper::") && !names("use xhyper::y", "hyper::") && !names("crate::http::", "http::")
    );
}
