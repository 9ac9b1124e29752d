//! Who makes a request, and what that opens.
//!
//! | room | idea |
//! |---|---|
//! | this file | a request into a [`Caller`] |
//! | [`credential`] | where a request carries its credential, and which one counts |
//! | [`origin`] | which page's site asks, and by which name |
//! | [`credential_cache`] | credentials that a core has found good |
//! | [`shared_cache`] | those that any core has found good |
//! | [`quotas`] | what a visitor uses up, and of which limits |
//! | [`authorization`] | what a visitor may do, for as long as the credential is good |

use std::sync::Arc;

use http::request::Parts;

use super::{
    ShardState,
    peer::{AdminListener, ListenerRole, Peer},
    problem::{Code, Problem},
    quota,
};
use crate::access::Refusal;

pub mod authorization;
pub mod credential;
pub mod credential_cache;
pub mod origin;
pub mod quotas;
pub mod shared_cache;

pub use authorization::Authorization;
use credential::Action;
use origin::RequestOrigin;
pub use quotas::{CallerQuotas, StreamPermits};

/// Who makes a request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// What it may do.
    pub authorization: Authorization,
    /// What it may use.
    pub quotas: CallerQuotas,
}

impl Caller {
    /// Who sends `head`.
    ///
    /// # Errors
    /// When a page of another site asks for what it must not have, or the credential is not good.
    pub fn of(shard: &ShardState, head: &Parts) -> Result<Self, Problem> {
        let policy = shard.credentials.policy(&shard.app.policies);
        let peer = head.extensions.get::<Peer>().expect("every connection says who is there");
        let client = policy.proxies.client(peer.address.ip(), &head.headers);
        let address = shard.app.quotas.address(client);
        let free = peer.side == ListenerRole::Operators && shard.app.operators == AdminListener::ApartFree;
        if policy.loopback_names || free {
            check_name(head)?;
        }
        let act = Action::of(&head.method, head.uri.path());
        let site = RequestOrigin::of(&head.headers, &head.uri, peer.secure, &policy.cors)?;
        let asked = !policy.access.is_open() && !free;
        let shown =
            asked.then(|| credential::find(&policy.places, act, &head.headers, &head.uri)).transpose()?.flatten();
        site.check(act, shown.as_ref().map(|(_, carrier)| *carrier), &policy.cors)?;
        let pass = match shown {
            None if free => Arc::clone(policy.access.operator()),
            None => Arc::clone(policy.access.anonymous()),
            Some((token, _)) => {
                shard.credentials.authenticate(&policy, shard.app.policies.seen(), &address, token.as_bytes())?
            }
        };
        let owner = quota::owner(pass.holder.as_deref(), client);
        let holder = pass.holder.as_deref().map(|holder| shard.app.quotas.holder(holder));
        Ok(Self {
            authorization: Authorization::new(&pass, shard.credentials.generation()),
            quotas: CallerQuotas { address, holder, owner },
        })
    }
}

/// An address that lets in whoever reaches the loopback is asked by the loopback's names only: a browser on this machine reaches it
/// for any page whose name leads here.
fn check_name(head: &Parts) -> Result<(), Problem> {
    match origin::host(&head.headers, &head.uri)? {
        Some(host) if !origin::is_loopback(host) => Err(Problem::new(
            Code::HostUnknown,
            "without credentials this hub answers to localhost only; behind a proxy say --open, or configure credentials",
        )),
        _ => Ok(()),
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        if refusal.is_transient() { Self::new(Code::KeysUnavailable, detail) } else { Self::unauthorized(detail) }
    }
}
