//! Several values under one key: `a, b`, or a TOML list of strings, or `none`.

use std::marker::PhantomData;

use serde::Deserialize;

use super::{kinds::ValueKind, tables::text_of};

/// A list of another kind.
#[derive(Debug)]
pub struct ListOf<K>(PhantomData<K>);

impl<K: ValueKind> ValueKind for ListOf<K> {
    type Value = Vec<K::Value>;
    const METAVAR: &'static str = K::METAVAR;

    fn parse(text: &str) -> Result<Vec<K::Value>, Vec<String>> {
        let mut problems = Vec::new();
        let items = items(text)?;
        let values = items.iter().filter_map(|item| match K::parse(item) {
            Ok(value) => Some(value),
            Err(wrong) => {
                // The caller quotes the text already, if it is a single item.
                let single = item == text;
                let describe =
                    |problem: String| if single { problem } else { format!("has an item that {problem}: {item:?}") };
                problems.extend(wrong.into_iter().map(describe));
                None
            }
        });
        let values = values.collect();
        if problems.is_empty() { Ok(values) } else { Err(problems) }
    }
}

/// The items of a comma-separated or TOML list.
fn items(text: &str) -> Result<Vec<String>, Vec<String>> {
    if text.is_empty() || text == "none" {
        return Ok(Vec::new());
    }
    if text.starts_with('[') {
        let list = toml::de::ValueDeserializer::parse(text).and_then(toml::Value::deserialize);
        match list {
            Ok(toml::Value::Array(list)) => return Ok(list.iter().map(text_of).collect()),
            // An IPv6 address with a port begins with a bracket, too, but does not end with one.
            _ if text.ends_with(']') => return Err(vec!["is not a list; write it like a, b or [\"a\", \"b\"]".into()]),
            _ => {}
        }
    }
    Ok(text.split(',').map(|item| item.trim().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::kinds::Count;

    #[test]
    fn a_list_is_written_with_commas_or_as_toml() {
        for text in ["1, 2,3", "[1, 2, 3]", "[\"1\", \"2\", \"3\"]"] {
            assert_eq!(ListOf::<Count>::parse(text), Ok(vec![1, 2, 3]), "{text}");
        }
        for text in ["", "none", "[]"] {
            assert_eq!(ListOf::<Count>::parse(text), Ok(vec![]), "{text}");
        }
    }

    #[test]
    fn every_invalid_item_is_reported() {
        let problems = ListOf::<Count>::parse("1, x, y").expect_err("wrong");
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(ListOf::<Count>::parse("[1").is_err());
        assert!(ListOf::<Count>::parse("1,").is_err(), "an empty item");
    }
}
