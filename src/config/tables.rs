//! A list of TOML tables as one value: read from the file, or inline from a flag or an environment variable.

use serde::Deserialize;

/// Reads a list of tables; `expected` says how one is written, and `read` reads one of them.
pub(super) fn parse<T>(
    text: &str,
    item: &str,
    expected: &str,
    read: impl Fn(&toml::Table, &mut Vec<String>) -> Option<T>,
) -> Result<Vec<T>, Vec<String>> {
    let not_toml = |error: toml::de::Error| {
        let reason = error.to_string();
        vec![format!("{expected} ({})", reason.lines().last().unwrap_or_default())]
    };
    let list = toml::Value::deserialize(toml::de::ValueDeserializer::parse(text).map_err(not_toml)?);
    let toml::Value::Array(list) = list.map_err(not_toml)? else {
        return Err(vec![expected.into()]);
    };
    let mut problems = Vec::new();
    let items = list.iter().enumerate().filter_map(|(index, value)| {
        let mut mistakes = Vec::new();
        let value = if let Some(table) = value.as_table() {
            read(table, &mut mistakes)
        } else {
            mistakes.push("it is no table of keys and values".into());
            None
        };
        problems.extend(mistakes.into_iter().map(|mistake| format!("{item} {}: {mistake}", index + 1)));
        value
    });
    let items = items.collect();
    if problems.is_empty() { Ok(items) } else { Err(problems) }
}

/// Adds a mistake for each key of `table` that is none of `keys`.
pub(super) fn known(table: &toml::Table, keys: &[&str], mistakes: &mut Vec<String>) {
    for key in table.keys().filter(|key| !keys.contains(&key.as_str())) {
        mistakes.push(format!("there is no key {key:?}; known are {}", keys.join(", ")));
    }
}

/// A TOML value as the text that a [`Kind`](super::kinds::Kind) reads.
pub(super) fn text_of(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), Into::into)
}
