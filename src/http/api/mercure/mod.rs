//! Mercure (<https://mercure.rocks>) as a front end of the log: both dialects of its wire protocol at one path.
//!
//! Dialect 0 is what hubs before 1.0 speak (`topic=`, the claim `mercure`), dialect 1 is that of 1.0 (`match=`, access
//! tokens). What a request says decides which it is, not a setting.
//!
//! | module | idea |
//! |---|---|
//! | this file | answers the requests of the protocol's paths |
//! | [`settings`], [`state`], [`context`] | how the operator has set it up; what the requests of a core share |
//! | [`sender`], [`claims`] | who sends a request; what a token permits |
//! | [`publish`], [`update_form`], [`topic_rules`] | a publish; its body; what a topic may be called |
//! | [`subscribe`], [`subscribe_query`] | a subscription, and its parameters |
//! | [`selector`], [`uri_template`], [`url_pattern`] | which topics are meant; patterns, matched in linear time |
//! | [`delivery`] | which updates a stream is sent |
//! | [`resume`], [`publisher_ids`] | where a stream begins; where ids of publishers are in the log |
//! | [`subscriptions`], [`payloads`] | which subscriptions are active, and who is told; what tokens say of them |
//! | [`subscription_api`] | answers a request for them |
//! | [`discovery`] | what a client needs to know before it has a token |
//! | [`guard`] | what other protocols may not do to its topics |
//! | [`form`] | the pairs of a form |

use bytes::Bytes;
use http::{Method, Request, header};

use self::{
    context::MercureContext,
    sender::Refused,
    settings::{DISCOVERY_PATH, MercureSettings},
    subscriptions::collection::SUBSCRIPTIONS_PATH,
};
use crate::http::{
    message::problem::{Code, Problem},
    net::response::Response,
};

pub mod claims;
pub mod context;
pub mod delivery;
pub mod discovery;
pub mod form;
pub mod guard;
pub mod payloads;
pub mod publish;
pub mod publisher_ids;
pub mod resume;
pub mod selector;
pub mod sender;
pub mod settings;
pub mod state;
pub mod subscribe;
pub mod subscribe_query;
pub mod subscription_api;
pub mod subscriptions;
pub mod topic_rules;
pub mod update_form;
pub mod uri_template;
pub mod url_pattern;

/// The methods of the hub's path, as the routing table has them. A hub that is set up for one of two has fewer.
pub const METHODS: &str = "GET, HEAD, POST, QUERY, OPTIONS";

/// The methods of the paths by which clients find out what they need, and who has subscribed.
pub const READING_METHODS: &str = "GET, HEAD, OPTIONS";

/// Answers a request for a path of the protocol.
///
/// # Errors
/// A problem that says why it is refused, if it needs no header of the protocol.
pub async fn handle<B>(context: MercureContext<'_>, request: Request<B>) -> Result<Response, Problem>
where
    B: http_body::Body<Data = Bytes>,
{
    let settings = &context.mercure.state.settings;
    if request.uri().path() == DISCOVERY_PATH {
        return Ok(discovery::document(settings));
    }
    if request.uri().path().starts_with(SUBSCRIPTIONS_PATH) {
        let Some(registry) = &context.mercure.state.subscriptions else {
            return Err(Problem::new(Code::NotFound, "this hub does not tell subscriptions (mercure.subscriptions)"));
        };
        let answered = subscription_api::handle(context, registry, request).await;
        return answered.or_else(|refused| challenged(context, settings, refused));
    }
    let methods = settings.methods();
    if !methods.split(", ").any(|method| method == request.method().as_str()) {
        return Err(Problem::method_not_allowed(methods));
    }
    let answered = if request.method() == Method::POST {
        publish::handle(context, request).await
    } else {
        subscribe::handle(context, request).await
    };
    answered.or_else(|refused| challenged(context, settings, refused))
}

/// The response to a refused request, with its challenge.
fn challenged(context: MercureContext<'_>, settings: &MercureSettings, refused: Refused) -> Result<Response, Problem> {
    let Refused { problem, challenge: Some(challenge) } = refused else { return Err(refused.problem) };
    context.scope.set_problem(problem.code.as_str());
    let mut response = problem.into_response(&context.scope.id, context.mercure.hub.stats());
    response.headers_mut().insert(header::WWW_AUTHENTICATE, settings.challenge(challenge));
    Ok(response)
}
