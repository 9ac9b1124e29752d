//! The pages of a hub, one after the other.

use bytes::Bytes;
use form_urlencoded::Serializer;
use gapless_client::connection::HubConnection;
use hyper::Method;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    cli::{
        CliError,
        client::{Dial, HubClient},
        patient::JsonRequest,
    },
    event::{EventId, Filter, Selection, TopicName},
    export::MAX_LINE_BYTES,
};

/// Events of a page: the most that a hub sends.
const PAGE_EVENTS: usize = 1000;

/// Topics of a page of the list: the most that a hub sends.
const PAGE_TOPICS: &str = "1000";

/// Longest response: a page has a mebibyte, or one event of any size.
const MAX_PAGE_BYTES: usize = MAX_LINE_BYTES + (2 << 20);

/// Where a page begins.
pub(super) enum PageStart {
    After(EventId),
    Since(String),
}

/// A page of events. What is written to a file is left as the hub has sent it.
#[derive(Debug, Deserialize)]
pub(super) struct EventPage {
    pub(super) events: Vec<Box<RawValue>>,
    gaps: Vec<Box<RawValue>>,
    next: String,
}

/// A gap of a page.
pub(super) struct PageGap<'a> {
    pub(super) text: &'a RawValue,
    /// The page does not follow what was read before: the hub began at the oldest event.
    pub(super) begins_anew: bool,
    /// The next kept event of its topic, if there is one.
    pub(super) resumes_at: Option<EventId>,
}

/// A page of the list of topics.
#[derive(Debug, Deserialize)]
pub(super) struct TopicPage {
    pub(super) topics: Vec<ListedTopic>,
    pub(super) next: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ListedTopic {
    pub(super) topic: String,
    pub(super) last_id: Option<String>,
    pub(super) closed: bool,
}

/// The body of a request for a page.
#[derive(Serialize)]
struct PageRequest<'a> {
    topics: &'a [String],
    limit: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_event_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    metadata: bool,
}

/// A hub, of which topics are read.
pub(super) struct PageReader<'a, D> {
    connection: HubConnection<'a, D>,
    topics: &'a [String],
    selection: Selection,
    metadata: MetadataPages,
}

/// Whether pages have the metadata of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MetadataPages {
    /// They are asked for it; the hub has not answered yet.
    Asked,
    Given,
    /// The token may not have it.
    Withheld,
    /// The hub does not know it: it is older, and has none.
    Unknown,
}

impl EventPage {
    /// The cursor of the next page.
    pub(super) fn next(&self) -> Result<EventId, CliError> {
        EventId::parse(&self.next).ok_or_else(|| not_a_hub("a page without a cursor"))
    }

    /// Its gaps.
    pub(super) fn gaps(&self) -> Result<Vec<PageGap<'_>>, CliError> {
        #[derive(Deserialize)]
        struct GapFacts<'a> {
            reason: &'a str,
            resumes_at: Option<&'a str>,
        }
        let gaps = self.gaps.iter().map(|text| {
            let GapFacts { reason, resumes_at } = serde_json::from_str(text.get()).ok()?;
            let begins_anew = matches!(reason, "unknown" | "ahead");
            Some(PageGap { text, begins_anew, resumes_at: resumes_at.and_then(EventId::parse) })
        });
        gaps.collect::<Option<_>>().ok_or_else(|| not_a_hub("a gap without a reason"))
    }

    /// The id of an envelope.
    pub(super) fn id(envelope: &RawValue) -> Result<EventId, CliError> {
        #[derive(Deserialize)]
        struct WithId {
            id: String,
        }
        let id = serde_json::from_str(envelope.get()).ok().and_then(|WithId { id }| EventId::parse(&id));
        id.ok_or_else(|| not_a_hub("an event without an id"))
    }
}

