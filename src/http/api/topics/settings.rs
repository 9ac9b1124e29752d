//! The body of `PUT /topics/T`: an absent field stays unchanged, `null` returns to the configured rule.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::value::RawValue;

use crate::{
    engine::TopicChange,
    event::{duration, record::MAX_RETRY_MS, retention::MIN_AGE},
    http::message::problem::{Code, Problem},
};

/// The outer `None` is an absent field, the inner one is `null`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::option_option, reason = "JSON tells null from nothing")]
struct SettingsBody<'a> {
    #[serde(borrow, deserialize_with = "present")]
    retention: Option<&'a RawValue>,
    #[serde(deserialize_with = "present")]
    retry: Option<Option<u32>>,
    #[serde(deserialize_with = "present")]
    closed: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::option_option, clippy::struct_field_names, reason = "JSON tells null from nothing, by these names")]
struct RetentionSettings {
    #[serde(deserialize_with = "present")]
    max_events: Option<Option<u64>>,
    #[serde(deserialize_with = "present")]
    max_age: Option<Option<Age>>,
    #[serde(deserialize_with = "present")]
    max_bytes: Option<Option<u64>>,
}

struct Age(Duration);

fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

impl<'de> Deserialize<'de> for Age {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        let read = match serde_json::Value::deserialize(value)? {
            serde_json::Value::String(text) => duration::parse(&text),
            serde_json::Value::Number(seconds) => duration::parse(&seconds.to_string()),
            _ => None,
        };
        let age = read.filter(|age| *age <= duration::MAX_AGE);
        let expected =
            "max_age must be a duration like \"10m\", \"7d\" or \"1h 30m\", or whole seconds, up to 100 years";
        age.map(Self).ok_or_else(|| D::Error::custom(expected))
    }
}

/// Parses the settings. An empty body changes nothing, but creates the topic.
pub(super) fn parse(body: &[u8]) -> Result<TopicChange, Problem> {
    if body.trim_ascii().is_empty() {
        return Ok(TopicChange::default());
    }
    let text = std::str::from_utf8(body).map_err(|_| invalid("the settings are not UTF-8"))?;
    let settings: SettingsBody<'_> = object(text)?;
    if settings.retry.flatten().is_some_and(|ms| ms > MAX_RETRY_MS) {
        return Err(invalid(format!("'retry' must be 0 to {MAX_RETRY_MS} milliseconds")));
    }
    let retention = match settings.retention.map(RawValue::get) {
        None => RetentionSettings::default(),
        // null for retention is null for each of its fields.
        Some("null") => RetentionSettings { max_events: Some(None), max_age: Some(None), max_bytes: Some(None) },
        Some(text) => object(text)?,
    };
    check(&retention)?;
    Ok(TopicChange {
        max_events: retention.max_events,
        max_age: retention.max_age.map(|age| age.map(|Age(age)| age)),
        max_bytes: retention.max_bytes,
        retry: settings.retry,
        closed: settings.closed,
        ..TopicChange::default()
    })
}

/// The largest limit: clients whose integers are signed, of 64 bits, must be able to read it back.
const MOST: u64 = i64::MAX.unsigned_abs();

/// Refuses a limit of 0, which would keep nothing, as the configuration does; and one above [`MOST`].
fn check(retention: &RetentionSettings) -> Result<(), Problem> {
    let none = |limit: Option<Option<u64>>| limit.flatten() == Some(0);
    let short = matches!(retention.max_age, Some(Some(Age(age))) if age < MIN_AGE);
    let empty =
        [("max_events", none(retention.max_events)), ("max_age", short), ("max_bytes", none(retention.max_bytes))];
    if let Some((limit, _)) = empty.into_iter().find(|(_, empty)| *empty) {
        let detail = format!("'{limit}' of 0 would keep nothing; give a larger one, or null for the configured rule");
        return Err(invalid(detail));
    }
    let counts = [("max_events", retention.max_events), ("max_bytes", retention.max_bytes)];
    if let Some((limit, _)) = counts.into_iter().find(|(_, count)| count.flatten().is_some_and(|count| count > MOST)) {
        return Err(invalid(format!("'{limit}' must be at most {MOST}")));
    }
    Ok(())
}

