//! A topic's settings and state.

use serde_json::{Map, Value};

use super::{
    super::metadata_text::{metadata_text, read_metadata},
    error::{BINARY_VERSION, FIRST_VERSION, WireError},
    event::{snapshot, snapshot_text},
    fields::{FieldText, Fields, GL, HeaderLookup, HeaderText},
};
use crate::{
    engine::log::store::{TopicKey, TopicSettings, TopicSnapshot},
    event::Seq,
};

/// Header of a topic's settings, as a JSON object.
const GL_SETTINGS: &str = "Gl-Settings";

/// The newest settings of a topic, with its state when they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine::jetstream) struct SettingsRecord {
    /// Its settings. All of them default: the topic has none.
    pub(in crate::engine::jetstream) settings: TopicSettings,
    /// Its incarnation; 0 when it never had an event.
    pub(in crate::engine::jetstream) key: TopicKey,
    /// Its newest position, retained or not.
    pub(in crate::engine::jetstream) tail: Seq,
    /// Its state.
    pub(in crate::engine::jetstream) state: TopicSnapshot,
}

impl SettingsRecord {
    /// The headers of the message, which has no payload.
    pub(in crate::engine::jetstream) fn headers(&self) -> HeaderText {
        // An older gapless would leave the metadata out when it saves the settings again.
        let version = if self.settings.metadata.is_some() { BINARY_VERSION } else { FIRST_VERSION };
        let text = FieldText::of_version(version).number_unless_0('k', self.key.0).number_unless_0('l', self.tail.0);
        let settings = Value::Object(object(&self.settings)).to_string();
        vec![(GL, text.finish()), (super::fields::GL_TOPIC, snapshot_text(&self.state)), (GL_SETTINGS, settings)]
    }

    /// The settings that a message tells.
    ///
    /// # Errors
    /// When it tells none, or is of a newer version.
    pub(in crate::engine::jetstream) fn decode(headers: &(impl HeaderLookup + ?Sized)) -> Result<Self, WireError> {
        let fields = Fields::of(headers)?;
        let text = headers.header(GL_SETTINGS).ok_or(WireError::Malformed("settings without their header"))?;
        let settings: Map<String, Value> =
            serde_json::from_str(text).map_err(|_| WireError::Malformed("the settings are not a JSON object"))?;
        Ok(Self {
            settings: settings_of(&settings).ok_or(WireError::Malformed("a setting is not what it must be"))?,
            key: TopicKey(fields.number_or_0('k')?),
            tail: Seq(fields.number_or_0('l')?),
            state: snapshot(headers)?.ok_or(WireError::Malformed("settings without the topic's state"))?,
        })
    }
}

fn object(settings: &TopicSettings) -> Map<String, Value> {
    let mut object = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            object.insert(key.into(), value);
        }
    };
    put("exists", settings.exists.then_some(Value::Bool(true)));
    put("max_events", settings.max_events.map(Value::from));
    put("max_age_ms", settings.max_age_ms.map(Value::from));
    put("max_bytes", settings.max_bytes.map(Value::from));
    put("retry", settings.retry.map(Value::from));
    put("closed", settings.closed.map(|(closed, _)| Value::Bool(closed)));
    put("closed_at", settings.closed.map(|(_, at)| at.0.into()));
    put("deleted_through", settings.deleted_through.map(|seq| seq.0.into()));
    put("emptied_through", settings.emptied_through.map(|seq| seq.0.into()));
    put("metadata", settings.metadata.as_ref().map(|metadata| metadata_text(metadata).into()));
    object
}

