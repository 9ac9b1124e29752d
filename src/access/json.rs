//! JSON of strangers: no key twice, no deep nesting.
//!
//! `serde_json` takes the last of two equal keys and other readers the first, so that two of them may see two tokens in one
//! (RFC 8725, 2.8, and RFC 7515, 4).

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Levels of nesting that are read: claims of a token need three, a JWK set four.
const MAX_DEPTH: u8 = 16;

/// Reads one object, and nothing after it.
///
/// # Errors
/// Says what it is instead, without repeating it.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, &'static str> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict(MAX_DEPTH).deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    match value {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("is no JSON object"),
        // Of our own errors nothing else survives than their text.
        Err(error) if error.to_string().starts_with(TWICE) => Err(TWICE),
        Err(error) if error.to_string().starts_with(DEEP) => Err(DEEP),
        Err(_) => Err("is no JSON"),
    }
}

const TWICE: &str = "has a key twice";
const DEEP: &str = "is nested too deeply";

/// A value that may have this many levels.
#[derive(Clone, Copy)]
struct Strict(u8);

impl Strict {
    fn inner<E: Error>(self) -> Result<Self, E> {
        self.0.checked_sub(1).map(Self).ok_or_else(|| E::custom(DEEP))
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(inner)?;
            if object.insert(key, value).is_some() {
                return Err(A::Error::custom(TWICE));
            }
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_twice_is_no_object_at_any_level() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"x":{"a":1,"b":2,"a":3}}"#, r#"{"x":[{"a":1,"\u0061":2}]}"#] {
            assert_eq!(object(text.as_bytes()), Err(TWICE), "{text}");
        }
        assert!(object(br#"{"a":{"a":1},"A":2,"b":[{"a":1},{"a":2}]}"#).is_ok());
    }

    #[test]
    fn nesting_has_an_end() {
        let nested = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        assert!(object(nested(16).as_bytes()).is_ok());
        assert_eq!(object(nested(17).as_bytes()), Err(DEEP));
        let brackets = format!("{{\"a\":{}", "[".repeat(8000));
        assert_eq!(object(brackets.as_bytes()), Err(DEEP));
    }

    #[test]
    fn whatever_is_no_object_is_told_without_being_repeated() {
        for (text, want) in [
            ("[]", "is no JSON object"),
            ("1", "is no JSON object"),
            ("", "is no JSON"),
            ("{} x", "is no JSON"),
            ("{\"secret\"", "is no JSON"),
            ("{\"a\":1e999}", "is no JSON"),
        ] {
            assert_eq!(object(text.as_bytes()), Err(want), "{text}");
        }
        assert_eq!(object(b"{\"a\":\"\xff\"}"), Err("is no JSON"));
    }
}
