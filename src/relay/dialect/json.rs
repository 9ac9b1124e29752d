//! Lenient reading of JSON: a member of another type than expected counts as absent, so that it does not cost the others.
//!
//! Text is borrowed from the input where it has no escapes. Nothing here recurses deeper than the types that use it:
//! what is not wanted is skipped by `serde_json` without recursion.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

/// Most items that are read of a list, so that a frame costs little more memory than it has bytes. Providers send a few.
const MAX_ITEMS: usize = 1024;

/// A member that is neither an object nor a list; its type is known when it is used.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Scalar<'a> {
    /// It is absent or `null`.
    #[default]
    Null,
    Flag(bool),
    Whole(u64),
    Text(Cow<'a, str>),
    /// A number that is not whole or is negative, an object or a list.
    Other,
}

impl<'a> Scalar<'a> {
    /// The text, if it is a text and not empty.
    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// The same as an owned text.
    pub(super) fn owned(self) -> Option<String> {
        self.text().map(Cow::into_owned)
    }

    /// The text without taking it; empty when it is none.
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Text(text) => text,
            _ => "",
        }
    }

    pub(super) fn count(&self) -> Option<u64> {
        match self {
            Self::Whole(count) => Some(*count),
            _ => None,
        }
    }

    /// The number of an item: `None` also when it has more than 32 bits.
    pub(super) fn index(&self) -> Option<u32> {
        self.count().and_then(|count| count.try_into().ok())
    }

    pub(super) fn is_true(&self) -> bool {
        *self == Self::Flag(true)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Flag(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Scalar::Whole(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(value.try_into().map_or(Scalar::Other, Scalar::Whole))
    }

    fn visit_f64<E>(self, _value: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Other)
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(value.into())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }
}

/// A member that should be an object.
#[derive(Debug)]
pub(super) struct LenientObject<T>(pub(super) Option<T>);

impl<T> Default for LenientObject<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for LenientObject<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(PhantomData)).map(Self)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _value: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _value: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _value: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _value: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _value: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members)).map(Some)
    }
}

/// A member that should be a list of objects: what is no object is left out.
#[derive(Debug)]
pub(super) struct LenientList<T>(pub(super) Vec<T>);

impl<T> Default for LenientList<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for LenientList<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor(PhantomData)).map(Self)
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_bool<E>(self, _value: bool) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_u64<E>(self, _value: u64) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_i64<E>(self, _value: i64) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_f64<E>(self, _value: f64) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_str<E>(self, _value: &str) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while list.len() < MAX_ITEMS {
            match items.next_element::<LenientObject<T>>()? {
                Some(item) => list.extend(item.0),
                None => return Ok(list),
            }
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Sample<'a> {
        #[serde(borrow)]
        text: Scalar<'a>,
        #[serde(borrow)]
        inner: LenientObject<Inner<'a>>,
        #[serde(borrow)]
        list: LenientList<Inner<'a>>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Inner<'a> {
        #[serde(borrow)]
        text: Scalar<'a>,
    }

    const VALUES: [&str; 9] = ["null", "true", "1", "-1", "1.5", "\"x\"", "[]", "[1,{\"text\":[]}]", "{\"a\":{}}"];

    #[test]
    fn a_member_of_another_type_does_not_cost_the_others() {
        for value in VALUES {
            let text = format!(r#"{{"inner":{value},"list":{value},"x":{value},"text":"a"}}"#);
            let sample: Sample<'_> = serde_json::from_str(&text).unwrap();
            assert_eq!(sample.text.as_str(), "a", "{text}");
            let text = format!(r#"{{"text":{value},"list":[{value},{{"text":"a"}}],"inner":{{"text":"b"}}}}"#);
            let sample: Sample<'_> = serde_json::from_str(&text).unwrap();
            assert_eq!(sample.list.0.last().unwrap().text.as_str(), "a", "{text}");
            assert_eq!(sample.inner.0.unwrap().text.as_str(), "b", "{text}");
        }
    }

    #[test]
    fn text_without_escapes_is_borrowed() {
        let read = |text| serde_json::from_str::<Scalar<'_>>(text).unwrap();
        assert!(matches!(read("\"日本\""), Scalar::Text(Cow::Borrowed("日本"))));
        assert_eq!(read(r#""\ud83d\ude00\n""#), Scalar::Text("😀\n".into()));
        assert_eq!((read("3").index(), read("4294967296").index(), read("-1").count()), (Some(3), None, None));
    }

    #[test]
    fn a_list_and_its_nesting_cost_no_more_than_the_frame() {
        let text = format!(r#"{{"list":[{}{{}}],"text":"a"}}"#, "{},".repeat(5000));
        let sample: Sample<'_> = serde_json::from_str(&text).unwrap();
        assert_eq!((sample.list.0.len(), sample.text.as_str()), (MAX_ITEMS, "a"));
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
            for member in ["text", "inner", "list", "x"] {
                let text = format!(r#"{{"{member}":{deep}}}"#);
                assert!(serde_json::from_str::<Sample<'_>>(&text).is_ok(), "{member}");
            }
        }
    }
}