/// Parses a JSON object; serde alone would accept an array.
fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Problem> {
    if !text.trim_ascii_start().starts_with('{') {
        return Err(invalid("settings are JSON objects, as in {\"retention\":{\"max_age\":\"7d\"}}"));
    }
    serde_json::from_str(text).map_err(|error| invalid(format!("the settings cannot be used: {error}")))
}

fn invalid(detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new(Code::BodyInvalid, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_limit_is_taken() {
        let change = parse(br#"{"retention":{"max_bytes":9223372036854775807}}"#).expect("valid");
        assert_eq!(change.max_bytes, Some(Some(MOST)));
    }

    #[test]
    fn settings_distinguish_an_absent_field_from_null() {
        let change = |text: &str| parse(text.as_bytes()).expect(text);
        let nothing = TopicChange::default();
        assert_eq!(change(" "), nothing);
        assert_eq!(change("{}"), nothing);
        let all = r#"{"retention":{"max_events":5,"max_age":"10m","max_bytes":null},"retry":7,"closed":true}"#;
        let want = TopicChange {
            max_events: Some(Some(5)),
            max_age: Some(Some(Duration::from_mins(10))),
            max_bytes: Some(None),
            retry: Some(Some(7)),
            closed: Some(true),
            ..nothing.clone()
        };
        assert_eq!(change(all), want);
        let rule =
            TopicChange { max_events: Some(None), max_age: Some(None), max_bytes: Some(None), ..nothing.clone() };
        assert_eq!(change(r#"{"retention":null}"#), rule);
        assert_eq!(change(r#"{"retry":null}"#), TopicChange { retry: Some(None), ..nothing });
        assert_eq!(change(r#"{"retention":{"max_age":90}}"#).max_age, Some(Some(Duration::from_secs(90))));
        assert_eq!(change(r#"{"retention":{"max_age":"1h 30m"}}"#).max_age, Some(Some(Duration::from_mins(90))));
    }

    #[test]
    fn invalid_settings_are_refused_and_the_mistake_named() {
        for (body, hint) in [
            ("[]", "JSON objects"),
            ("{", "EOF"),
            (r#"{"retention":{"max_ages":1}}"#, "max_ages"),
            (r#"{"retention":{"max_age":"1x"}}"#, "max_age"),
            (r#"{"retention":{"max_age":"101y"}}"#, "up to 100 years"),
            (r#"{"retention":{"max_age":"999us"}}"#, "'max_age' of 0 would keep nothing"),
            (r#"{"retention":{"max_age":-1}}"#, "max_age"),
            (r#"{"retention":{"max_events":1.5}}"#, "1.5"),
            (r#"{"retention":{"max_events":0}}"#, "'max_events' of 0 would keep nothing"),
            (r#"{"retention":{"max_events":1,"max_age":"0s"}}"#, "'max_age' of 0 would keep nothing"),
            (r#"{"retention":{"max_age":0}}"#, "'max_age' of 0 would keep nothing"),
            (r#"{"retention":{"max_bytes":0}}"#, "'max_bytes' of 0 would keep nothing"),
            (r#"{"retention":{"max_bytes":9223372036854775808}}"#, "'max_bytes' must be at most 9223372036854775807"),
            (r#"{"retention":{"max_events":9223372036854775808}}"#, "at most 9223372036854775807"),
            (r#"{"retention":[1]}"#, "JSON objects"),
            (r#"{"retention":{"max_age":1,"max_age":2}}"#, "duplicate"),
            (r#"{"retry":86400001}"#, "86400000"),
            (r#"{"closed":null}"#, "null"),
            (r#"{"closed":true,"closed":false}"#, "duplicate"),
            (r#"{"topic":"x"}"#, "topic"),
        ] {
            let problem = parse(body.as_bytes()).expect_err(body);
            assert_eq!(problem.code, Code::BodyInvalid);
            assert!(problem.detail.contains(hint), "{body}: {problem}");
        }
    }
}