impl<'a, D: Dial> PageReader<'a, D> {
    /// # Errors
    /// When a topic or pattern is not valid.
    pub(super) fn new(hub: &'a HubClient<D>, topics: &'a [String]) -> Result<Self, CliError> {
        let filters: Result<Vec<_>, _> = topics.iter().map(|topic| Filter::new(topic)).collect();
        let filters = filters.map_err(|error| CliError::Nothing(error.to_string()))?;
        let selection = Selection::new(filters).ok_or_else(|| CliError::Nothing("no topic is named".into()))?;
        let connection = HubConnection::new(hub).with_max_response(MAX_PAGE_BYTES);
        Ok(Self { connection, topics, selection, metadata: MetadataPages::Asked })
    }

    /// Whether a topic is among those that are read.
    pub(super) fn selects(&self, topic: &str) -> bool {
        TopicName::new(topic).is_ok_and(|topic| self.selection.matches(&topic))
    }

    /// The newest id of the hub.
    pub(super) async fn newest(&mut self) -> Result<EventId, CliError> {
        let request = PageRequest { from: Some("now"), ..self.request() };
        self.page(request).await?.next()
    }

    /// A page of events.
    pub(super) async fn read(&mut self, start: &PageStart) -> Result<EventPage, CliError> {
        let request = match start {
            PageStart::After(id) => PageRequest { last_event_id: Some(id.to_string()), ..self.request() },
            PageStart::Since(since) => PageRequest { since: Some(since), ..self.request() },
        };
        self.page(request).await
    }

    /// Whether the hub has not given the metadata of events to this token.
    pub(super) fn lacks_metadata(&self) -> bool {
        self.metadata == MetadataPages::Withheld
    }

    /// A page of the list of topics.
    pub(super) async fn topics(&mut self, after: Option<&str>) -> Result<TopicPage, CliError> {
        let mut query = Serializer::for_suffix(String::from("/topics?"), "/topics?".len());
        query.append_pair("limit", PAGE_TOPICS);
        query.extend_pairs(after.map(|after| ("after", after)));
        // Of one pattern only these can match.
        if let [filter] = self.selection.filters() {
            let prefix = match filter {
                Filter::Topic(name) => name.as_str(),
                Filter::Pattern(pattern) => pattern.literal_prefix(),
            };
            query.append_pair("prefix", prefix);
        }
        self.json(Method::GET, &query.finish(), Bytes::new()).await
    }

    fn request(&self) -> PageRequest<'a> {
        PageRequest {
            topics: self.topics,
            limit: PAGE_EVENTS,
            last_event_id: None,
            since: None,
            from: None,
            metadata: false,
        }
    }

    /// A page; with metadata if the token may have it, which the first answer tells.
    async fn page(&mut self, mut request: PageRequest<'_>) -> Result<EventPage, CliError> {
        loop {
            request.metadata = matches!(self.metadata, MetadataPages::Asked | MetadataPages::Given);
            let body = serde_json::to_vec(&request).expect("text and numbers");
            match self.json(Method::POST, "/events", body.into()).await {
                Ok(page) if self.metadata == MetadataPages::Asked => {
                    self.metadata = MetadataPages::Given;
                    return Ok(page);
                }
                Err(CliError::Refused(problem)) if self.metadata == MetadataPages::Asked => {
                    // If it is refused for another reason, it is refused again.
                    self.metadata = match problem.status() {
                        Some(401 | 403) => MetadataPages::Withheld,
                        Some(400) => MetadataPages::Unknown,
                        _ => return Err(CliError::Refused(problem)),
                    };
                }
                answer => return answer,
            }
        }
    }

    async fn json<T: for<'de> Deserialize<'de>>(
        &mut self,
        method: Method,
        target: &str,
        body: Bytes,
    ) -> Result<T, CliError> {
        let request = JsonRequest { method, target: target.into(), body, key: None };
        let answer = request.send(&mut self.connection).await?;
        serde_json::from_slice(&answer).map_err(|error| not_a_hub(&format!("{target}: {error}")))
    }
}

fn not_a_hub(what: &str) -> CliError {
    CliError::NotAHub(format!("it sent {what}"))
}
