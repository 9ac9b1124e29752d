//! A publish: `POST`. An update of several topics is one event in each, all in one commit.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, header, request::Parts};

use super::{
    context::MercureContext,
    sender::{Purpose, Refused, authenticate},
    subscribe_query::check_form,
    update_form::{UpdateForm, UpdateNames},
};
use crate::{
    access,
    engine::IdempotencyKey,
    event::{Data, EventId, NewEvent},
    http::{
        api::{
            admission,
            mercure_log::{
                log_topic::{Audience, is_hashed, log_topic},
                update_id::UPDATE_IDS,
                update_note::UpdateNote,
            },
        },
        auth::Caller,
        message::{
            headers,
            problem::{Code, Problem},
            trace_context,
        },
        net::response::{Response, full},
    },
    hub::{Hub, publisher::Allowance},
};

/// What an escaped byte takes in a form, and room for the fields beside the data.
const ESCAPED: usize = 3;
const FIELDS_BYTES: usize = 64 << 10;

/// Answers a publish with the id of the update, which is then durable.
///
/// # Errors
/// Why nothing was published.
pub async fn handle<B>(
    MercureContext { mercure, authenticator, scope, .. }: MercureContext<'_>,
    request: Request<B>,
) -> Result<Response, Refused>
where
    B: http_body::Body<Data = Bytes>,
{
    let (head, body) = request.into_parts();
    let begun = admission::admit(&mercure.drain, &head.extensions).map_err(Refused::from).and_then(|()| {
        let authenticated = authenticate(&mercure.state.settings, authenticator, &head, Purpose::Publish)?;
        check_form(&head.headers)?;
        Ok(authenticated)
    });
    let (mut caller, grant) = match begun {
        Ok(authenticated) => authenticated,
        Err(refused) => {
            mercure.bodies.discard(&head.headers, body).await;
            return Err(refused);
        }
    };
    scope.set_holder(caller.authorization.holder());
    let limit = mercure.publisher.limits().event_bytes * ESCAPED + FIELDS_BYTES;
    let (body, permit) = mercure.bodies.read(&caller.quotas, &head.headers, body, limit).await?;
    let form = UpdateForm::parse(&body)?;
    if let Some(topic) = form.denied(&grant.publish) {
        let topic = topic.escape_debug();
        return Err(Refused::denied(format!("this token does not let you publish to the topic '{topic}'")));
    }
    let names = form.names(&mercure.state.settings.expected.hub, mercure.hub.epoch())?;
    let events = events(&form, &names, &head)?;
    // The credential may have expired while the body was read.
    caller.authorization.renew(&mercure.policies)?;
    let key = idempotency_key(&head, &caller, &body)?;
    let allowance = Quota { caller: &caller, hub: &mercure.hub };
    let admitted = mercure.publisher.admit(events, None, &allowance).map_err(Problem::from)?;
    let acknowledgments = mercure.publisher.publish(admitted, key).await.map_err(Problem::from)?;
    drop(permit);
    let last =
        acknowledgments.as_slice().last().map(|last| EventId { epoch: last.receipt.epoch, seq: last.receipt.seq });
    let id = match (names.id, last) {
        (Some(id), _) => id.to_owned(),
        (None, Some(last)) => UPDATE_IDS.text(last),
        (None, None) => unreachable!("an update has a topic, and each event is acknowledged"),
    };
    let mut response = Response::new(full(id));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// One event for each topic. They share their data.
fn events(form: &UpdateForm<'_>, names: &UpdateNames<'_>, head: &Parts) -> Result<Vec<NewEvent>, Problem> {
    let audience = if form.private { Audience::Private } else { Audience::Public };
    let data = Data::from(&*form.data);
    let traceparent = trace_context::of(&head.headers).map(std::sync::Arc::new);
    let topics: Vec<&str> = form.topics.iter().map(|topic| &**topic).collect();
    let event = |place: usize| {
        let topic = log_topic(topics[place], audience)?;
        let needs_note = topics.len() > 1 || names.id.is_some() || is_hashed(&topic);
        let note = needs_note.then(|| UpdateNote { topics: topics.clone(), place, id: names.id }.metadata());
        let metadata = note.transpose().map_err(|error| Problem::new(Code::TooLarge, error.to_string()))?;
        let new = NewEvent::new(topic, data.clone());
        Ok(NewEvent { name: names.kind.clone(), retry: form.retry, traceparent: traceparent.clone(), metadata, ..new })
    };
    (0..topics.len()).map(event).collect()
}

/// The key of a request that has the header `Idempotency-Key`, which is an addition to the protocol.
fn idempotency_key(head: &Parts, caller: &Caller, body: &[u8]) -> Result<Option<IdempotencyKey>, Problem> {
    let Some(value) = headers::one(&head.headers, &HeaderName::from_static("idempotency-key"))? else {
        return Ok(None);
    };
    if value.is_empty() || value.len() > 255 {
        return Err(Problem::new(Code::HeaderInvalid, "Idempotency-Key must have from 1 to 255 bytes"));
    }
    let holder = caller.authorization.holder().unwrap_or_default();
    let named = [b"mercure\0", holder.as_bytes(), b"\0", value.as_bytes()].concat();
    let half = |hash: [u8; 32]| *hash.first_chunk::<16>().expect("32 bytes");
    let (key, fingerprint) = (half(access::sha256(&named)), half(access::sha256(body)));
    Ok(Some(IdempotencyKey { key, fingerprint, owner: caller.quotas.owner }))
}

/// What a publisher is charged. Its grant was checked before.
struct Quota<'a> {
    caller: &'a Caller,
    hub: &'a Hub,
}

impl Allowance for Quota<'_> {
    type Refusal = Problem;

    fn charge(&self, events: &[NewEvent]) -> Result<(), Problem> {
        Ok(self.caller.quotas.publish(self.hub, events)?)
    }
}
