//! `GET` of the active subscriptions: all, those by one selector, or one.
//!
//! An answer is a page. Its cursor is of the moment at which the first page began, and the pages after it repeat it: a stream
//! that begins there is told every change since.

use http::{HeaderValue, Request, StatusCode, header, request::Parts};
use percent_encoding::{CONTROLS, percent_decode_str, utf8_percent_encode};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    context::MercureContext,
    form,
    selector::MatcherKind,
    sender::{Purpose, Refused, authenticate},
    subscriptions::{
        change_id::ChangeId,
        collection::{Collection, SUBSCRIPTIONS_PATH, escaped, kind_named},
        document::{CONTEXT, DocumentOptions, SubscriptionDocument},
        registry::ActiveSubscriptions,
        subscriber::{ActiveSubscription, Subscriber},
    },
    update_form::EARLIEST,
};
use crate::{
    event::{Seq, json_text},
    http::{
        message::{
            conditional,
            problem::{Code, Problem},
        },
        net::response::{Response, full},
    },
    quota::memory::BodyPermit,
};

/// Bytes of documents after which a page ends, because it is built in memory: some 3,000 subscriptions of 300 bytes.
const PAGE_BYTES: usize = 1 << 20;

/// Subscribers that are copied while the registry's lock is held: a pointer of each.
const LOOKED_AT: usize = 64;

/// What a path names.
#[derive(Debug, PartialEq, Eq)]
enum AskedSubscriptions {
    /// All subscriptions.
    All,
    /// Those by one selector.
    By(Collection),
    /// One: its selector, and its subscriber.
    One(Collection, String),
    /// Either one of dialect 0, whose selector is called like a kind of dialect 1; or, when there is none, those by a
    /// selector of dialect 1.
    OneOrBy(Collection, String, Collection),
}

/// The subscription after which a page begins: the number of its subscriber, and its index.
type ListedFrom = (u64, usize);

/// The texts of a page, and where the next one begins.
struct ListedPage {
    documents: Vec<Box<RawValue>>,
    next: Option<ListedFrom>,
    permit: BodyPermit,
}

#[derive(Serialize)]
struct CollectionDocument<'d> {
    #[serde(rename = "@context", skip_serializing_if = "Option::is_none")]
    context: Option<&'static str>,
    id: &'d str,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "lastEventID", skip_serializing_if = "Option::is_none")]
    last_event_id: Option<&'d str>,
    subscriptions: &'d [Box<RawValue>],
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Answers a request for active subscriptions.
///
/// # Errors
/// Why it is refused.
pub async fn handle<B>(
    MercureContext { mercure, events, authenticator, scope }: MercureContext<'_>,
    registry: &ActiveSubscriptions,
    request: Request<B>,
) -> Result<Response, Refused> {
    let (head, _) = request.into_parts();
    let asked = AskedSubscriptions::parse(head.uri.path())?;
    let settings = &mercure.state.settings;
    let (caller, grant) = authenticate(settings, authenticator, &head, Purpose::ListSubscriptions)?;
    scope.set_holder(caller.authorization.holder());
    let path = head.uri.path();
    if !grant.subscribe.matches(path) {
        let detail =
            format!("this token does not let you see '{path}'; its claim must grant subscribing to that topic");
        return Err(Refused::denied(detail));
    }
    let query = PageQuery::parse(&head)?;
    // The log first, so that nothing is between the two.
    let log = mercure.hub.head();
    let (now, below) = registry.now();
    let nothing_yet = log.seq == Seq::ZERO && now.next == 0;
    let cursor = query.cursor.unwrap_or_else(|| if nothing_yet { EARLIEST.into() } else { now.with(log) });
    let of_dialect_1 = asked.is_of_dialect_1(registry).unwrap_or(grant.of_dialect_1);
    let headers = AnswerHeaders { cursor: &cursor, of_dialect_1, tag: tag(&cursor, of_dialect_1, query.after) };
    if conditional::names_tag(&head.headers, headers.tag.as_bytes()) {
        let mut response = Response::new(full(""));
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(headers.on(response, None));
    }
    let permit = caller.quotas.memory(&events.pages);
    if let Some((subscriber, place)) = asked.one(registry) {
        let options = DocumentOptions { alone: true, last_event_id: Some(&cursor) };
        let mut text = document(&subscriber, &subscriber.subscriptions[place], options).get().as_bytes().to_vec();
        text.push(b'\n');
        return Ok(headers.on(Response::new(full(text)), None));
    }
    let collection = match &asked {
        AskedSubscriptions::All => None,
        AskedSubscriptions::By(collection) | AskedSubscriptions::OneOrBy(_, _, collection) => Some(collection),
        AskedSubscriptions::One(..) => {
            return Err(Problem::new(Code::NotFound, "there is no such active subscription").into());
        }
    };
    let page = list(registry, collection, query.after, below, permit).await?;
    let next = page.next.map(|after| next_page(path, after, &cursor));
    let body = CollectionDocument {
        context: (!of_dialect_1).then_some(CONTEXT),
        id: path,
        kind: if of_dialect_1 { "subscriptions" } else { "Subscriptions" },
        last_event_id: (!of_dialect_1).then_some(&cursor),
        subscriptions: &page.documents,
        next: next.clone(),
    };
    let mut text = json_text::bytes(&body);
    text.push(b'\n');
    Ok(headers.on(Response::new(full(page.permit.hold(text))), next.as_deref()))
}

