//! No selector makes the hub panic or wait, and a name and its topic of the log are one to one.
//!
//! Input: a selector and a name, separated by the first line feed.

use gapless::{
    event::TopicName,
    http::api::{
        mercure::{
            selector::Selector,
            topic_rules::{check_characters, is_reserved},
            uri_template::UriTemplate,
        },
        mercure_log::log_topic::{Audience, LoggedName, log_topic, name_of},
    },
};
use url::Url;

/// Checks the selector, the name, and one against the other.
pub(crate) fn holds_for(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (selector, name) = text.split_once('\n').unwrap_or((text, text));
    let hub = Url::parse("https://hub.example/.well-known/mercure").expect("a URL");
    let selectors = [Some(Selector::exact(selector)), Some(Selector::text_or_template(selector))];
    for known in selectors.into_iter().flatten() {
        assert!(known.matches(selector), "{selector:?} selects itself");
        let _ = known.matches(name);
    }
    if let Ok(pattern) = Selector::url_pattern(selector, &hub) {
        let _ = pattern.matches(name);
    }
    // Values of the simplest kind make a text that the template matches.
    if let Some(template) = UriTemplate::new(selector) {
        let expanded = expanded(selector);
        assert!(expanded.is_none_or(|text| template.matches(&text)), "{selector:?}");
    }
    let _ = is_reserved(name, &hub);
    let Ok(topic) = log_topic(name, Audience::Private) else { return };
    assert_eq!(TopicName::new(topic.as_str()).as_ref(), Ok(&topic));
    let (audience, segment) = Audience::of(&topic).expect("one of the protocol's");
    assert_eq!(audience, Audience::Private);
    match name_of(segment) {
        LoggedName::Text(text) => assert_eq!(text, name),
        LoggedName::Hashed => assert!(name.len() > 70, "{name:?} is short"),
    }
    let _ = check_characters("topic", name);
}

/// The template with `1` for each expression of one plain variable; `None` when it has others.
fn expanded(template: &str) -> Option<String> {
    let (mut text, mut rest) = (String::new(), template);
    while let Some((literal, after)) = rest.split_once('{') {
        let (variable, after) = after.split_once('}')?;
        if !variable.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        text.push_str(literal);
        text.push('1');
        rest = after;
    }
    Some(text + rest)
}
