//! `/relay/NAME/…`: the provider's own path, as its SDK calls it.

use bytes::Bytes;
use http::{HeaderValue, Uri, header, request::Parts};

use super::{
    account,
    answer::{self, ReadOptions},
    generation::{self, GenerationHeaders, GenerationRequest},
    pass_through, refusal,
    responses::{self, ResponseRequest},
    state::RelayState,
};
use crate::{
    http::{
        api::{admission, request_log::RequestScope},
        auth::Caller,
        message::{
            problem::{Code, Problem},
            query::Query,
        },
        net::response::Response,
    },
    relay::{
        dialect::{Dialect, EndpointKind, GenerationApi, RequestFacts, whole_answer_api},
        format::{Format, RawShape},
        provider::Provider,
        upstream::UpstreamRequest,
    },
};

/// The prefix of the paths.
const PREFIX: &str = "/relay/";

/// The query key that may carry the hub's token on every route.
const ACCESS_TOKEN: &str = "access_token";

/// A path below `/relay/`: the provider's name, and the provider's own path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayPath<'p> {
    /// The provider's name.
    pub provider: &'p str,
    /// The path at the provider, with its leading `/`.
    pub path: &'p str,
}

impl<'p> RelayPath<'p> {
    /// Takes a path of this route apart.
    #[must_use]
    pub fn of(path: &'p str) -> Option<Self> {
        let rest = path.strip_prefix(PREFIX)?;
        let slash = rest.find('/')?;
        Some(Self { provider: &rest[..slash], path: &rest[slash..] })
    }
}

/// Puts the hub's token where the hub looks for it: SDKs send it as they send the provider's key.
pub fn move_token(dialect: &dyn Dialect, head: &mut Parts) {
    if head.headers.contains_key(header::AUTHORIZATION) {
        return;
    }
    let in_header = dialect.token_header().and_then(|name| head.headers.remove(name));
    let in_query = || {
        let query = Query::new(head.uri.query());
        let token = query.one(dialect.token_parameter()?).ok()??;
        HeaderValue::from_str(token).ok()
    };
    let Some(token) = in_header.or_else(in_query) else { return };
    let mut bearer = b"Bearer ".to_vec();
    bearer.extend_from_slice(token.as_bytes());
    if let Ok(mut bearer) = HeaderValue::from_bytes(&bearer) {
        bearer.set_sensitive(true);
        head.headers.insert(header::AUTHORIZATION, bearer);
    }
}

/// Answers a request of an SDK. Its token is where [`move_token`] puts it, and `caller` is what it is worth. Every refusal
/// has the shape of the dialect.
///
/// # Errors
/// When there is no such provider.
pub async fn handle<B>(
    state: &RelayState,
    scope: &RequestScope,
    caller: Result<Caller, Problem>,
    head: Parts,
    body: B,
) -> Result<Response, Problem>
where
    B: http_body::Body<Data = Bytes>,
{
    let path = RelayPath::of(head.uri.path()).ok_or_else(|| Problem::new(Code::NotFound, "name a provider's path"))?;
    let provider = state.provider(path.provider)?;
    let (dialect, path) = (provider.dialect, path.path.to_owned());
    let responded = match caller {
        Ok(caller) => {
            scope.set_holder(caller.authorization.holder());
            respond(state, scope, provider, caller, &path, head, body).await
        }
        Err(problem) => {
            state.bodies.discard(&head.headers, body).await;
            Err(problem)
        }
    };
    Ok(responded.unwrap_or_else(|problem| {
        tracing::debug!(code = problem.code.as_str(), "refused a request to a provider");
        refusal::in_dialect(dialect, problem, &scope.id, state.stream.hub.stats())
    }))
}

