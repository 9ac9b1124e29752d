//! A list of TOML tables as one value: from the file, or inline in a flag or an environment variable.

use serde::Deserialize;

/// A mistake in a value; in a list of tables, with the part that it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueProblem {
    /// In words that follow the value's text.
    pub text: String,
    /// The part that is wrong; `None` for the whole value.
    pub part: Option<TablePart>,
}

/// A part of a list of tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablePart {
    /// The index of the table, from 0.
    pub table: usize,
    /// The key; `None` for the table as a whole.
    pub key: Option<String>,
}

impl From<String> for ValueProblem {
    fn from(text: String) -> Self {
        Self { text, part: None }
    }
}

/// One table of a list, and its mistakes.
#[derive(Debug)]
pub(super) struct ConfigTable<'a> {
    values: &'a toml::Table,
    problems: Vec<(Option<String>, String)>,
}

impl<'a> ConfigTable<'a> {
    pub(super) fn get(&self, key: &str) -> Option<&'a toml::Value> {
        self.values.get(key)
    }

    /// Adds a mistake of a key, or of the whole table.
    pub(super) fn report(&mut self, key: Option<&str>, text: impl Into<String>) {
        self.problems.push((key.map(Into::into), text.into()));
    }

    /// Adds a mistake for each key that is not in `keys`.
    pub(super) fn reject_unknown(&mut self, keys: &[&str]) {
        for key in self.values.keys().filter(|key| !keys.contains(&key.as_str())) {
            let text = format!("there is no key {key:?}; the keys are {}", keys.join(", "));
            self.problems.push((Some(key.clone()), text));
        }
    }
}

/// Parses a list of tables with `read`. `item` names one table in messages; `expected` is the message for a text that
/// is not a list.
pub(super) fn parse<T>(
    text: &str,
    item: &str,
    expected: &str,
    read: impl Fn(&mut ConfigTable<'_>) -> Option<T>,
) -> Result<Vec<T>, Vec<ValueProblem>> {
    let not_toml = |error: toml::de::Error| {
        let reason = error.to_string();
        vec![format!("{expected} ({})", reason.lines().last().unwrap_or_default()).into()]
    };
    let list = toml::Value::deserialize(toml::de::ValueDeserializer::parse(text).map_err(not_toml)?);
    let toml::Value::Array(list) = list.map_err(not_toml)? else {
        return Err(vec![expected.to_owned().into()]);
    };
    let mut problems = Vec::new();
    let items = list.iter().enumerate().filter_map(|(index, value)| {
        let none = toml::Table::new();
        let mut table = ConfigTable { values: value.as_table().unwrap_or(&none), problems: Vec::new() };
        let value = if value.is_table() {
            read(&mut table)
        } else {
            table.report(None, "it is not a table of keys and values");
            None
        };
        problems.extend(table.problems.into_iter().map(|(key, text)| ValueProblem {
            text: format!("{item} {}: {text}", index + 1),
            part: Some(TablePart { table: index, key }),
        }));
        value
    });
    let items = items.collect();
    if problems.is_empty() { Ok(items) } else { Err(problems) }
}

/// The texts of problems, without their parts.
pub(super) fn texts(problems: Vec<ValueProblem>) -> Vec<String> {
    problems.into_iter().map(|problem| problem.text).collect()
}

/// A TOML value as the text that a [`ValueKind`](super::kinds::ValueKind) parses.
pub(super) fn text_of(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), Into::into)
}
