//! The context attributes of a CloudEvent, and how they are kept with its event: as metadata, so that readers who do not
//! ask for them pay nothing.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor},
    ser::SerializeMap,
};

use super::uri;
use crate::{
    event::{
        Metadata, json_text,
        metadata::{CLOUD_EVENTS, MetadataTooLong},
        time::is_rfc3339,
    },
    http::message::media_type::is_media_type,
};

/// Attributes of one event at most, `specversion` included: as many as the headers of a request.
pub const MAX_ATTRIBUTES: usize = 100;

/// Those that the hub adds when it sends an event.
pub const HUB_ATTRIBUTES: usize = 2;

/// Bytes of a refused name or value that the error repeats.
const MAX_ECHO: usize = 64;

/// The attributes of the specification, in the order in which they are kept. Others follow by name, so that the order in
/// which a publisher sends them makes no difference.
const KNOWN: [&str; 7] = ["id", "source", "type", "subject", "time", "datacontenttype", "dataschema"];

/// The version of the encoding in metadata.
const VERSION: u8 = 1;

/// The version of the specification that is read and written.
pub const SPEC_VERSION: &str = "1.0";

/// The extension in which the hub tells the id of the event in the log: the cursor after it.
pub const HUB_ID: &str = "gaplessid";

/// The extension in which the hub tells the event's topic.
pub const HUB_TOPIC: &str = "gaplesstopic";

/// The attributes of an event, but `specversion`: there is one version. They have an `id`, a `source` and a `type`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudAttributes(Vec<(String, CloudAttribute)>);

/// The value of an attribute: the types that the JSON format distinguishes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CloudAttribute {
    /// A Boolean.
    Boolean(bool),
    /// An Integer, which has 32 bits.
    Integer(i32),
    /// Every other type, as text.
    Text(String),
}

/// What is wrong with the attributes of an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// A required one is missing.
    #[error("the attribute '{0}' is missing; an event needs specversion, id, source and type")]
    Missing(&'static str),
    /// Another version of the specification.
    #[error("specversion '{0}' is not read here; send \"1.0\"")]
    SpecVersion(String),
    /// More than [`MAX_ATTRIBUTES`].
    #[error("an event has at most {MAX_ATTRIBUTES} attributes")]
    TooMany,
    /// A name that is not allowed.
    #[error(
        "'{0}' is no name of an attribute: it has the letters a to z and the digits 0 to 9 only, and is not 'data'"
    )]
    Name(String),
    /// A type of the hub's own.
    #[error("types that begin with 'hub.' or 'run.' are the hub's; '{0}' needs another one")]
    ReservedType(String),
    /// One that came twice.
    #[error("the attribute '{0}' came twice; send it once")]
    Twice(String),
    /// A value of the wrong kind.
    #[error("the attribute '{name}' must be {rule}")]
    Value {
        /// The attribute.
        name: String,
        /// What its value must be.
        rule: &'static str,
    },
}