/// `None` when a known setting has another type or is out of range.
fn settings_of(object: &Map<String, Value>) -> Option<TopicSettings> {
    let number = |key: &str| object.get(key).map(|value| value.as_u64().ok_or(())).transpose();
    let limit = |key: &str| match object.get(key) {
        Some(Value::Null) => Ok(Some(None)),
        Some(value) => value.as_u64().ok_or(()).map(|number| Some(Some(number))),
        None => Ok(None),
    };
    let flag = |key: &str| object.get(key).map(|value| value.as_bool().ok_or(())).transpose();
    let closed = match (flag("closed").ok()?, number("closed_at").ok()?) {
        (Some(closed), at) => Some((closed, Seq(at?))),
        (None, _) => None,
    };
    let metadata = match object.get("metadata") {
        Some(value) => Some(read_metadata(value.as_str()?)?),
        None => None,
    };
    Some(TopicSettings {
        exists: flag("exists").ok()?.unwrap_or(false),
        max_events: limit("max_events").ok()?,
        max_age_ms: limit("max_age_ms").ok()?,
        max_bytes: limit("max_bytes").ok()?,
        retry: number("retry").ok()?.map(u32::try_from).transpose().ok()?,
        closed,
        deleted_through: number("deleted_through").ok()?.map(Seq),
        emptied_through: number("emptied_through").ok()?.map(Seq),
        metadata,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::event::tests::snapshots, *};
    use crate::event::Metadata;

    prop_compose! {
        fn records()(
            exists in any::<bool>(),
            [max_events, max_age_ms, max_bytes] in any::<[Option<Option<u64>>; 3]>(),
            retry in any::<Option<u32>>(),
            closed in any::<Option<(bool, u64)>>(),
            [deleted, emptied] in any::<[Option<u64>; 2]>(),
            metadata in any::<Option<(u8, Vec<u8>)>>(),
            (key, tail) in any::<(u64, u64)>(),
            state in snapshots(),
        ) -> SettingsRecord {
            let settings = TopicSettings {
                exists,
                max_events,
                max_age_ms,
                max_bytes,
                retry,
                closed: closed.map(|(closed, at)| (closed, Seq(at))),
                deleted_through: deleted.map(Seq),
                emptied_through: emptied.map(Seq),
                metadata: metadata.map(|(tag, body)| Metadata::new(tag, &body).expect("short")),
            };
            SettingsRecord { settings, key: TopicKey(key), tail: Seq(tail), state }
        }
    }

    proptest! {
        #[test]
        fn settings_survive_their_message(record in records()) {
            let headers = record.headers();
            for (_, value) in &headers {
                prop_assert!(value.is_ascii() && !value.is_empty() && value.trim() == value, "{value:?}");
            }
            prop_assert_eq!(SettingsRecord::decode(headers.as_slice()), Ok(record));
        }

        #[test]
        fn no_settings_panic(text in any::<String>(), number in "[0-9.e+-]{1,30}") {
            let of = |text: String| [(GL, "1 k=1".to_owned()), ("Gl-Topic", "e=0".into()), (GL_SETTINGS, text)];
            drop(SettingsRecord::decode(of(text).as_slice()));
            drop(SettingsRecord::decode(of(format!("{{\"retry\":{number}}}")).as_slice()));
        }
    }

    fn decode(gl: &str, settings: &str) -> Result<SettingsRecord, WireError> {
        let headers = [(GL, gl.to_owned()), ("Gl-Topic", "e=0".into()), (GL_SETTINGS, settings.to_owned())];
        SettingsRecord::decode(headers.as_slice())
    }

    #[test]
    fn later_settings_are_ignored_and_wrong_ones_refused() {
        let later = decode("1 q=7", r#"{"exists":true,"later":{"a":[1]}}"#).expect("settings");
        assert_eq!(later.settings, TopicSettings { exists: true, ..TopicSettings::default() });
        for text in [
            "",
            "[]",
            "null",
            r#"{"exists":1}"#,
            r#"{"retry":4294967296}"#,
            r#"{"max_events":-1}"#,
            r#"{"closed":true}"#,
            r#"{"deleted_through":"7"}"#,
            r#"{"metadata":""}"#,
            r#"{"metadata":"AQ"}"#,
            r#"{"metadata":null}"#,
            &"[".repeat(100_000),
        ] {
            assert!(matches!(decode("1", text), Err(WireError::Malformed(_))), "{}", &text[..text.len().min(40)]);
        }
        assert_eq!(decode("3", "{}"), Err(WireError::Newer(3)));
    }

    /// A gapless that knows only version 1 would save the settings again without the metadata.
    #[test]
    fn only_settings_with_metadata_stop_an_older_gapless() {
        let version = |metadata| {
            let settings = TopicSettings { exists: true, metadata, ..TopicSettings::default() };
            let state = TopicSnapshot::default();
            let headers = SettingsRecord { settings, key: TopicKey(1), tail: Seq(2), state }.headers();
            headers.as_slice().header(GL).expect("a header")[..1].to_owned()
        };
        assert_eq!((version(None).as_str(), version(Metadata::new(1, b"x").ok()).as_str()), ("1", "2"));
    }
}
