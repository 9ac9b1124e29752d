//! Durable Streams 1.0, at `/v1/stream/NAME`: streams of bytes or of JSON messages over HTTP, as docs/DURABLE-STREAMS.md
//! describes them. A stream is a topic, and an append is one or more events of it, in one commit.
//!
//! | module | idea |
//! |---|---|
//! | this file | from a request to its handler |
//! | `context` | what a request needs of the hub |
//! | [`state`] | the streams of the process, and looking one up |
//! | `registry` | what is in memory of them: forks, lifetimes, the state of appends |
//! | [`definition`] | what a stream was created with, as metadata of its topic |
//! | `create`, `append`, `read`, `removal` | `PUT`, `POST`, `GET` and `HEAD`, `DELETE` |
//! | `sse`, [`sse_encoder`] | a stream as it comes |
//! | [`pair_cache`], [`page_body`] | the bytes that many readers are sent |
//! | [`lead`] | the beginning of a character that two appends have cut |
//! | `chain` | reads a stream and what it has from its sources |
//! | `fork` | where a fork begins |
//! | [`append_state`] | producers and `Stream-Seq`, as metadata of events |
//! | `present_state` | finds that state, and saves it before an event is removed |
//! | [`producer`] | which appends of a producer are new |
//! | [`offset`], `cursor`, `content_type`, `lifetime`, [`messages`], `paths`, `headers` | what stands in requests and responses |
//! | `lookup` | finds the stream of a request |
//! | `writer` | writes to a stream, to the end |
//! | `redefinition` | changes what its topic keeps of a stream |
//! | `refusal` | problems, with the headers that clients read |
//! | [`expiry`] | deletes streams whose lifetime is over |
//! | [`guard`] | what native publishers may do to a stream |

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, header};

use crate::http::{
    api::{admission, events, request_log},
    auth::Caller,
    message::{
        accept,
        problem::{Code, Problem},
    },
    net::response::Response,
};

pub mod append;
pub mod append_state;
pub mod chain;
pub mod content_type;
pub mod context;
pub mod create;
pub mod cursor;
pub mod definition;
pub mod expiry;
pub mod fork;
pub mod guard;
pub mod headers;
pub mod lead;
pub mod lifetime;
pub mod lookup;
pub mod messages;
pub mod offset;
pub mod page_body;
pub mod pair_cache;
pub mod paths;
pub mod present_state;
pub mod producer;
pub mod read;
pub mod redefinition;
pub mod refusal;
pub mod registry;
pub mod removal;
pub mod sse;
pub mod sse_encoder;
pub mod state;
pub mod writer;

pub use context::StreamContext;

use refusal::StreamRefusal;

/// Lets pages of other sites embed what CORS lets them read.
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Answers a request for a stream. Refusals have the headers of the protocol.
///
/// # Errors
/// The problems of an EventSource that is to try again later are answered, all others returned.
pub async fn handle<B>(context: &StreamContext<'_>, caller: Caller, request: Request<B>) -> Result<Response, Problem>
where
    B: http_body::Body<Data = Bytes>,
{
    let (head, body) = request.into_parts();
    let is_eventsource = head.method == Method::GET && accept::names(&head.headers, "text/event-stream");
    let request_headers = head.headers.clone();
    let answered = async {
        if let Err(problem) = admission::admit(&context.events.stream.drain, &head.extensions) {
            context.bodies.discard(&head.headers, body).await;
            return Err(problem.into());
        }
        context.streams.load().await?;
        let topic = paths::topic_of(head.uri.path())?
            .ok_or_else(|| Problem::new(Code::NotFound, "no stream has this path; it is /v1/stream/NAME"))?;
        request_log::set_topic(&topic);
        match head.method {
            Method::PUT => Box::pin(create::handle(context, caller, topic, head, body)).await,
            Method::POST => Box::pin(append::handle(context, caller, topic, head, body)).await,
            Method::GET => Box::pin(read::handle(context, caller, topic, &head)).await,
            Method::HEAD => read::head(context, &caller, &topic),
            Method::DELETE => removal::handle(context, &caller, &topic).await,
            _ => Err(Problem::method_not_allowed(METHODS).into()),
        }
    };
    let mut response = match answered.await {
        Ok(response) => response,
        Err(StreamRefusal { problem, .. }) if is_eventsource && problem.is_transient() => {
            return events::refuse_unparsed(context.events, &request_headers, problem);
        }
        Err(refusal) => refusal.into_response(context.scope, context.streams.hub.stats()),
    };
    response.headers_mut().insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
    response.headers_mut().append(header::VARY, HeaderValue::from_static("authorization, cookie"));
    Ok(response)
}

/// The methods of a stream.
pub const METHODS: &str = "GET, HEAD, PUT, POST, DELETE, OPTIONS";
