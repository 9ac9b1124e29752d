//! What is taken as an update is taken again, and has nothing that could forge a line or a topic of the hub's own.
//!
//! Input: the body of a publish; the same bytes as the query of a subscription.

use gapless::{
    event::Epoch,
    http::api::mercure::{
        subscribe_query::SubscribeQuery,
        topic_rules::{check_characters, is_reserved},
        update_form::{MAX_TOPICS, UpdateForm},
    },
};
use http::HeaderMap;
use url::Url;

/// Checks both readings of the input.
pub(crate) fn holds_for(input: &[u8]) {
    let hub = Url::parse("https://hub.example/.well-known/mercure").expect("a URL");
    if let Ok(form) = UpdateForm::parse(input) {
        assert!((1..=MAX_TOPICS).contains(&form.topics.len()));
        if let Ok(names) = form.names(&hub, Epoch::new("abcd").expect("valid")) {
            for topic in &form.topics {
                assert!(check_characters("topic", topic).is_ok() && !is_reserved(topic, &hub), "{topic:?}");
            }
            let lines = [names.id.unwrap_or_default(), names.kind.as_str()];
            assert!(lines.iter().all(|text| !text.contains(['\n', '\r', '\0'])), "{lines:?}");
        }
        let again = again(&form);
        let reread = UpdateForm::parse(again.as_bytes()).expect("it was taken before");
        assert_eq!((&reread.topics, &reread.data, reread.private), (&form.topics, &form.data, form.private));
    }
    let Ok(query) = std::str::from_utf8(input) else { return };
    if let Ok(subscription) = SubscribeQuery::parse(query, b"", &HeaderMap::new(), 100, &hub) {
        assert!(!subscription.selectors.is_empty() && subscription.cursor.is_none_or(|cursor| !cursor.is_empty()));
    }
}

fn again(form: &UpdateForm<'_>) -> String {
    let mut body = form_urlencoded::Serializer::new(String::new());
    for topic in &form.topics {
        body.append_pair("topic", topic);
    }
    body.append_pair("data", &form.data);
    if form.private {
        body.append_pair("private", "");
    }
    body.finish()
}
