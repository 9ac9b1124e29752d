//! Precedence of the sources: flag, environment, file, default. Every value is checked, also overridden ones.

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

/// Reads keys from all sources. Collects the mistakes and the effective values.
pub(super) struct Resolver<'a> {
    flags: &'a Flags,
    environment: &'a Environment,
    file: BTreeMap<String, FileEntry>,
    errors: ConfigErrors,
    invalid_keys: Vec<String>,
    chosen: Vec<Setting>,
}

/// The effective value of a key.
#[derive(Debug)]
pub(super) struct Setting {
    pub key: &'static ConfigKey,
    pub text: String,
    pub origin: ValueOrigin,
}

/// The source of a value. `Display` says where to change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ValueOrigin {
    Flag(String),
    Environment(String),
    File(Locations),
    Default,
}

/// `RUST_LOG` sets the log level when `GAPLESS_LOG_LEVEL` is not set, because Rust users try it first.
const LEVEL: (&str, &str) = ("log.level", "RUST_LOG");

impl<'a> Resolver<'a> {
    pub(super) fn new(
        flags: &'a Flags,
        environment: &'a Environment,
        file: BTreeMap<String, FileEntry>,
        errors: ConfigErrors,
    ) -> Self {
        Self { flags, environment, file, errors, invalid_keys: Vec::new(), chosen: Vec::new() }
    }

    /// The value of `key` from the source with the highest precedence that is valid.
    pub(super) fn read<K: ValueKind>(&mut self, key: &'static ConfigKey) -> K::Value {
        let mut effective = None;
        for (text, origin) in self.candidates(key) {
            match parse_in_range::<K>(key, &text) {
                Ok(value) if effective.is_none() => {
                    effective = Some(value);
                    self.chosen.push(Setting { key, text, origin });
                }
                Ok(_) => {}
                Err(problems) => {
                    self.invalid_keys.push(key.path());
                    for ValueProblem { text, part } in &problems {
                        let place = match &origin {
                            ValueOrigin::File(entry) => format!("{}: {}", entry.location_of(part.as_ref()), key.path()),
                            other => other.to_string(),
                        };
                        self.errors.push(&place, text);
                    }
                }
            }
        }
        effective.expect("the default is valid")
    }

    /// Adds a mistake of a combination of `keys`, unless the value of one of them is already invalid.
    pub(super) fn require(&mut self, holds: bool, keys: &[&str], problem: impl fmt::Display) {
        if !holds && !keys.iter().any(|key| self.invalid_keys.iter().any(|invalid| invalid == key)) {
            self.errors.push(keys.join(", "), problem);
        }
    }

    pub(super) fn finish<T>(self, value: T) -> Result<(T, Vec<Setting>), ConfigErrors> {
        self.errors.into_result((value, self.chosen))
    }

    /// All values of `key`, highest precedence first.
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
            all.push((entry.text, ValueOrigin::File(entry.locations)));
        }
        all.push((key.default.to_owned(), ValueOrigin::Default));
        all
    }

    /// The value of a variable. An empty one counts as unset, see [`Environment`].
    fn variable(&mut self, name: String) -> Option<(String, ValueOrigin)> {
        let text = self.environment.get(&name)?;
        let Some(text) = text.to_str() else {
            self.errors.push(&name, "is not UTF-8");
            return None;
        };
        Some((text.to_owned(), ValueOrigin::Environment(name)))
    }
}

/// Parses `text` as a `K` and checks the range of `key`.
fn parse_in_range<K: ValueKind>(key: &ConfigKey, text: &str) -> Result<K::Value, Vec<ValueProblem>> {
    let quoted = |ValueProblem { text: problem, part }| {
        let problem = if K::IS_TOML { problem } else { format!("{text:?} {problem}") };
        ValueProblem { text: problem, part }
    };
    let value = K::parse_parts(text).map_err(|problems| problems.into_iter().map(quoted).collect::<Vec<_>>())?;
    if let (Some(magnitude), Some((low, high))) = (K::magnitude(&value), key.range) {
        let bound = |text| K::parse(text).ok().and_then(|value| K::magnitude(&value)).expect("a bound is valid");
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
            Self::File(locations) => f.write_str(locations.location_of(None)),
            Self::Default => f.write_str("default"),
        }
    }
}
