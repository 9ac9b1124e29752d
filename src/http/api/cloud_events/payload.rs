//! In which form the data of an event is sent: what a Content-Type says of it.

use serde_json::value::RawValue;

use crate::{
    event::Data,
    http::message::media_type::{essence, is_json, says_text},
};

/// How the JSON format has the data of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadForm {
    /// There is none.
    Absent,
    /// `data` is JSON, as it is stored.
    Json,
    /// `data` is a string.
    Text,
    /// `data_base64`: binary data.
    Base64,
}

impl PayloadForm {
    /// The form of data of this type. Without a type data is JSON, if it can be. Costs a pass over JSON.
    #[must_use]
    pub fn of(data: &Data, content_type: Option<&str>) -> Self {
        match data.as_text() {
            None => Self::Base64,
            Some("") if content_type.is_some_and(|text| !is_json(text) && says_text(essence(text).as_bytes())) => {
                Self::Text
            }
            Some("") => Self::Absent,
            Some(text) if content_type.is_none_or(is_json) && is_valid_json(text) => Self::Json,
            Some(_) => Self::Text,
        }
    }
}

fn is_valid_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_follows_from_the_type_and_the_data() {
        for (data, content_type, want) in [
            ("{\"a\": 1}", Some("application/json; charset=utf-8"), PayloadForm::Json),
            ("7", Some("Application/CloudEvents+JSON"), PayloadForm::Json),
            ("7", Some("text/json"), PayloadForm::Json),
            ("\"a\"", None, PayloadForm::Json),
            ("7", Some("text/plain"), PayloadForm::Text),
            ("7", Some("application/jsonl"), PayloadForm::Text),
            ("{\"a\"", Some("application/json"), PayloadForm::Text),
            ("", Some("application/json"), PayloadForm::Absent),
            ("", Some("text/plain"), PayloadForm::Text),
            ("", Some("image/png"), PayloadForm::Absent),
            ("", None, PayloadForm::Absent),
        ] {
            assert_eq!(PayloadForm::of(&data.into(), content_type), want, "{data} {content_type:?}");
        }
        assert_eq!(PayloadForm::of(&Data::binary("7".into()), Some("application/json")), PayloadForm::Base64);
    }
}
