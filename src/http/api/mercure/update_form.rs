//! The body of a publish: an update as a form, checked in the order in which the specification's own hub does it.

use std::borrow::Cow;

use url::Url;

use super::{
    form,
    selector::SelectorSet,
    topic_rules::{MAX_NAME_BYTES, check_characters, is_reserved},
};
use crate::{
    event::{Epoch, EventId, EventName, record::MAX_RETRY_MS},
    http::message::problem::{Code, Problem},
};

/// Topics of one update at most. Each takes an event of the log.
pub const MAX_TOPICS: usize = 1000;

/// Bytes of the topics of an update together, at most. An update of several topics keeps the list with each of its events.
pub const MAX_TOPICS_BYTES: usize = 12 << 10;

/// Bytes of a publisher's own id at most.
pub const MAX_ID_BYTES: usize = 1024;

/// The id that stands for the beginning of the log.
pub const EARLIEST: &str = "earliest";

/// A form whose topics and `retry` are right.
#[derive(Debug, PartialEq, Eq)]
pub struct UpdateForm<'f> {
    /// The canonical topic, then the alternate ones; each once.
    pub topics: Vec<Cow<'f, str>>,
    /// The data; empty when the form has none.
    pub data: Cow<'f, str>,
    /// Whether only subscribers with a grant may read it.
    pub private: bool,
    /// The reconnect delay for clients, in milliseconds.
    pub retry: Option<u32>,
    id: Option<Cow<'f, str>>,
    kind: Option<Cow<'f, str>>,
}

/// What the publisher calls the update.
#[derive(Debug, PartialEq, Eq)]
pub struct UpdateNames<'f> {
    /// Its id; `None` when the hub gives it one.
    pub id: Option<&'f str>,
    /// Its type, the name of the event.
    pub kind: EventName,
}

impl<'f> UpdateForm<'f> {
    /// Parses a body. Of a field that may occur once the first counts; unknown fields are passed over.
    ///
    /// # Errors
    /// Says which topic, or that `retry`, is wrong.
    pub fn parse(body: &'f [u8]) -> Result<Self, Problem> {
        let (mut topics, mut data, mut id, mut kind, mut retry) = (Vec::new(), None, None, None, None);
        let mut private = false;
        for (key, value) in form::pairs(body) {
            let slot = match &*key {
                "topic" if topics.len() >= MAX_TOPICS => {
                    return Err(invalid(format!("the update has more than {MAX_TOPICS} topics; publish it in parts")));
                }
                "topic" => {
                    let topic = value.text("topic")?;
                    if !topics.contains(&topic) {
                        topics.push(topic);
                    }
                    continue;
                }
                "private" => {
                    private = true;
                    continue;
                }
                "data" => &mut data,
                "id" => &mut id,
                "type" => &mut kind,
                "retry" => &mut retry,
                _ => continue,
            };
            if slot.is_none() {
                *slot = Some(value.text(&key)?);
            }
        }
        check_topics(&topics)?;
        let retry = retry.map(|text| parse_retry(&text)).transpose()?.flatten();
        Ok(Self { topics, data: data.unwrap_or_default(), private, retry, id, kind })
    }

    /// The first topic that `granted` does not cover.
    #[must_use]
    pub fn denied(&self, granted: &SelectorSet) -> Option<&str> {
        self.topics.iter().map(|topic| &**topic).find(|topic| !granted.matches(topic))
    }

    /// Checks what is left: that no topic is the hub's own, whose URL is `hub`, and that the names are right. `epoch` is
    /// that of the log's own ids, which no publisher may forge.
    ///
    /// # Errors
    /// Says what to change.
    pub fn names(&self, hub: &Url, epoch: Epoch) -> Result<UpdateNames<'_>, Problem> {
        for topic in &self.topics {
            if topic == "*" {
                return Err(topic_invalid("the topic '*' selects every topic, and cannot be published to".into()));
            }
            if is_reserved(topic, hub) {
                let topic = topic.escape_debug();
                return Err(topic_invalid(format!(
                    "the topic '{topic}' is the hub's own; use one outside of its path"
                )));
            }
        }
        let id = self.id.as_deref().filter(|id| !id.is_empty());
        if let Some(id) = id {
            check_id(id, epoch)?;
        }
        let kind = self.kind.as_deref().unwrap_or_default();
        check_characters("type", kind)?;
        if kind == "mercure" {
            return Err(invalid("the type 'mercure' is that of the hub's own updates; use another".into()));
        }
        Ok(UpdateNames { id, kind: EventName::new(kind).map_err(Problem::from)? })
    }
}

fn check_topics(topics: &[Cow<'_, str>]) -> Result<(), Problem> {
    if topics.is_empty() {
        return Err(topic_invalid("the update has no 'topic'; name at least one in the body of the request".into()));
    }
    for topic in topics {
        check_characters("topic", topic)?;
        if topic.len() > MAX_NAME_BYTES {
            return Err(topic_invalid(format!("a topic has more than {MAX_NAME_BYTES} bytes; shorten it")));
        }
    }
    let bytes = topics.iter().map(|topic| topic.len()).sum::<usize>();
    if topics.len() > 1 && bytes > MAX_TOPICS_BYTES {
        let detail =
            format!("the topics have more than {MAX_TOPICS_BYTES} bytes together; publish the update in parts");
        return Err(Problem::new(Code::TooLarge, detail));
    }
    Ok(())
}

/// A delay in milliseconds: any number of 64 bits. A longer one than events can have is cut, and 0 is none.
fn parse_retry(text: &str) -> Result<Option<u32>, Problem> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| text.parse::<u64>().ok()).flatten();
    let number = number.ok_or_else(|| invalid("'retry' is not a whole number of milliseconds".into()))?;
    Ok(u32::try_from(number).ok().map_or(Some(MAX_RETRY_MS), |ms| (ms > 0).then_some(ms.min(MAX_RETRY_MS))))
}

