//! No arrow points up: what `ARCHITECTURE.md` draws, read from the code itself.
//!
//! Only code that ships counts: a file stops at its `#[cfg(test)] mod tests`, and `tests.rs` is left out.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The rooms, each with its floor and whatever it may use beside what is below it.
const ROOMS: &[(&str, u8)] = &[
    ("event", 0),
    ("lifecycle", 0),
    ("access", 1),
    ("config", 1),
    ("telemetry", 1),
    ("engine", 1),
    ("hub", 2),
    ("http", 3),
    ("relay", 3),
    ("console", 3),
    ("load", 3),
    ("cli", 4),
    ("app", 4),
    ("main", 5),
    ("lib", 5),
];

/// Arrows between rooms of one floor that are meant.
const BESIDE: &[(&str, &str)] = &[
    ("telemetry", "config"), // how the log looks is a setting
    ("config", "access"),    // what a credential opens is written in the configuration
];

/// Arrows downwards that are not: a room that knows less than its floor would let it.
const NEVER: &[(&str, &[&str])] = &[
    ("engine", &["config", "telemetry", "lifecycle"]),
    ("access", &["lifecycle"]),
    ("hub", &["access", "config", "telemetry"]),
    ("http", &["config", "telemetry"]),
    ("config", &["engine", "lifecycle"]),
    ("telemetry", &["engine", "lifecycle"]),
    ("cli", &["engine", "hub", "http", "app"]), // clients speak the public protocol
    ("load", &["engine", "hub", "config", "telemetry"]), // and so does who measures it
];

/// Crates and paths, and the only places that may name them.
const FENCED: &[(&[&str], &[&str])] = &[
    (&["hyper::", "hyper_util::", "http::", "http_body::", "http_body_util::"], &["http", "relay", "console", "cli"]),
    (&["sled::"], &["engine/sled"]),
    (&["serde_json::"], &["http", "relay", "console", "cli", "config", "telemetry", "access"]),
    (&["jsonwebtoken::", "ureq::"], &["access"]),
    (&["rustls::", "tokio_rustls::", "rustls_acme::"], &["http", "cli", "access"]),
];

/// What the vocabulary must not know: it is pure.
const IMPURE: &[&str] = &["tokio::", "std::fs", "std::net", "std::thread", "std::process"];

/// Lines of a file without its tests at most: more is two ideas.
const MOST_LINES: usize = 400;

struct Source {
    /// Below `src/`, without `.rs`.
    path: String,
    /// Lines of code that ship, without comments and indentation.
    lines: Vec<String>,
    /// The types that they define. Those of an `impl` are indented, and are left out.
    types: Vec<String>,
    /// Lines before the tests, comments and all.
    length: usize,
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut rooms: Vec<PathBuf> = vec![root.clone()];
    while let Some(room) = rooms.pop() {
        for entry in fs::read_dir(room).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if name != "tests" {
                    rooms.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(Source::read(&root, &path));
            }
        }
    }
    let tests = found.iter().flat_map(Source::test_only).collect::<BTreeSet<_>>();
    found.retain(|source| tests.iter().all(|test| !Path::new(&source.path).starts_with(test)));
    assert!(found.len() > 50, "the sources were not found");
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

    /// The room it stands in.
    fn room(&self) -> &str {
        self.path.split('/').next().unwrap()
    }

    /// Files that this one takes in for its tests only.
    fn test_only(&self) -> Vec<String> {
        let here = self.path.strip_suffix("/mod").unwrap_or(&self.path);
        let pairs = self.lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]");
        let name = |pair: &[String]| Some(pair[1].strip_suffix(';')?.rsplit_once("mod ")?.1.to_owned());
        pairs.filter_map(name).map(|name| format!("{here}/{name}")).collect()
    }

    /// What follows each `crate::`, in a `use` with braces also on later lines.
    fn arrows(&self) -> BTreeSet<String> {
        let text = self.lines.join(" ");
        let mut rooms = BTreeSet::new();
        for (at, _) in text.match_indices("crate::") {
            let rest = &text[at + "crate::".len()..];
            if let Some(group) = rest.strip_prefix('{') {
                rooms.extend(first_names(group));
            } else {
                rooms.insert(word(rest).to_owned());
            }
        }
        // `super::super::x` out of the room is an arrow, too, and would hide from this test.
        rooms.extend(self.above_the_room());
        rooms.retain(|name| !name.is_empty());
        rooms
    }

    /// The code without imports of its own crate, where `sled` and `http` are rooms.
    fn foreign(&self) -> String {
        let text = self.lines.join(" ");
        let statements = text.split_inclusive(';');
        let own = |statement: &&str| {
            ["crate::", "super::", "self::"].iter().any(|path| statement.contains(&format!("use {path}")))
        };
        statements.filter(|statement| !own(statement)).collect()
    }

    fn above_the_room(&self) -> Vec<String> {
        let depth = self.path.matches('/').count() + usize::from(!self.path.ends_with("/mod"));
        let climb = "super::".repeat(depth);
        let text = self.lines.join(" ");
        text.match_indices(&climb).map(|(at, _)| word(&text[at + climb.len()..]).to_owned()).collect()
    }
}

