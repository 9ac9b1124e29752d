//! Flag over environment over file over default; every text is judged, also the ones that lose.

use std::{collections::BTreeMap, fmt};

use super::{
    environment::Environment,
    file::{Entry, Places},
    flags::Flags,
    kinds::Kind,
    mistakes::Mistakes,
    table::Key,
    tables::Problem,
};

/// Reads keys from all sources, and remembers what was wrong and who won.
pub(super) struct Resolver<'a> {
    flags: &'a Flags,
    environment: &'a Environment,
    file: BTreeMap<String, Entry>,
    mistakes: Mistakes,
    wrong: Vec<String>,
    chosen: Vec<Setting>,
}

/// A key's value in force.
#[derive(Debug)]
pub(super) struct Setting {
    pub key: &'static Key,
    pub text: String,
    pub origin: Origin,
}

/// Where a value comes from. `Display` names the place to change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    Flag(String),
    Environment(String),
    File(Places),
    Default,
}

/// `RUST_LOG` counts for the log's level when its own variable is not set, because Rust users try it first.
const LEVEL: (&str, &str) = ("log.level", "RUST_LOG");

impl<'a> Resolver<'a> {
    pub(super) fn new(
        flags: &'a Flags,
        environment: &'a Environment,
        file: BTreeMap<String, Entry>,
        mistakes: Mistakes,
    ) -> Self {
        Self { flags, environment, file, mistakes, wrong: Vec::new(), chosen: Vec::new() }
    }

    /// The value of `key` from its strongest sound source.
    pub(super) fn read<K: Kind>(&mut self, key: &'static Key) -> K::Value {
        let mut strongest = None;
        for (text, origin) in self.candidates(key) {
            match judge::<K>(key, &text) {
                Ok(value) if strongest.is_none() => {
                    strongest = Some(value);
                    self.chosen.push(Setting { key, text, origin });
                }
                Ok(_) => {}
                Err(problems) => {
                    self.wrong.push(key.path());
                    for Problem { text, part } in &problems {
                        let place = match &origin {
                            Origin::File(entry) => format!("{}: {}", entry.place_of(part.as_ref()), key.path()),
                            other => other.to_string(),
                        };
                        self.mistakes.push(&place, text);
                    }
                }
            }
        }
        strongest.expect("the default is sound")
    }

    /// Adds a mistake of `keys` together, unless one of them is wrong by itself.
    pub(super) fn require(&mut self, holds: bool, keys: &[&str], problem: impl fmt::Display) {
        if !holds && !keys.iter().any(|key| self.wrong.iter().any(|wrong| wrong == key)) {
            self.mistakes.push(keys.join(", "), problem);
        }
    }

    pub(super) fn finish<T>(self, value: T) -> Result<(T, Vec<Setting>), Mistakes> {
        self.mistakes.or((value, self.chosen))
    }

    /// Strongest first.
    fn candidates(&mut self, key: &Key) -> Vec<(String, Origin)> {
        let path = key.path();
        let mut all = Vec::new();
        if let Some(text) = self.flags.get(&path) {
            all.push((text.to_owned(), Origin::Flag(key.flag())));
        }
        all.extend(self.variable(key.variable()));
        if path == LEVEL.0 {
            all.extend(self.variable(LEVEL.1.into()));
        }
        if let Some(entry) = self.file.remove(&path) {
            all.push((entry.text, Origin::File(entry.places)));
        }
        all.push((key.default.to_owned(), Origin::Default));
        all
    }

    /// An empty variable counts as none: `GAPLESS_DATA=` is how scripts and compose files leave one out.
    fn variable(&mut self, name: String) -> Option<(String, Origin)> {
        let text = self.environment.get(&name)?;
        let Some(text) = text.to_str() else {
            self.mistakes.push(&name, "is not UTF-8");
            return None;
        };
        Some((text.to_owned(), Origin::Environment(name)))
    }
}

/// Reads `text` as a `K` and holds it against the range.
fn judge<K: Kind>(key: &Key, text: &str) -> Result<K::Value, Vec<Problem>> {
    let quoted = |Problem { text: wrong, part }| {
        let wrong = if K::IS_TOML { wrong } else { format!("{text:?} {wrong}") };
        Problem { text: wrong, part }
    };
    let value = K::parse_parts(text).map_err(|problems| problems.into_iter().map(quoted).collect::<Vec<_>>())?;
    if let (Some(magnitude), Some((low, high))) = (K::magnitude(&value), key.range) {
        let bound = |text| K::parse(text).ok().and_then(|value| K::magnitude(&value)).expect("a bound is sound");
        if !(bound(low)..=bound(high)).contains(&magnitude) {
            return Err(vec![format!("{text:?} is out of range; choose from {low} to {high}").into()]);
        }
    }
    Ok(value)
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "--{flag}"),
            Self::Environment(name) => f.write_str(name),
            Self::File(places) => f.write_str(places.place_of(None)),
            Self::Default => f.write_str("default"),
        }
    }
}