impl CloudAttributes {
    /// These attributes, in any order, with `specversion`. Those that only the hub sets are dropped.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(sent: Vec<(String, CloudAttribute)>) -> Result<Self, AttributeError> {
        if sent.len() > MAX_ATTRIBUTES + HUB_ATTRIBUTES {
            return Err(AttributeError::TooMany);
        }
        let mut attributes = Self(Vec::with_capacity(sent.len()));
        let mut version = None;
        for (name, value) in sent {
            check_name(&name)?;
            check_value(&name, &value)?;
            if attributes.get(&name).is_some() || (name == "specversion" && version.is_some()) {
                return Err(AttributeError::Twice(cut(&name)));
            }
            match &*name {
                "specversion" => version = Some(value),
                HUB_ID | HUB_TOPIC => {}
                _ => attributes.0.push((name, value)),
            }
        }
        if attributes.0.len() + 1 > MAX_ATTRIBUTES {
            return Err(AttributeError::TooMany);
        }
        match version {
            Some(CloudAttribute::Text(version)) if version == SPEC_VERSION => {}
            Some(version) => return Err(AttributeError::SpecVersion(cut(&version.to_string()))),
            None => return Err(AttributeError::Missing("specversion")),
        }
        for name in ["id", "source", "type"] {
            attributes.get(name).ok_or(AttributeError::Missing(name))?;
        }
        let rank = |name: &str| KNOWN.iter().position(|known| *known == name).unwrap_or(KNOWN.len());
        attributes.0.sort_by(|(one, _), (other, _)| (rank(one), one).cmp(&(rank(other), other)));
        Ok(attributes)
    }

    /// The attributes that the hub gives an event that was published without any. They are valid.
    #[must_use]
    pub fn of_hub<const N: usize>(attributes: [(&str, String); N]) -> Self {
        Self(attributes.map(|(name, value)| (name.to_owned(), CloudAttribute::Text(value))).into())
    }

    /// An attribute.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&CloudAttribute> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// An attribute that is text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            CloudAttribute::Text(text) => Some(text),
            CloudAttribute::Boolean(_) | CloudAttribute::Integer(_) => None,
        }
    }

    /// The type of the data, which the JSON format takes for JSON when it is missing.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.text("datacontenttype")
    }

    /// Removes an attribute, and returns it if it is text.
    pub fn take_text(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        match self.0.remove(at).1 {
            CloudAttribute::Text(text) => Some(text),
            CloudAttribute::Boolean(_) | CloudAttribute::Integer(_) => None,
        }
    }

    /// Sets an attribute to this text, after all others if it is new.
    pub fn set(&mut self, name: &str, value: String) {
        let value = CloudAttribute::Text(value);
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// All of them, but `specversion`.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &CloudAttribute)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The attributes as metadata of their event.
    ///
    /// # Errors
    /// When they are too long.
    pub fn metadata(&self) -> Result<Metadata, MetadataTooLong> {
        let mut body = vec![VERSION];
        json_text::write(&mut body, self);
        Metadata::new(CLOUD_EVENTS, &body)
    }

    /// The attributes of an event with this metadata; `None` when it has none, or those of another protocol or version.
    #[must_use]
    pub fn read(metadata: Option<&Metadata>) -> Option<Self> {
        let metadata = metadata.filter(|metadata| metadata.tag() == CLOUD_EVENTS)?;
        serde_json::from_slice(metadata.body().strip_prefix(&[VERSION])?).ok()
    }
}

impl fmt::Display for CloudAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
        }
    }
}

impl Serialize for CloudAttributes {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut object = out.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            object.serialize_entry(name, value)?;
        }
        object.end()
    }
}

impl<'de> Deserialize<'de> for CloudAttributes {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Attributes;
        impl<'de> Visitor<'de> for Attributes {
            type Value = CloudAttributes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the attributes of a CloudEvent")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    list.push(entry);
                }
                Ok(CloudAttributes(list))
            }
        }
        input.deserialize_map(Attributes)
    }
}

/// Checks the name of an attribute.
///
/// # Errors
/// When it is none.
pub fn check_name(name: &str) -> Result<(), AttributeError> {
    let is_valid = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if is_valid && !name.is_empty() && name != "data" { Ok(()) } else { Err(AttributeError::Name(cut(name))) }
}

/// Checks the value of an attribute: what the specification says of its type.
fn check_value(name: &str, value: &CloudAttribute) -> Result<(), AttributeError> {
    let refused = |rule| AttributeError::Value { name: cut(name), rule };
    let text = match value {
        CloudAttribute::Text(text) => Some(text.as_str()),
        CloudAttribute::Boolean(_) | CloudAttribute::Integer(_) => None,
    };
    if text.is_some_and(|text| text.chars().any(is_no_character)) {
        return Err(refused("without control characters and noncharacters of Unicode"));
    }
    let (rule, is_valid): (_, fn(&str) -> bool) = match name {
        "id" | "type" | "subject" => ("text that is not empty", |text| !text.is_empty()),
        "source" => ("a URI or a reference to one, percent-encoded where needed", uri::is_reference),
        "dataschema" => ("a URI with its scheme, percent-encoded where needed", uri::is_absolute),
        "datacontenttype" => ("a media type, as application/json", is_media_type),
        "time" => ("a time as of RFC 3339: 2026-11-27T20:52:26Z", is_rfc3339),
        _ => return Ok(()),
    };
    match text {
        Some(text) if name == "type" && ["hub.", "run."].iter().any(|start| text.starts_with(start)) => {
            Err(AttributeError::ReservedType(cut(text)))
        }
        Some(text) if is_valid(text) => Ok(()),
        _ => Err(refused(rule)),
    }
}

/// Whether no attribute may have this character: control characters, and what Unicode says is no character.
fn is_no_character(c: char) -> bool {
    c.is_control() || ('\u{FDD0}'..='\u{FDEF}').contains(&c) || u32::from(c) & 0xFFFE == 0xFFFE
}

