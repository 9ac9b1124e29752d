//! Flag over environment over file over default; every text is judged, also the ones that lose.

use std::{collections::BTreeMap, fmt};

use super::{
    environment::Environment,
    errors::ConfigErrors,
    file::{FileEntry, Locations},
    flags::Flags,
    kinds::ValueKind,
    table::ConfigKey,
    tables::ValueProblem,
};

/// Reads keys from all sources, and remembers what was wrong and who won.
pub(super) struct Resolver<'a> {
    flags: &'a Flags,
    environment: &'a Environment,
    file: BTreeMap<String, FileEntry>,
    errors: ConfigErrors,
    wrong: Vec<String>,
    chosen: Vec<Setting>,
}

/// A key's value in force.
#[derive(Debug)]
pub(super) struct Setting {
    pub key: &'static ConfigKey,
    pub text: String,
    pub origin: ValueOrigin,
}

/// Where a value comes from. `Display` names the place to change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ValueOrigin {
    Flag(String),
    Environment(String),
    File(Locations),
    Default,
}

/// `RUST_LOG` counts for the log's level when its own variable is not set, because Rust users try it first.
const LEVEL: (&str, &str) = ("log.level", "RUST_LOG");

impl<'a> Resolver<'a> {
    pub(super) fn new(
        flags: &'a Flags,
        environment: &'a Environment,
        file: BTreeMap<String, FileEntry>,
        errors: ConfigErrors,
    ) -> Self {
        Self { flags, environment, file, errors, wrong: Vec::new(), chosen: Vec::new() }
    }

    /// The value of `key` from its strongest sound source.
    pub(super) fn read<K: ValueKind>(&mut self, key: &'static ConfigKey) -> K::Value {
        let mut strongest = None;
        for (text, origin) in self.candidates(key) {
            match authenticate::<K>(key, &text) {
                Ok(value) if strongest.is_none() => {
                    strongest = Some(value);
                    self.chosen.push(Setting { key, text, origin });
                }
                Ok(_) => {}
                Err(problems) => {
                    self.wrong.push(key.path());
                    for ValueProblem { text, part } in &problems {
                        let place = match &origin {
                            ValueOrigin::File(entry) => format!("{}: {}", entry.place_of(part.as_ref()), key.path()),
                            other => other.to_string(),
                        };
                        self.errors.push(&place, text);
                    }
                }
            }
        }
        strongest.expect("the default is sound")
    }

    /// Adds a mistake of `keys` together, unless one of them is wrong by itself.
    pub(super) fn require(&mut self, holds: bool, keys: &[&str], problem: impl fmt::Display) {
        if !holds && !keys.iter().any(|key| self.wrong.iter().any(|wrong| wrong == key)) {
            self.errors.push(keys.join(", "), problem);
        }
    }

    pub(super) fn finish<T>(self, value: T) -> Result<(T, Vec<Setting>), ConfigErrors> {
        self.errors.or((value, self.chosen))
    }

    /// Strongest first.
    fn candidates(&mut self, key: &ConfigKey) -> Vec<(String, ValueOrigin)> {
        let path = key.path();
        let mut all = Vec::new();
        if let Some(text) = self.flags.get(&path) {
            all.push((text.to_owned(), ValueOrigin::Flag(key.flag())));
        }
        all.extend(self.variable(key.variable()));
        if path == LEVEL.0 {
            all.extend(self.variable(LEVEL.1.into()));
        }
        if let Some(entry) = self.file.remove(&path) {
            all.push((entry.text, ValueOrigin::File(entry.places)));
        }
        all.push((key.default.to_owned(), ValueOrigin::Default));
        all
    }

    /// An empty variable counts as none: `GAPLESS_DATA=` is how scripts and compose files leave one out.
    fn variable(&mut self, name: String) -> Option<(String, ValueOrigin)> {
        let text = self.environment.get(&name)?;
        let Some(text) = text.to_str() else {
            self.errors.push(&name, "is not UTF-8");
            return None;
        };
        Some((text.to_owned(), ValueOrigin::Environment(name)))
    }
}

/// Reads `text` as a `K` and holds it against the range.
fn authenticate<K: ValueKind>(key: &ConfigKey, text: &str) -> Result<K::Value, Vec<ValueProblem>> {
    let quoted = |ValueProblem { text: wrong, part }| {
        let wrong = if K::IS_TOML { wrong } else { format!("{text:?} {wrong}") };
        ValueProblem { text: wrong, part }
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

impl fmt::Display for ValueOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "--{flag}"),
            Self::Environment(name) => f.write_str(name),
            Self::File(places) => f.write_str(places.place_of(None)),
            Self::Default => f.write_str("default"),
        }
    }
}