/// The first name of each item of a `{…}` group, which starts after its brace.
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

fn floor(room: &str) -> Option<u8> {
    ROOMS.iter().find(|(name, _)| *name == room).map(|(_, floor)| *floor)
}

fn allowed(from: &str, to: &str) -> bool {
    let (Some(above), Some(below)) = (floor(from), floor(to)) else { return false };
    let never = NEVER.iter().any(|(room, others)| *room == from && others.contains(&to));
    from == to || BESIDE.contains(&(from, to)) || (below < above && !never)
}

/// The mistakes of all files, each with its place.
fn mistakes(look: impl Fn(&Source) -> Vec<String>) -> Vec<String> {
    let of = |source: &Source| look(source).into_iter().map(|what| format!("src/{}.rs: {what}", source.path)).collect();
    sources().iter().flat_map(|source| -> Vec<String> { of(source) }).collect()
}

fn names(line: &str, path: &str) -> bool {
    let starts = |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
    line.match_indices(path).any(|(at, _)| starts(at))
}

#[test]
fn every_file_stands_in_a_room_with_a_floor() {
    assert_eq!(mistakes(|source| floor(source.room()).map_or(vec!["no floor".into()], |_| vec![])), [""; 0]);
}

#[test]
fn no_arrow_points_up() {
    let upward = |source: &Source| -> Vec<String> {
        let rooms = source.arrows();
        let is_item = |name: &str| source.room() == "main" || name.starts_with(char::is_uppercase);
        let wrong = rooms.iter().filter(|to| !is_item(to) && !allowed(source.room(), to));
        wrong.map(|to| format!("uses {to}, which is not below {}", source.room())).collect()
    };
    assert_eq!(mistakes(upward), [""; 0]);
}

#[test]
fn what_is_fenced_is_named_nowhere_else() {
    let outside = |source: &Source| -> Vec<String> {
        let at_home = |homes: &[&str]| homes.iter().any(|home| Path::new(&source.path).starts_with(home));
        let fences = FENCED.iter().filter(|(_, homes)| !at_home(homes));
        let text = source.foreign();
        let used = fences.flat_map(|(paths, _)| *paths).filter(|path| names(&text, path));
        used.map(|path| format!("names {path}")).collect()
    };
    assert_eq!(mistakes(outside), [""; 0]);
}

#[test]
fn the_vocabulary_is_pure() {
    let impure = |source: &Source| -> Vec<String> {
        let paths = IMPURE.iter().filter(|_| source.room() == "event");
        let text = source.lines.join(" ").replace("std::{", "std::");
        paths.filter(|path| names(&text, path)).map(|path| format!("names {path}")).collect()
    };
    assert_eq!(mistakes(impure), [""; 0]);
}

#[test]
fn a_file_holds_one_idea() {
    let long = |source: &Source| -> Vec<String> {
        let length = source.length;
        if length > MOST_LINES { vec![format!("{length} lines without its tests")] } else { vec![] }
    };
    assert_eq!(mistakes(long), [""; 0]);
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