/// The documents of a page, of subscribers with numbers below `below`.
async fn list(
    registry: &ActiveSubscriptions,
    collection: Option<&Collection>,
    after: ListedFrom,
    below: u64,
    mut permit: BodyPermit,
) -> Result<ListedPage, Problem> {
    let (mut documents, mut next, mut bytes) = (Vec::new(), after, 0);
    loop {
        let subscribers = registry.subscribers(collection.map(Collection::path), next.0, below, LOOKED_AT);
        if subscribers.is_empty() {
            return Ok(ListedPage { documents, next: None, permit });
        }
        for subscriber in &subscribers {
            let from = if subscriber.number == next.0 { next.1 } else { 0 };
            for (place, subscription) in subscriber.subscriptions.iter().enumerate().skip(from) {
                if collection.is_some_and(|collection| *collection != subscription.collection) {
                    continue;
                }
                let document = document(subscriber, subscription, DocumentOptions::default());
                next = (subscriber.number, place);
                // Twice, because the answer is made of the documents.
                let room = permit.grow(2 * document.get().len()).is_ok();
                if !room && documents.is_empty() {
                    let detail = "the memory for JSON pages is full of pages that this client, or others, have not read yet; \
                                  read those, then ask again";
                    return Err(Problem::new(Code::OverCapacity, detail));
                }
                if !room || bytes > PAGE_BYTES {
                    return Ok(ListedPage { documents, next: Some(next), permit });
                }
                bytes += document.get().len();
                documents.push(document);
            }
            next = (subscriber.number + 1, 0);
        }
        tokio::task::yield_now().await;
    }
}

fn document(subscriber: &Subscriber, subscription: &ActiveSubscription, options: DocumentOptions<'_>) -> Box<RawValue> {
    let (kind, selector) = subscription.collection.selector();
    let path = subscriber.path(subscription);
    let document = SubscriptionDocument::new(subscriber, subscription, &path, (kind, &selector), true, options);
    RawValue::from_string(json_text::text(&document)).expect("it is JSON")
}

impl AskedSubscriptions {
    /// What a path below the hub's means.
    fn parse(path: &str) -> Result<Self, Problem> {
        let below = path.strip_prefix(SUBSCRIPTIONS_PATH).unwrap_or_default();
        if below.is_empty() {
            return Ok(Self::All);
        }
        let segments: Vec<String> = below[1..].split('/').map(decoded).collect::<Result<_, _>>()?;
        let by = |name: &str, selector: &str| kind_named(name).map(|kind| Collection::new(kind, selector));
        match &*segments {
            [topic] => Ok(Self::By(Collection::new(MatcherKind::Topic, topic))),
            [first, second] => {
                let of_topic = Collection::new(MatcherKind::Topic, first);
                Ok(match by(first, second) {
                    Some(collection) => Self::OneOrBy(of_topic, second.clone(), collection),
                    None => Self::One(of_topic, second.clone()),
                })
            }
            [kind, selector, subscriber] => match by(kind, selector) {
                Some(collection) => Ok(Self::One(collection, subscriber.clone())),
                None => Err(Problem::new(Code::QueryInvalid, "the match_type of the path must be exact or urlpattern")),
            },
            _ => Err(Problem::new(Code::NotFound, "no such path; GET /docs/MERCURE.md lists them")),
        }
    }

    /// The subscription that it means, if it means one that is active: its subscriber, and its index there.
    fn one(&self, registry: &ActiveSubscriptions) -> Option<(std::sync::Arc<Subscriber>, usize)> {
        let (Self::One(collection, subscriber) | Self::OneOrBy(collection, subscriber, _)) = self else { return None };
        registry.find(collection, subscriber)
    }

    /// Whether it is of dialect 1; `None` when it is of both.
    fn is_of_dialect_1(&self, registry: &ActiveSubscriptions) -> Option<bool> {
        match self {
            Self::All => None,
            Self::By(collection) | Self::One(collection, _) => Some(collection.selector().0 != MatcherKind::Topic),
            Self::OneOrBy(..) => Some(self.one(registry).is_none()),
        }
    }
}

/// The reference of the page that begins at `after`: a subscriber's number and the index of its subscription.
fn next_page(path: &str, after: (u64, usize), cursor: &str) -> String {
    // A client may send other characters than ASCII as they are. A header cannot have them.
    let path = utf8_percent_encode(path, CONTROLS);
    format!("{path}?after={}-{}&{CURSOR_KEY}={}", after.0, after.1, escaped(cursor))
}

