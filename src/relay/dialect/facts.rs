//! What a request body says about the generation, read without keeping the rest of it.

use std::{borrow::Cow, fmt};

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::json::Scalar;

/// What a request body says about the generation: the members that every dialect needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// The member `model`.
    pub model: Option<String>,
    /// The member `stream`.
    pub stream: Option<bool>,
}

/// Why a request body is not sent to a provider. `Display` says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FactsError {
    /// It is not one JSON object.
    #[error("the body must be one JSON object")]
    NotAnObject,
    /// It names a member twice: the hub and the provider could each take another one.
    #[error("the body names '{0}' twice; name it once")]
    Twice(&'static str),
    /// A member differs from a known one in upper and lower case only, and some providers take it for that.
    #[error("the body has a member that a provider could take for '{0}'; write '{0}'")]
    Misspelt(&'static str),
    /// A member has the wrong type.
    #[error("the body's member '{0}' must be {1}")]
    WrongType(&'static str, &'static str),
}

const MODEL: &str = "model";
const STREAM: &str = "stream";

impl RequestFacts {
    /// Reads a request body. Members besides `model` and `stream` are skipped, at any depth without recursion; `null` is
    /// no value.
    ///
    /// # Errors
    /// The body is not one JSON object, or what it says of a member could be understood in two ways.
    pub fn read(body: &[u8]) -> Result<Self, FactsError> {
        let body = std::str::from_utf8(body).map_err(|_| FactsError::NotAnObject)?;
        let mut reader = serde_json::Deserializer::from_str(body);
        let facts = reader.deserialize_map(FactsVisitor).and_then(|facts| reader.end().map(|()| facts));
        facts.unwrap_or(Err(FactsError::NotAnObject))
    }
}

/// `request` with its top-level member `stream` set to true. All other text stays as it is, byte for byte.
///
/// # Errors
/// As for [`RequestFacts::read`].
pub fn streaming_body(request: &str) -> Result<String, FactsError> {
    RequestFacts::read(request.as_bytes())?;
    let mut reader = serde_json::Deserializer::from_str(request);
    let value = reader.deserialize_map(StreamVisitor).map_err(|_| FactsError::NotAnObject)?;
    if let Some(value) = value {
        // Both point into `request`.
        let start = value.as_ptr() as usize - request.as_ptr() as usize;
        return Ok([&request[..start], "true", &request[start + value.len()..]].concat());
    }
    let (before, members) = request.split_once('{').ok_or(FactsError::NotAnObject)?;
    let comma = if members.trim_start().starts_with('}') { "" } else { "," };
    Ok([before, "{\"stream\":true", comma, members].concat())
}

/// The known member that `name` is, or that a provider could take it for.
///
/// Go's encoding/json ignores case, and folds two letters beyond ASCII.
fn known(name: &str) -> Option<&'static str> {
    let fold = |c| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    [MODEL, STREAM].into_iter().find(|known| name.chars().map(fold).eq(known.chars()))
}

/// Reads the facts. The whole object is read even when a member is wrong, because broken JSON is the worse error.
struct FactsVisitor;

impl<'de> Visitor<'de> for FactsVisitor {
    type Value = Result<RequestFacts, FactsError>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let (mut model, mut stream, mut wrong) = (None, None, None);
        while let Some(name) = members.next_key::<MemberName<'_>>()? {
            let Some(known) = known(&name.0) else {
                members.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = members.next_value::<Scalar<'_>>()?;
            let member = if known == MODEL { &mut model } else { &mut stream };
            if known != name.0 {
                wrong.get_or_insert(FactsError::Misspelt(known));
            }
            if member.replace(value).is_some() {
                wrong.get_or_insert(FactsError::Twice(known));
            }
        }
        Ok(wrong.map_or_else(|| facts(model.unwrap_or_default(), &stream.unwrap_or_default()), Err))
    }
}

fn facts(model: Scalar<'_>, stream: &Scalar<'_>) -> Result<RequestFacts, FactsError> {
    let model = match model {
        Scalar::Null => None,
        Scalar::Text(text) => Some(text.into_owned()),
        _ => return Err(FactsError::WrongType(MODEL, "a string")),
    };
    let stream = match stream {
        Scalar::Null => None,
        Scalar::Flag(flag) => Some(*flag),
        _ => return Err(FactsError::WrongType(STREAM, "true or false")),
    };
    Ok(RequestFacts { model, stream })
}

/// Finds the text of the member `stream`.
struct StreamVisitor;

impl<'de> Visitor<'de> for StreamVisitor {
    type Value = Option<&'de str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some((name, value)) = members.next_entry::<MemberName<'_>, &RawValue>()? {
            if name.0 == STREAM {
                found = Some(value.get());
            }
        }
        Ok(found)
    }
}