async fn respond<B>(
    state: &RelayState,
    scope: &RequestScope,
    provider: std::sync::Arc<Provider>,
    caller: Caller,
    path: &str,
    head: Parts,
    body: B,
) -> Result<Response, Problem>
where
    B: http_body::Body<Data = Bytes>,
{
    if let Some(asked) = ResponseRequest::of(state, &provider, &head, path)? {
        state.bodies.discard(&head.headers, body).await;
        return responses::respond(state, scope, caller, asked).await;
    }
    let kind = provider.dialect.endpoint(&head.method, path, &RequestFacts::default());
    let admitted = admission::admit(&state.stream.drain, &head.extensions).and_then(|()| {
        caller.authorization.relay_some(&provider.name)?;
        responses::permit(state, &provider, &caller, path)?;
        if matches!(kind, EndpointKind::Closed) && !provider.opens(path) {
            Err(closed(&provider, path))
        } else {
            Ok(())
        }
    });
    if let Err(problem) = admitted {
        state.bodies.discard(&head.headers, body).await;
        return Err(problem);
    }
    let most = state.shard()?.relay.limits.request_bytes;
    let (body, permit) = state.bodies.read(&caller.quotas, &head.headers, body, most).await?;
    let facts = facts(kind, &body)?;
    let kind = provider.dialect.endpoint(&head.method, path, &facts);
    let headers = GenerationHeaders::of(&head.headers)?;
    let api = match kind {
        EndpointKind::Stream(api) => Some(api),
        // So that a retry is not a second answer.
        EndpointKind::Answer if headers.has_key() => Some(whole_answer_api(provider.dialect)),
        EndpointKind::Answer | EndpointKind::PassThrough | EndpointKind::Closed => None,
    };
    let model = provider.dialect.model_in_path(path).map(Into::into).or(facts.model);
    match (kind, &model) {
        // What names no model and is no generation costs nothing by itself.
        (EndpointKind::PassThrough, None) => {}
        // The operator has opened it.
        (EndpointKind::Closed, None) => caller.authorization.relay(&provider.name, None)?,
        _ => generation::authorize(&caller, &provider, model.as_deref())?,
    }
    let target = |streaming| target(path, &head.uri, provider.dialect, streaming);
    let upstream = |streaming| UpstreamRequest {
        method: head.method.clone(),
        target: target(streaming),
        headers: head.headers.clone(),
        body: body.clone(),
    };
    let Some(api) = api else {
        // It costs what a stream costs.
        let account = matches!(kind, EndpointKind::Answer).then(|| account::of(&caller)).transpose()?;
        return pass_through::respond(state, &provider, upstream(false), permit, account).await;
    };
    let request = GenerationRequest {
        api,
        model: model.unwrap_or_default(),
        topic: headers.topic.clone(),
        upstream: upstream(!api.is_whole()),
        memory: permit,
        at_once: false,
        on_disconnect: provider.on_disconnect,
        provider,
    };
    let raw = raw_shape(api, &head.uri)?;
    let joined = generation::join(state, &caller, request, headers).await?;
    let options = ReadOptions { format: Format::Raw, raw, after: joined.after, ..ReadOptions::default() };
    answer::begun(state, scope, caller, &joined.run, options).await
}

/// What the body says of the generation. Of what the operator has opened nothing must be known.
fn facts(kind: EndpointKind, body: &[u8]) -> Result<RequestFacts, Problem> {
    match (RequestFacts::read(body), kind) {
        (Ok(facts), _) => Ok(facts),
        (Err(_), EndpointKind::Closed) => Ok(RequestFacts::default()),
        (Err(_), EndpointKind::PassThrough) if body.is_empty() => Ok(RequestFacts::default()),
        // A provider could read another model in it.
        (Err(error), EndpointKind::Stream(_) | EndpointKind::Answer | EndpointKind::PassThrough) => {
            Err(Problem::new(Code::BodyInvalid, error.to_string()))
        }
    }
}

fn closed(provider: &Provider, path: &str) -> Problem {
    let detail = format!(
        "the hub does not pass {} on to '{}'; an operator can open it with relay.providers.{}.endpoints",
        path.escape_debug(),
        provider.name,
        provider.name
    );
    Problem::forbidden(detail)
}

/// The path and query for the provider: without credentials, and for a stream with what makes it one.
fn target(path: &str, uri: &Uri, dialect: &dyn Dialect, streaming: bool) -> String {
    let is_token = |key: &str| key == ACCESS_TOKEN || Some(key) == dialect.token_parameter();
    let forced = dialect.streaming_query().filter(|_| streaming);
    let forced_key = forced.and_then(|pair| pair.split('=').next());
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let kept = pairs.filter(|pair| {
        let key = percent_encoding::percent_decode_str(pair.split('=').next().unwrap_or_default()).decode_utf8_lossy();
        !is_token(&key) && Some(&*key) != forced_key
    });
    let query: Vec<&str> = kept.chain(forced).collect();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
}

/// Whether the client reads a stream, or one JSON array.
fn raw_shape(api: &dyn GenerationApi, uri: &Uri) -> Result<RawShape, Problem> {
    let Some(pair) = api.dialect().streaming_query() else { return Ok(RawShape::Stream) };
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    let query = Query::new(uri.query());
    Ok(if query.one(key)? == Some(value) { RawShape::Stream } else { RawShape::JsonArray })
}
