//! The parameters of a subscription, in both dialects: `topic=` is of dialect 0, `match=`, `match_exact=` and
//! `match_urlpattern=` of dialect 1. A request may have both.

use http::{HeaderMap, header};
use url::Url;

use super::{
    form,
    selector::{Selector, SelectorSet},
    topic_rules::{MAX_NAME_BYTES, check_characters},
};
use crate::http::message::problem::{Code, Problem};

/// Selectors of one subscription that are patterns, at most. Each is compiled, and compared with each new topic.
const MAX_PATTERNS: usize = 100;

/// The spellings of the cursor's key: of dialect 1, of dialect 0, of the protocol's texts, and of event-source-polyfill.
const CURSOR_KEYS: [&str; 4] = ["last_event_id", "lastEventID", "Last-Event-ID", "lastEventId"];

/// A request for updates.
#[derive(Debug)]
pub struct SubscribeQuery {
    /// The topics.
    pub selectors: SelectorSet,
    /// The id after which it continues, as it was sent; never empty.
    pub cursor: Option<String>,
}

impl SubscribeQuery {
    /// Parses the query, the body of the method QUERY, which is empty otherwise, and the header `Last-Event-ID`, which
    /// counts before a cursor of the query. There may be `max` selectors. Patterns may be relative to `hub`, its URL.
    ///
    /// # Errors
    /// Says what to change.
    pub fn parse(query: &str, body: &[u8], headers: &HeaderMap, max: usize, hub: &Url) -> Result<Self, Problem> {
        let (mut selectors, mut patterns, mut cursor) = (Vec::new(), 0, None);
        for (key, value) in form::pairs(query.as_bytes()).chain(form::pairs(body)) {
            if CURSOR_KEYS.contains(&&*key) {
                // Any text is a cursor: an unknown one begins with a gap, and never stops a client for good.
                cursor = cursor.or(value.text(&key).ok().filter(|text| !text.is_empty()));
                continue;
            }
            let make: fn(&str, &Url) -> Result<Selector, Problem> = match &*key {
                "topic" => |text, _| Ok(Selector::text_or_template(text)),
                "match" | "match_exact" => |text, _| Ok(Selector::exact(text)),
                "match_urlpattern" => {
                    |text, hub| Selector::url_pattern(text, hub).map_err(|error| invalid(error.to_string()))
                }
                other if other.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("match")) => {
                    let detail = format!(
                        "there is no parameter '{}'; use match, match_exact, match_urlpattern, or topic",
                        other.escape_debug()
                    );
                    return Err(invalid(detail));
                }
                _ => continue,
            };
            let text = value.text(&key).map_err(of_query)?;
            check_characters(&key, &text).map_err(of_query)?;
            if text.is_empty() || text.len() > MAX_NAME_BYTES {
                return Err(invalid(format!("'{key}' must have from 1 to {MAX_NAME_BYTES} bytes")));
            }
            if selectors.len() >= max {
                return Err(invalid(format!(
                    "the request selects more than {max} topics; use patterns, or several streams"
                )));
            }
            // Before it is compiled, which costs the most.
            if *key == *"match_urlpattern" || (*key == *"topic" && text.contains('{')) {
                patterns += 1;
            }
            if patterns > MAX_PATTERNS {
                return Err(invalid(format!("the request has more than {MAX_PATTERNS} patterns; use several streams")));
            }
            selectors.push(make(&text, hub)?);
        }
        if selectors.is_empty() {
            return Err(invalid(
                "Missing \"topic\" parameter; name topics by topic=, or by match= and match_urlpattern=".into(),
            ));
        }
        let header = headers.get("last-event-id").map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let cursor = header.filter(|text| !text.is_empty()).or(cursor.map(Into::into));
        Ok(Self { selectors: SelectorSet::new(selectors), cursor })
    }
}

/// Whether the body of a request is a form.
///
/// # Errors
/// Says what type it must have.
pub fn check_form(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Ok(());
    }
    Err(Problem::new(Code::BodyInvalid, "the body must be a form, of the type application/x-www-form-urlencoded"))
}

fn of_query(problem: Problem) -> Problem {
    Problem::new(Code::QueryInvalid, problem.detail)
}

fn invalid(detail: String) -> Problem {
    Problem::new(Code::QueryInvalid, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str, body: &str, header: Option<&str>) -> Result<SubscribeQuery, Problem> {
        let hub = Url::parse("https://hub.example/.well-known/mercure").expect("a URL");
        let headers =
            header.map(|text| (http::HeaderName::from_static("last-event-id"), text.parse().expect("a value")));
        SubscribeQuery::parse(query, body.as_bytes(), &headers.into_iter().collect(), 120, &hub)
    }

    #[test]
    fn both_dialects_select_topics() {
        let query =
            parse("topic=/a/{x}&match=/b/{x}&match_exact=c&match_urlpattern=/d/:x&Topic=e&other=f", "match=g", None);
        let selectors = query.expect("valid").selectors;
        for (topic, want) in [
            ("/a/1", true),
            ("/b/1", false),
            ("/b/{x}", true),
            ("c", true),
            ("/d/1", true),
            ("e", false),
            ("f", false),
            ("g", true),
        ] {
            assert_eq!(selectors.matches(topic), want, "{topic}");
        }
    }

    #[test]
    fn each_spelling_of_the_cursor_is_read_and_the_header_counts_first() {
        for key in ["last_event_id", "lastEventID", "Last-Event-ID", "lastEventId"] {
            let query = format!("topic=a&{key}=%23abcd-7");
            assert_eq!(parse(&query, "", None).expect("valid").cursor.as_deref(), Some("#abcd-7"), "{key}");
            assert_eq!(parse(&query, "", Some("h")).expect("valid").cursor.as_deref(), Some("h"));
            assert_eq!(parse(&query, "", Some("")).expect("valid").cursor.as_deref(), Some("#abcd-7"));
        }
        assert_eq!(parse("topic=a&last_event_id=", "", None).expect("valid").cursor, None);
    }

    #[test]
    fn each_broken_rule_is_named() {
        let (long, many) = (format!("topic={}", "x".repeat(4097)), "topic=a&".repeat(121));
        let patterns = "topic={a}&".repeat(101);
        for (query, want) in [
            ("", "Missing \"topic\""),
            ("Topic=a", "Missing \"topic\""),
            ("match_regexp=a", "there is no parameter"),
            ("MATCH=a", "there is no parameter"),
            ("topic=a%00", "U+0000"),
            ("topic=%FF", "not UTF-8"),
            ("topic=", "from 1 to"),
            ("match_urlpattern=https://example.com/(", "invalid topic matcher pattern"),
            (&long, "from 1 to"),
            (&many, "more than 120 topics"),
            (&patterns, "more than 100 patterns"),
        ] {
            let problem = parse(query, "", None).expect_err(query);
            assert!(
                problem.detail.contains(want) && problem.code == Code::QueryInvalid,
                "{query:.40}: {}",
                problem.detail
            );
        }
    }
}
