//! A subscription: `GET`, `HEAD` and `QUERY`.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, header, request::Parts};

use super::{
    context::MercureContext,
    delivery,
    resume::{self, Resumption},
    sender::{Purpose, Refused, authenticate},
    subscribe_query::{SubscribeQuery, check_form},
    subscriptions::{
        registry::KnownChanges,
        stream::{SubscriberStream, SubscriptionView},
    },
    update_form::EARLIEST,
};
use crate::{
    event::Selection,
    http::{
        api::{
            events::{
                self,
                events_request::{EventsRequest, ResponseMode},
                native::NATIVE,
                state::EventsState,
            },
            request_log::RequestScope,
            stream::{
                encoding::{Encoding, Keepalive},
                ephemeral::{BeginEphemeral, EphemeralEvents},
            },
        },
        auth::Caller,
        message::{accept, problem::Problem},
        net::response::Response,
    },
};

/// Bytes of the body of `QUERY` at most: room for the largest number of selectors, each of the greatest length.
const MAX_BODY_BYTES: usize = 1 << 20;

/// The headers that answer a cursor, of dialect 1 and of dialect 0.
const CURSOR_HEADERS: [HeaderName; 2] =
    [HeaderName::from_static("mercure-last-event-id"), HeaderName::from_static("last-event-id")];

/// Answers a subscription with a stream.
///
/// # Errors
/// Why there is none.
pub async fn handle<B>(
    MercureContext { mercure, events, authenticator, scope }: MercureContext<'_>,
    request: Request<B>,
) -> Result<Response, Refused>
where
    B: http_body::Body<Data = Bytes>,
{
    let (head, body) = request.into_parts();
    let (caller, grant) = match authenticate(&mercure.state.settings, authenticator, &head, Purpose::Subscribe) {
        Ok(authenticated) => authenticated,
        Err(refused) => {
            mercure.bodies.discard(&head.headers, body).await;
            return Err(refused);
        }
    };
    scope.set_holder(caller.authorization.holder());
    let (body, _permit) = if head.method == Method::from_bytes(b"QUERY").expect("a method") {
        if let Err(problem) = check_form(&head.headers) {
            mercure.bodies.discard(&head.headers, body).await;
            return Err(problem.into());
        }
        let (body, permit) = mercure.bodies.read(&caller.quotas, &head.headers, body, MAX_BODY_BYTES).await?;
        (body, Some(permit))
    } else {
        (Bytes::new(), None)
    };
    let query = head.uri.query().unwrap_or_default();
    let hub = &mercure.state.settings.expected.hub;
    let query = SubscribeQuery::parse(query, &body, &head.headers, mercure.selectors, hub)?;
    let selectors = Arc::new(query.selectors);
    let selection = delivery::selection(&selectors, &grant.subscribe).map_err(Problem::from)?;
    let known = KnownChanges::of(query.cursor.as_deref());
    // The response to HEAD has no stream.
    let told = mercure.state.subscriptions.as_ref().filter(|_| head.method != Method::HEAD);
    let begin = told.map(|registry| {
        move || {
            let view = SubscriptionView { selectors: Arc::clone(&selectors), granted: Arc::clone(&grant.subscribe) };
            let stream = SubscriberStream::begin(Arc::clone(registry), view, &grant.payloads, known);
            Box::new(stream) as Box<dyn EphemeralEvents>
        }
    });
    let ephemeral = begin.as_ref().map(|begin| begin as BeginEphemeral<'_>);
    let resumption = resume::resume(query.cursor.as_deref(), &mercure.hub, &mercure.state.ids, &selection).await;
    let resumption = match resumption {
        Ok(resumption) => resumption,
        Err(problem) => return Ok(events::refuse_unparsed(events, &head.headers, problem)?),
    };
    Ok(stream(events, scope, caller, &head, selection, resumption, ephemeral).await?)
}

async fn stream(
    events: &EventsState,
    scope: &RequestScope,
    caller: Caller,
    head: &Parts,
    selection: Selection,
    resumption: Resumption,
    ephemeral: Option<BeginEphemeral<'_>>,
) -> Result<Response, Problem> {
    let Resumption { begin, answer } = resumption;
    let events_request = EventsRequest {
        selection,
        begin,
        mode: ResponseMode::Stream(Encoding::Mercure),
        keepalive: Keepalive::Comment,
        eventsource: accept::names(&head.headers, "text/event-stream"),
    };
    let mut response = events::respond(events, scope, &NATIVE, caller, head, events_request, ephemeral).await?;
    if let Some(answer) = answer {
        let value = HeaderValue::from_bytes(answer.as_bytes()).unwrap_or(HeaderValue::from_static(EARLIEST));
        for name in CURSOR_HEADERS {
            response.headers_mut().insert(name, value.clone());
        }
    }
    let private = "private, no-cache, no-store, must-revalidate, max-age=0";
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(private));
    Ok(response)
}
