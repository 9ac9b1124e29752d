//! Errors of providers, and how the hub names its own in their place.

use std::fmt;

use http::{
    HeaderMap, HeaderValue,
    header::{AUTHORIZATION, InvalidHeaderValue},
};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{Part, json::Scalar};
use crate::relay::ending::{RunEnded, RunStatus};

/// The member `error` of a frame: an object or a text. `null`, `false`, an empty text and an empty object are no error,
/// as in the SDKs.
#[derive(Debug, Default)]
pub(super) struct ProviderError<'a>(Option<ErrorMembers<'a>>);

/// What providers say of an error: all of it is optional.
#[derive(Debug, Default)]
pub(super) struct ErrorMembers<'a> {
    /// OpenAI's code, or a status as a number.
    pub(super) code: Scalar<'a>,
    /// OpenAI's and Anthropic's `type`.
    pub(super) kind: Scalar<'a>,
    /// Google's canonical code.
    pub(super) status: Scalar<'a>,
    pub(super) message: Scalar<'a>,
}

impl<'a> ProviderError<'a> {
    /// The part that it is, if it is an error.
    pub(super) fn part(self) -> Option<Part> {
        self.0.map(ErrorMembers::part)
    }

    pub(super) fn members(self) -> Option<ErrorMembers<'a>> {
        self.0
    }
}

impl ErrorMembers<'_> {
    /// The part that it is. Its code is the first of a text `status`, `code` and `type`, or else the number.
    pub(super) fn part(self) -> Part {
        let number = self.code.count().map(|code| code.to_string());
        let code = self.status.owned().or(self.code.owned()).or(self.kind.owned()).or(number);
        let message = self.message.owned().unwrap_or_else(|| "the provider reports an error".into());
        Part::Error { code: code.unwrap_or_default(), message }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for ProviderError<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ErrorVisitor).map(Self)
    }
}

struct ErrorVisitor;

impl<'de> Visitor<'de> for ErrorVisitor {
    type Value = Option<ErrorMembers<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(value.then(ErrorMembers::default))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok((value != 0).then(|| ErrorMembers { code: Scalar::Whole(value), ..ErrorMembers::default() }))
    }

    fn visit_i64<E>(self, _value: i64) -> Result<Self::Value, E> {
        Ok(Some(ErrorMembers::default()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok((value != 0.0).then(ErrorMembers::default))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        let message = || Scalar::Text(value.to_owned().into());
        Ok((!value.is_empty()).then(|| ErrorMembers { message: message(), ..ErrorMembers::default() }))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut has_items = false;
        while items.next_element::<IgnoredAny>()?.is_some() {
            has_items = true;
        }
        Ok(has_items.then(ErrorMembers::default))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut error = None;
        while let Some(name) = members.next_key::<Scalar<'_>>()? {
            let error = error.get_or_insert_with(ErrorMembers::default);
            let member = match name.as_str() {
                "code" => &mut error.code,
                "type" => &mut error.kind,
                "status" => &mut error.status,
                "message" => &mut error.message,
                _ => {
                    members.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *member = members.next_value()?;
        }
        Ok(error)
    }
}

/// The code of an ending in an error frame.
pub(super) fn ending_code(ended: &RunEnded) -> &str {
    match (&ended.error, ended.status) {
        (Some(error), _) => &error.code,
        (None, RunStatus::Stopped) => "stopped",
        (None, RunStatus::Abandoned) => "abandoned",
        (None, RunStatus::Truncated) => "upstream_truncated",
        (None, RunStatus::TimedOut) => "timed_out",
        (None, RunStatus::Interrupted) => "interrupted",
        (None, RunStatus::Failed) => "upstream_error",
        (None, RunStatus::Running | RunStatus::Completed) => "internal",
    }
}

/// Puts `key` into `Authorization`, in place of what is there.
pub(super) fn put_bearer(headers: &mut HeaderMap, key: &str) -> Result<(), InvalidHeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {key}"))?;
    value.set_sensitive(true);
    headers.insert(AUTHORIZATION, value);
    Ok(())
}

/// Puts `key` into the header `name`, in place of what is there and of an `Authorization`.
pub(super) fn put_header(headers: &mut HeaderMap, name: &'static str, key: &str) -> Result<(), InvalidHeaderValue> {
    let mut value = HeaderValue::try_from(key)?;
    value.set_sensitive(true);
    headers.insert(name, value);
    headers.remove(AUTHORIZATION);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_sdks_take_for_an_error_is_one() {
        for (text, want) in [
            (r#"{"message":"m","type":"t","param":null,"code":"c"}"#, Some(("c", "m"))),
            (r#"{"message":"m","type":"t","code":null}"#, Some(("t", "m"))),
            (r#"{"code":503,"message":"m","status":"UNAVAILABLE","details":[{}]}"#, Some(("UNAVAILABLE", "m"))),
            (r#"{"code":429,"message":"a \"b\""}"#, Some(("429", "a \"b\""))),
            (r#""boom""#, Some(("", "boom"))),
            (r#"{"detail":"x"}"#, Some(("", "the provider reports an error"))),
            ("[1]", Some(("", "the provider reports an error"))),
            ("500", Some(("500", "the provider reports an error"))),
            ("true", Some(("", "the provider reports an error"))),
            ("null", None),
            ("false", None),
            ("0", None),
            ("\"\"", None),
            ("{}", None),
            ("[]", None),
        ] {
            let part = serde_json::from_str::<ProviderError<'_>>(text).unwrap().part();
            let want = want.map(|(code, message)| Part::Error { code: code.into(), message: message.into() });
            assert_eq!(part, want, "{text}");
        }
    }
}