/// A member's name, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct MemberName<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn read(body: &str) -> Result<RequestFacts, FactsError> {
        RequestFacts::read(body.as_bytes())
    }

    #[test]
    fn only_the_members_at_the_top_count() {
        let body = r#" {"messages":[{"model":"x","stream":false}],"model":"gpt-\u0034o","stream":true} "#;
        assert_eq!(read(body), Ok(RequestFacts { model: Some("gpt-4o".into()), stream: Some(true) }));
        assert_eq!(read("{}"), Ok(RequestFacts::default()));
        assert_eq!(read(r#"{"model":null,"stream":null}"#), Ok(RequestFacts::default()));
    }

    #[test]
    fn a_member_named_twice_is_refused() {
        for (body, want) in [
            (r#"{"model":"a","model":"a"}"#, FactsError::Twice("model")),
            (r#"{"model":null,"x":1,"m\u006fdel":"a"}"#, FactsError::Twice("model")),
            (r#"{"stream":true,"stream":false}"#, FactsError::Twice("stream")),
            (r#"{"model":"a","Model":"b"}"#, FactsError::Misspelt("model")),
            (r#"{"STREAM":true}"#, FactsError::Misspelt("stream")),
            ("{\"\u{17f}tream\":true}", FactsError::Misspelt("stream")),
        ] {
            assert_eq!(read(body), Err(want), "{body}");
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for body in ["", "null", "[]", "\"{}\"", "{", "{} {}", "{\"model\":\"a\"", "{\"a\":}", "{\"Model\":1,}"] {
            assert_eq!(read(body), Err(FactsError::NotAnObject), "{body}");
        }
        assert_eq!(RequestFacts::read(b"{\"a\":\"\xff\"}"), Err(FactsError::NotAnObject));
        for value in ["1", "[]", "{\"a\":1}", "true"] {
            let body = format!("{{\"model\":{value}}}");
            assert_eq!(read(&body), Err(FactsError::WrongType("model", "a string")), "{body}");
        }
        for value in ["1", "[]", "{}", "\"true\""] {
            let body = format!("{{\"stream\":{value}}}");
            let error = read(&body).unwrap_err();
            assert_eq!(error.to_string(), "the body's member 'stream' must be true or false", "{body}");
        }
    }

    #[test]
    fn deep_nesting_is_read_without_recursion() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
            let body = format!(r#"{{"x":{deep},"model":"a"}}"#);
            assert_eq!(read(&body).unwrap().model.as_deref(), Some("a"));
            assert_eq!(streaming_body(&body).unwrap(), body.replacen('{', "{\"stream\":true,", 1));
            let body = format!(r#"{{"model":{deep}}}"#);
            assert!(matches!(read(&body), Err(FactsError::WrongType("model", _))));
            assert_eq!(read(&format!(r#"{{"x":{}"#, open.repeat(100_000))), Err(FactsError::NotAnObject));
        }
    }

    #[test]
    fn streaming_is_forced_and_all_other_text_is_kept() {
        for (request, want) in [
            ("{}", "{\"stream\":true}"),
            (" { } ", " {\"stream\":true } "),
            (r#"{ "a" : 1.50 }"#, r#"{"stream":true, "a" : 1.50 }"#),
            (
                r#"{"a":{"stream":false}, "stream" : false ,"b":"\u00e9界"}"#,
                r#"{"a":{"stream":false}, "stream" : true ,"b":"\u00e9界"}"#,
            ),
            (r#"{"\u0073tream":null}"#, r#"{"\u0073tream":true}"#),
            (r#"{"stream":true}"#, r#"{"stream":true}"#),
        ] {
            assert_eq!(streaming_body(request).as_deref(), Ok(want));
        }
        assert_eq!(streaming_body(r#"{"stream":1}"#), Err(FactsError::WrongType("stream", "true or false")));
        assert_eq!(streaming_body("[]"), Err(FactsError::NotAnObject));
    }

    proptest! {
        #[test]
        fn any_request_can_be_made_to_stream(names in proptest::collection::vec("[a-z\"\\\\é ]{0,4}|stream|model", 0..6)) {
            let members = names.iter().map(|name| match name.as_str() {
                "stream" => (name.clone(), json!(false)),
                "model" => (name.clone(), json!("m")),
                _ => (name.clone(), json!([name, {"stream": 1}])),
            });
            let mut request = Value::Object(members.collect());
            let body = streaming_body(&request.to_string()).unwrap();
            request["stream"] = json!(true);
            prop_assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), request);
            prop_assert_eq!(read(&body).unwrap().stream, Some(true));
        }

        #[test]
        fn any_body_is_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = RequestFacts::read(&body);
        }
    }
}
