//! Several TOML tables as one value, a list of them or a table of them: from the file, or inline in a flag or an
//! environment variable.

use serde::Deserialize;

use super::{
    errors::{TableId, TablePart, ValueProblem},
    kinds::ValueKind,
};

/// One of several tables, and its mistakes.
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

    /// Adds a mistake for each key that is not in `keys` and has none yet.
    pub(super) fn reject_unknown(&mut self, keys: &[&str]) {
        for key in self.values.keys().filter(|key| !keys.contains(&key.as_str())) {
            if self.problems.iter().any(|(wrong, _)| wrong.as_ref() == Some(key)) {
                continue;
            }
            let text = format!("there is no key {key:?}; the keys are {}", keys.join(", "));
            self.problems.push((Some(key.clone()), text));
        }
    }

    /// The value of a key; `None` when it is missing or wrong. A message leaves out the text, which may be a secret.
    pub(super) fn read<K: ValueKind>(&mut self, name: &str) -> Option<K::Value> {
        let text = text_of(self.get(name)?);
        let value = K::parse(&text).map_err(|problems| {
            for problem in problems {
                self.report(Some(name), format!("{name} {problem}"));
            }
        });
        value.ok()
    }

    /// As [`read`](Self::read). When it is missing, adds that with `why`.
    pub(super) fn required<K: ValueKind>(&mut self, name: &str, why: &str) -> Option<K::Value> {
        if self.get(name).is_none() {
            self.report(None, format!("{name} is missing; {why}"));
        }
        self.read::<K>(name)
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
    let toml::Value::Array(list) = value_of(text, expected)? else {
        return Err(vec![expected.to_owned().into()]);
    };
    let tables = list.iter().enumerate();
    let named = tables.map(|(index, value)| (TableId::Index(index), format!("{item} {}", index + 1), value));
    each(named, |_, table| read(table))
}

/// Parses a table of tables with `read`, which also gets each table's name. Otherwise as [`parse`].
pub(super) fn parse_named<T>(
    text: &str,
    item: &str,
    expected: &str,
    read: impl Fn(&str, &mut ConfigTable<'_>) -> Option<T>,
) -> Result<Vec<T>, Vec<ValueProblem>> {
    let toml::Value::Table(tables) = value_of(text, expected)? else {
        return Err(vec![expected.to_owned().into()]);
    };
    let named = tables.iter().map(|(name, value)| (TableId::Name(name.clone()), format!("{item} {name:?}"), value));
    each(named, |id, table| match id {
        TableId::Name(name) => read(name, table),
        TableId::Index(_) => None,
    })
}

fn value_of(text: &str, expected: &str) -> Result<toml::Value, Vec<ValueProblem>> {
    let value = toml::de::ValueDeserializer::parse(text).and_then(toml::Value::deserialize);
    value.map_err(|error| {
        let reason = error.to_string();
        vec![format!("{expected} ({})", reason.lines().last().unwrap_or_default()).into()]
    })
}

/// Reads each table: its id, its name in messages, and its value.
fn each<'v, T>(
    tables: impl Iterator<Item = (TableId, String, &'v toml::Value)>,
    read: impl Fn(&TableId, &mut ConfigTable<'_>) -> Option<T>,
) -> Result<Vec<T>, Vec<ValueProblem>> {
    let mut problems = Vec::new();
    let none = toml::Table::new();
    let items = tables.filter_map(|(id, name, value)| {
        let mut table = ConfigTable { values: value.as_table().unwrap_or(&none), problems: Vec::new() };
        let item = if value.is_table() {
            read(&id, &mut table)
        } else {
            table.report(None, "it is not a table of keys and values");
            None
        };
        problems.extend(table.problems.into_iter().map(|(key, text)| ValueProblem {
            text: format!("{name}: {text}"),
            part: Some(TablePart { table: id.clone(), key }),
        }));
        item
    });
    let items = items.collect();
    if problems.is_empty() { Ok(items) } else { Err(problems) }
}

/// The texts of problems, without their parts.
pub(super) fn texts(problems: Vec<ValueProblem>) -> Vec<String> {
    problems.into_iter().map(|problem| problem.text).collect()
}

/// A TOML value as the text that a [`ValueKind`] parses.
pub(super) fn text_of(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), Into::into)
}
