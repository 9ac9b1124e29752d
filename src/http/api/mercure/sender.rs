//! Who sends a request of Mercure: the token that it carries, and what that grants.
//!
//! The header `Authorization`, else `?authorization=` (dialect 0, to read), else a cookie. A token that is there and not
//! valid is an error, never none.

use std::{borrow::Cow, sync::Arc};

use http::{header, request::Parts};

use super::{
    claims::MercureGrant,
    form,
    settings::{Challenge, MercureSettings},
};
use crate::{
    access::{Grant, Principal, TokenIdentity, signed::SignedTokens},
    event::Filter,
    http::{
        api::mercure_log::log_topic::{PRIVATE, PUBLIC},
        auth::{
            Caller,
            authenticator::{Authenticator, UnauthenticatedSender},
            authorization,
            credential::{self, Action, Carrier},
        },
        message::{
            headers,
            problem::{Code, Problem},
        },
    },
};

/// The name of the protocol among the issuers of holders' tokens.
const HOLDERS: &str = "the protocol mercure";

/// The cookies that may carry a token, of dialect 1 and of dialect 0.
pub const COOKIES: [&str; 2] = ["__Secure-mercure_access_token", "mercureAuthorization"];

/// What a request is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To publish.
    Publish,
    /// To read updates.
    Subscribe,
    /// To read which subscriptions are active, which nobody may without a token.
    ListSubscriptions,
}

/// A refused request, and what it is challenged with.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub problem: Problem,
    /// The challenge of a 401 or 403.
    pub challenge: Option<Challenge>,
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self { problem, challenge: None }
    }
}

impl Refused {
    /// 401: the request needs a token and has none.
    fn missing(detail: &'static str) -> Self {
        Self { problem: Problem::missing_credential(detail), challenge: Some(Challenge::Missing) }
    }

    /// 401: the token of the request is not valid.
    fn invalid(problem: Problem) -> Self {
        Self { problem, challenge: Some(Challenge::InvalidToken) }
    }

    /// 403: the token of the request does not permit this.
    pub fn denied(detail: String) -> Self {
        Self { problem: Problem::forbidden(detail), challenge: Some(Challenge::InsufficientScope) }
    }
}

/// Authenticates the sender of a request.
///
/// # Errors
/// When its token is missing or not valid, or its page may not do this.
pub fn authenticate(
    settings: &MercureSettings,
    authenticator: &Authenticator,
    head: &Parts,
    purpose: Purpose,
) -> Result<(Caller, MercureGrant), Refused> {
    let sender = authenticator.sender(head)?;
    let Some((token, carrier)) = find(head, purpose)? else {
        return match purpose {
            Purpose::Publish => Err(Refused::missing("to publish needs a token; send 'Authorization: Bearer TOKEN'")),
            Purpose::Subscribe if !settings.anonymous => {
                Err(Refused::missing("to subscribe needs a token; send 'Authorization: Bearer TOKEN', or the cookie"))
            }
            Purpose::Subscribe => Ok((caller(&sender, None, None), MercureGrant::default())),
            Purpose::ListSubscriptions => {
                let detail = "to see subscriptions needs a token; send 'Authorization: Bearer TOKEN', or the cookie";
                Err(Refused::missing(detail))
            }
        };
    };
    let keys = match purpose {
        Purpose::Publish => settings.publishers.as_ref(),
        Purpose::Subscribe | Purpose::ListSubscriptions => settings.subscribers.as_ref(),
    };
    let Some(keys) = keys else {
        let detail = "this hub has no key for subscribers' tokens (mercure.subscriber_key); send none";
        return Err(Refused::invalid(Problem::unauthorized(detail)));
    };
    if carrier == Carrier::Cookie && purpose == Purpose::Publish {
        let check = sender.origin.check(Action::Change, Some(carrier), &authenticator.policy().cors);
        check.map_err(|problem| Problem::new(Code::HeaderInvalid, problem.detail))?;
    }
    let (grant, expires, identity) = verify(settings, keys, authenticator, &sender, &token, carrier)?;
    Ok((caller(&sender, expires, Some(identity)), grant))
}

fn verify(
    settings: &MercureSettings,
    keys: &SignedTokens,
    authenticator: &Authenticator,
    sender: &UnauthenticatedSender,
    token: &str,
    carrier: Carrier,
) -> Result<(MercureGrant, Option<u64>, TokenIdentity), Refused> {
    sender.address.may_try_credential().map_err(Problem::from)?;
    let access = &authenticator.policy().access;
    let check = || {
        let signed = keys.verify(token.as_bytes(), access.leeway(), authorization::now()).map_err(Problem::from)?;
        if access.is_revoked(&signed.identity) {
            return Err(Problem::unauthorized("the token has been revoked by this hub's operator; get a new one"));
        }
        if carrier == Carrier::Query && signed.claims.contains_key("authorization_details") {
            return Err(Problem::unauthorized(
                "a token of dialect 1 is not accepted in the query; send it in a header",
            ));
        }
        let (kind, expected) = (signed.kind.as_deref(), &settings.expected);
        let grant = MercureGrant::read(kind, &signed.claims, expected, settings.subscriptions)
            .map_err(|wrong| Problem::unauthorized(format!("the token {wrong}")))?;
        if signed.expires.is_none() {
            settings.note_unending_token();
        }
        Ok((grant, signed.expires, signed.identity))
    };
    check().map_err(|problem| {
        sender.address.bad_credential();
        Refused::invalid(problem)
    })
}

/// The caller, who may read the topics of Mercure and publishes by another check.
fn caller(sender: &UnauthenticatedSender, expires: Option<u64>, token: Option<TokenIdentity>) -> Caller {
    let filter = |prefix: &str| Filter::new(&format!("{prefix}*")).expect("a pattern");
    let grant = Grant { subscribe: vec![filter(PUBLIC), filter(PRIVATE)], ..Grant::default() };
    sender.caller(&Arc::new(Principal::of_protocol(HOLDERS, grant, expires, token)))
}

fn find(head: &Parts, purpose: Purpose) -> Result<Option<(Cow<'_, str>, Carrier)>, Refused> {
    if let Some(value) = headers::one(&head.headers, &header::AUTHORIZATION)? {
        let token = credential::bearer(value).map_err(|problem| Problem::new(Code::HeaderInvalid, problem.detail))?;
        return Ok(Some((token.into(), Carrier::Header)));
    }
    if purpose != Purpose::Publish {
        let query = head.uri.query().unwrap_or_default().as_bytes();
        let mut tokens = form::pairs(query).filter(|(key, _)| key == "authorization");
        if let Some((key, value)) = tokens.next() {
            let token = value.text(&key)?;
            let valid = credential::is_token(&token) && tokens.next().is_none();
            let problem =
                || Problem::unauthorized("the query's authorization is malformed, or came twice; send it once");
            return if valid { Ok(Some((token, Carrier::Query))) } else { Err(Refused::invalid(problem())) };
        }
    }
    for name in COOKIES {
        if let Some(token) = credential::cookie(&head.headers, name).map_err(Refused::invalid)? {
            return Ok(Some((token.into(), Carrier::Cookie)));
        }
    }
    Ok(None)
}