fn decoded(segment: &str) -> Result<String, Problem> {
    let invalid = || Problem::new(Code::QueryInvalid, "a segment of the path is not UTF-8, percent-encoded once");
    percent_decode_str(segment).decode_utf8().map(Into::into).map_err(|_| invalid())
}

/// The parameter by which a page repeats the cursor of the first one.
const CURSOR_KEY: &str = "last_event_id";

/// The parameters of a page.
struct PageQuery {
    after: ListedFrom,
    /// The cursor of the first page, on those after it.
    cursor: Option<String>,
}

impl PageQuery {
    fn parse(head: &Parts) -> Result<Self, Problem> {
        let mut query = Self { after: (0, 0), cursor: None };
        for (key, value) in form::pairs(head.uri.query().unwrap_or_default().as_bytes()) {
            match &*key {
                "after" => {
                    let text = value.text(&key).ok();
                    let start = text.as_deref().and_then(|text| text.split_once('-'));
                    let start = start.and_then(|(number, place)| Some((number.parse().ok()?, place.parse().ok()?)));
                    let problem = || Problem::new(Code::QueryInvalid, "'after' must be that of the 'next' of a page");
                    query.after = start.ok_or_else(problem)?;
                }
                CURSOR_KEY => query.cursor = value.text(&key).ok().map(Into::into),
                _ => {}
            }
        }
        // Only what this hub has said itself is repeated.
        query.cursor = query.cursor.filter(|cursor| cursor == EARLIEST || ChangeId::split(cursor).1.is_some());
        Ok(query)
    }
}

/// The entity tag of a page: another one whenever the answer is.
fn tag(cursor: &str, of_dialect_1: bool, (number, place): ListedFrom) -> String {
    format!("\"{}{cursor}/{number}-{place}\"", u8::from(of_dialect_1))
}

/// The headers of an answer.
struct AnswerHeaders<'a> {
    cursor: &'a str,
    of_dialect_1: bool,
    tag: String,
}

impl AnswerHeaders<'_> {
    /// The response with them; `next` is the path of the next page.
    fn on(&self, mut response: Response, next: Option<&str>) -> Response {
        let (kind, attributes) = if self.of_dialect_1 {
            ("application/json", "; type=\"mercure\"; content-type=\"application/json\"")
        } else {
            ("application/ld+json", "; content-type=\"application/ld+json\"")
        };
        let next = next.map_or_else(String::new, |next| format!(", <{next}>; rel=\"next\""));
        let cursor = self.cursor;
        let link = format!("</.well-known/mercure>; rel=\"mercure\"; last-event-id=\"{cursor}\"{attributes}{next}");
        let value = |text: &str| HeaderValue::from_str(text).expect("cursors and escaped paths are visible ASCII");
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::LINK, value(&link));
        headers.insert(header::ETAG, value(&self.tag));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache, must-revalidate"));
        headers.insert(header::VARY, HeaderValue::from_static("authorization, cookie"));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_of_any_path_is_a_header() {
        let next = next_page("/subscriptions/ü%2F", (7, 2), "a:b/c");
        assert_eq!(next, "/subscriptions/%C3%BC%2F?after=7-2&last_event_id=a%3Ab%2Fc");
        assert!(HeaderValue::from_str(&next).is_ok());
    }

    #[test]
    fn a_path_names_what_it_names_in_both_dialects() {
        let asked = |below: &str| AskedSubscriptions::parse(&format!("{SUBSCRIPTIONS_PATH}{below}"));
        let (topic, exact) = (MatcherKind::Topic, MatcherKind::Exact);
        for (below, want) in [
            ("", AskedSubscriptions::All),
            ("/%2Fa%2F%7Bx%7D", AskedSubscriptions::By(Collection::new(topic, "/a/{x}"))),
            ("/exact", AskedSubscriptions::By(Collection::new(topic, "exact"))),
            ("/a/urn%3Ax", AskedSubscriptions::One(Collection::new(topic, "a"), "urn:x".into())),
            (
                "/exact/a",
                AskedSubscriptions::OneOrBy(Collection::new(topic, "exact"), "a".into(), Collection::new(exact, "a")),
            ),
            (
                "/urlpattern/a/urn:x",
                AskedSubscriptions::One(Collection::new(MatcherKind::UrlPattern, "a"), "urn:x".into()),
            ),
        ] {
            assert_eq!(asked(below).expect(below), want, "{below}");
        }
        for (below, code) in
            [("/a/b/c", Code::QueryInvalid), ("/%FF", Code::QueryInvalid), ("/exact/a/b/c", Code::NotFound)]
        {
            assert_eq!(asked(below).expect_err(below).code, code, "{below}");
        }
    }
}