fn check_id(id: &str, epoch: Epoch) -> Result<(), Problem> {
    check_characters("id", id)?;
    if id.len() > MAX_ID_BYTES {
        return Err(invalid(format!("the id has more than {MAX_ID_BYTES} bytes; shorten it")));
    }
    let native = EventId::parse(id).is_some_and(|id| id.epoch == epoch);
    if id.starts_with('#') || id == EARLIEST || native {
        let detail = "an id may not start with '#', nor be 'earliest' or one that the hub gives; use another, or none";
        return Err(invalid(detail.into()));
    }
    Ok(())
}

fn invalid(detail: String) -> Problem {
    Problem::new(Code::BodyInvalid, detail)
}

fn topic_invalid(detail: String) -> Problem {
    Problem::new(Code::TopicInvalid, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::api::mercure::selector::Selector;

    fn refused(body: &str) -> Problem {
        let form = match UpdateForm::parse(body.as_bytes()) {
            Ok(form) => form,
            Err(problem) => return problem,
        };
        let hub = Url::parse("https://hub.example/.well-known/mercure").expect("a URL");
        form.names(&hub, Epoch::new("abcd").expect("valid")).expect_err(body)
    }

    #[test]
    fn a_form_is_an_update() {
        let body = b"topic=a&data=1%0A2&topic=b%2F&topic=a&private&id=x&type=t&retry=5&id=y&other=%FF";
        let form = UpdateForm::parse(body).expect("valid");
        assert_eq!(
            (&*form.topics, &*form.data, form.private, form.retry),
            (&["a".into(), "b/".into()][..], "1\n2", true, Some(5))
        );
        let hub = Url::parse("https://hub.example/.well-known/mercure").expect("a URL");
        let names = form.names(&hub, Epoch::new("abcd").expect("valid")).expect("valid");
        assert_eq!((names.id, names.kind.as_str()), (Some("x"), "t"));
        let least = UpdateForm::parse(b"topic=a&id=&type=").expect("valid");
        assert_eq!((&*least.data, least.private, least.retry), ("", false, None));
        let names = least.names(&hub, Epoch::new("abcd").expect("valid")).expect("valid");
        assert_eq!((names.id, names.kind.is_default()), (None, true));
    }

    #[test]
    fn each_broken_rule_is_named() {
        let long = format!("topic={}", "x".repeat(MAX_NAME_BYTES + 1));
        let many = (0..=MAX_TOPICS).map(|n| format!("topic={n}&")).collect::<Vec<_>>().concat();
        let wide = (0..4).map(|n| format!("topic={n}{}&", "x".repeat(4000))).collect::<Vec<_>>().concat();
        for (body, want) in [
            ("data=x", "no 'topic'"),
            ("topic=%FF", "'topic' is not UTF-8"),
            ("topic=a%0A", "U+000A"),
            ("topic=a&retry=x", "'retry'"),
            ("topic=a&retry=-1", "'retry'"),
            ("topic=a&retry=", "'retry'"),
            ("topic=a&retry=18446744073709551616", "'retry'"),
            ("topic=a&data=%FF", "'data' is not UTF-8"),
            ("topic=*", "'*'"),
            ("topic=", "the hub's own"),
            ("topic=/.well-known/mercure/x", "the hub's own"),
            ("topic=a&id=%23x", "'#'"),
            ("topic=a&id=earliest", "earliest"),
            ("topic=a&id=abcd-7", "one that the hub gives"),
            ("topic=a&id=%E2%80%8B", "U+200B"),
            ("topic=a&type=mercure", "the hub's own updates"),
            ("topic=a&type=hub.gap", "reserved"),
            ("topic=a&type=x%00", "U+0000"),
            (&*long, "4096 bytes"),
            (&*many, "1000 topics"),
            (&*wide, "together"),
        ] {
            let problem = refused(body);
            assert!(problem.detail.contains(want), "{body:.40}: {}", problem.detail);
        }
        let hub = Url::parse("https://hub.example/.well-known/mercure").expect("a URL");
        let other = UpdateForm::parse(b"topic=a&id=book-7").expect("valid");
        assert!(
            other.names(&hub, Epoch::new("abcd").expect("valid")).is_ok(),
            "of another epoch: a name like any other"
        );
    }

    #[test]
    fn a_delay_is_cut_to_what_events_can_have() {
        for (text, want) in [
            ("0", None),
            ("1", Some(1)),
            ("86400001", Some(MAX_RETRY_MS)),
            ("18446744073709551615", Some(MAX_RETRY_MS)),
        ] {
            let body = format!("topic=a&retry={text}");
            assert_eq!(UpdateForm::parse(body.as_bytes()).expect("valid").retry, want, "{text}");
        }
    }

    #[test]
    fn every_topic_must_be_granted() {
        let form = UpdateForm::parse(b"topic=a&topic=/b/1&topic=c").expect("valid");
        let grants =
            |texts: &[&str]| SelectorSet::new(texts.iter().map(|text| Selector::text_or_template(text)).collect());
        assert_eq!(form.denied(&grants(&["a", "/b/{x}", "c"])), None);
        assert_eq!(form.denied(&grants(&["a", "/b/{x}"])), Some("c"));
        assert_eq!(form.denied(&grants(&[])), Some("a"));
    }
}
