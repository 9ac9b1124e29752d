//! Whether something is as expected.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::Failure;

/// Ids by their names.
pub(crate) type Saved = BTreeMap<String, String>;

/// A text that may be the name of an id.
pub(crate) fn known(saved: &Saved, text: &str) -> String {
    text.strip_prefix('$').and_then(|name| saved.get(name)).map_or_else(|| text.into(), Clone::clone)
}

/// A path with names of ids in it.
pub(crate) fn path(saved: &Saved, path: &str) -> String {
    saved.iter().rev().fold(path.to_owned(), |path, (name, id)| path.replace(&format!("${name}"), id))
}

/// An object matches if each expected field does; the actual one may have more.
pub(crate) fn matches(saved: &Saved, actual: &Value, expected: &Value) -> Result<(), Failure> {
    let wrong = || {
        let short = |value: &Value| value.to_string().chars().take(400).collect::<String>();
        Err(format!("{} is not {}", short(actual), short(expected)))
    };
    match expected {
        Value::Array(items) => match actual.as_array() {
            Some(list) if list.len() == items.len() => {
                list.iter().zip(items).try_for_each(|(actual, expected)| matches(saved, actual, expected))
            }
            _ => wrong(),
        },
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| matches(saved, &actual[name], value)),
        Value::String(text) if actual.as_str() == Some(&known(saved, text)) => Ok(()),
        expected if actual == expected => Ok(()),
        _ => wrong(),
    }
}

/// The data of a step: a list, or so many texts, as `fill` publishes them.
pub(crate) fn filled(step: &Value) -> Vec<Value> {
    let Some(count) = step["count"].as_u64() else { return step["data"].as_array().cloned().unwrap_or_default() };
    let (text, bytes) = (step["data"].as_str().unwrap_or_default(), step["bytes"].as_u64().unwrap_or(0) as usize);
    (0..count).map(|n| json!(format!("{:.<bytes$}", format!("{text}{n}")))).collect()
}