/// The beginning of a text, for an error.
fn cut(text: &str) -> String {
    text.chars().take(MAX_ECHO).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(more: &[(&str, &str)]) -> Vec<(String, CloudAttribute)> {
        let all = [("specversion", "1.0"), ("id", "1"), ("source", "/s"), ("type", "t")];
        let text = |(name, value): &(&str, &str)| ((*name).to_owned(), CloudAttribute::Text((*value).to_owned()));
        all.iter().filter(|(name, _)| more.iter().all(|(other, _)| other != name)).chain(more).map(text).collect()
    }

    fn refused(more: &[(&str, &str)]) -> String {
        CloudAttributes::new(sent(more)).expect_err("not valid").to_string()
    }

    #[test]
    fn attributes_survive_their_metadata_with_their_types() {
        let mut all = sent(&[("time", "2026-11-27T20:52:26.5+01:00")]);
        all.push(("note".into(), CloudAttribute::Text("\u{2028}ü\"".into())));
        all.push(("count".into(), CloudAttribute::Integer(i32::MIN)));
        all.push(("flag".into(), CloudAttribute::Boolean(true)));
        let attributes = CloudAttributes::new(all).expect("valid");
        let metadata = attributes.metadata().expect("short");
        assert_eq!(CloudAttributes::read(Some(&metadata)).as_ref(), Some(&attributes));
        let names: Vec<_> = attributes.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["id", "source", "type", "time", "count", "flag", "note"]);
        assert_eq!(
            (attributes.text("id"), attributes.text("count"), attributes.get("specversion")),
            (Some("1"), None, None)
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (more, hint) in [
            (&[("specversion", "0.3")][..], "0.3"),
            (&[("id", "")], "'id'"),
            (&[("Type", "x")], "'Type'"),
            (&[("my_own", "x")], "'my_own'"),
            (&[("", "x")], "''"),
            (&[("time", "yesterday")], "'time'"),
            (&[("datacontenttype", "json")], "'datacontenttype'"),
            (&[("subject", "")], "'subject'"),
            (&[("own", "1"), ("own", "1")], "twice"),
            (&[("data", "x")], "'data'"),
            (&[("type", "hub.gap")], "hub."),
            (&[("type", "run.ended")], "run."),
            (&[("source", "a b")], "'source'"),
            (&[("source", "/ü")], "'source'"),
            (&[("dataschema", "schema")], "'dataschema'"),
            (&[("own", "a\u{0}")], "'own'"),
            (&[("id", "\u{FFFF}")], "'id'"),
            (&[("subject", "\u{FDD0}")], "'subject'"),
        ] {
            let message = refused(more);
            assert!(message.contains(hint), "{message}");
        }
        let long = refused(&[(&"N".repeat(10_000), "x")]);
        assert!(long.len() < 300, "{long}");
        let many = (0..MAX_ATTRIBUTES).map(|n| (format!("a{n}"), CloudAttribute::Integer(0)));
        assert_eq!(CloudAttributes::new(sent(&[]).into_iter().chain(many).collect()), Err(AttributeError::TooMany));
        for name in ["specversion", "id", "source", "type"] {
            let without = sent(&[]).into_iter().filter(|(known, _)| known != name).collect();
            assert_eq!(CloudAttributes::new(without), Err(AttributeError::Missing(name)));
        }
        let mut twice = sent(&[]);
        twice.push(("specversion".into(), CloudAttribute::Text("1.0".into())));
        assert_eq!(CloudAttributes::new(twice), Err(AttributeError::Twice("specversion".into())));
    }

    #[test]
    fn the_hubs_own_attributes_are_taken_from_nobody() {
        let attributes = CloudAttributes::new(sent(&[(HUB_ID, "x"), (HUB_TOPIC, "y")])).expect("valid");
        assert_eq!(attributes.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["id", "source", "type"]);
    }

    #[test]
    fn what_is_no_metadata_of_an_event_is_none() {
        let metadata = CloudAttributes::new(sent(&[])).expect("valid").metadata().expect("short");
        for length in 0..metadata.body().len() {
            let cut = Metadata::new(CLOUD_EVENTS, &metadata.body()[..length]).expect("short");
            assert_eq!(CloudAttributes::read(Some(&cut)), None, "{length} bytes");
        }
        let other = Metadata::new(CLOUD_EVENTS + 1, metadata.body()).expect("short");
        assert_eq!((CloudAttributes::read(Some(&other)), CloudAttributes::read(None)), (None, None));
        assert!(CloudAttributes::new(sent(&[("own", &"x".repeat(17_000))])).expect("valid").metadata().is_err());
    }
}
