//! Strict parsing of untrusted JSON: no duplicate keys, no deep nesting.
//!
//! `serde_json` keeps the last of two equal keys and other parsers the first, so two parsers could read different
//! claims from one token (RFC 8725, 2.8, and RFC 7515, 4).

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Most levels of nesting: the claims of a token need three, a JWK set four.
const MAX_DEPTH: u8 = 16;

/// Parses one object. Nothing may follow it.
///
/// # Errors
/// What is wrong, without repeating the text.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, &'static str> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict(MAX_DEPTH).deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    match value {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("is not a JSON object"),
        // serde_json keeps only the text of our own errors.
        Err(error) if error.to_string().starts_with(DUPLICATE_KEY) => Err(DUPLICATE_KEY),
        Err(error) if error.to_string().starts_with(TOO_DEEP) => Err(TOO_DEEP),
        Err(_) => Err("is not JSON"),
    }
}

const DUPLICATE_KEY: &str = "has a duplicate key";
const TOO_DEEP: &str = "is nested too deeply";

/// Deserializes a value with at most this many levels.
#[derive(Clone, Copy)]
struct Strict(u8);

impl Strict {
    fn inner<E: Error>(self) -> Result<Self, E> {
        self.0.checked_sub(1).map(Self).ok_or_else(|| E::custom(TOO_DEEP))
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
                return Err(A::Error::custom(DUPLICATE_KEY));
            }
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicate_keys_are_refused_at_every_level() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"x":{"a":1,"b":2,"a":3}}"#, r#"{"x":[{"a":1,"\u0061":2}]}"#] {
            assert_eq!(object(text.as_bytes()), Err(DUPLICATE_KEY), "{text}");
        }
        assert!(object(br#"{"a":{"a":1},"A":2,"b":[{"a":1},{"a":2}]}"#).is_ok());
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        assert!(object(nested(16).as_bytes()).is_ok());
        assert_eq!(object(nested(17).as_bytes()), Err(TOO_DEEP));
        let brackets = format!("{{\"a\":{}", "[".repeat(8000));
        assert_eq!(object(brackets.as_bytes()), Err(TOO_DEEP));
    }

    #[test]
    fn an_error_never_repeats_the_text() {
        for (text, want) in [
            ("[]", "is not a JSON object"),
            ("1", "is not a JSON object"),
            ("", "is not JSON"),
            ("{} x", "is not JSON"),
            ("{\"secret\"", "is not JSON"),
            ("{\"a\":1e999}", "is not JSON"),
        ] {
            assert_eq!(object(text.as_bytes()), Err(want), "{text}");
        }
        assert_eq!(object(b"{\"a\":\"\xff\"}"), Err("is not JSON"));
    }
}
