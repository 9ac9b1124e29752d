//! The effective value of each key. Every value is checked, also overridden ones.

use std::{collections::BTreeMap, fmt};

use super::{
    errors::{ConfigErrors, ValueProblem},
    kinds::ValueKind,
    origin::{SourceValue, ValueOrigin},
    table::ConfigKey,
};

/// Reads keys. Collects the mistakes and the effective values.
pub(super) struct Resolver {
    /// By path, highest precedence first; without the defaults.
    candidates: BTreeMap<String, Vec<SourceValue>>,
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

impl Resolver {
    pub(super) fn new(candidates: BTreeMap<String, Vec<SourceValue>>, errors: ConfigErrors) -> Self {
        Self { candidates, errors, invalid_keys: Vec::new(), chosen: Vec::new() }
    }

    /// The value of `key` from the source with the highest precedence that is valid.
    pub(super) fn read<K: ValueKind>(&mut self, key: &'static ConfigKey) -> K::Value {
        let mut effective = None;
        let default = SourceValue { text: Ok(key.default.to_owned()), origin: ValueOrigin::Default };
        let candidates = self.candidates.remove(&key.path()).unwrap_or_default();
        for SourceValue { text, origin } in candidates.into_iter().chain([default]) {
            let text = match text {
                Ok(text) => text,
                Err(problem) => {
                    self.errors.push(origin, problem);
                    continue;
                }
            };
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
