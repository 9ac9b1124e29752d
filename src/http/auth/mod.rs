//! Authentication and authorization of a request.
//!
//! | module | idea |
//! |---|---|
//! | this file | [`Caller`]: the authenticated sender of a request |
//! | [`credential`] | where a request carries its credential, and which one counts |
//! | [`policy`] | the settings that a reload can change |
//! | [`forwarded`] | the client's address behind trusted proxies |
//! | [`cors`] | cross-origin requests |
//! | [`origin`] | the origin of the requesting page, and the name used for the hub |
//! | [`credential_cache`] | credentials that a core has authenticated |
//! | [`shared_cache`] | credentials that any core has authenticated |
//! | [`quotas`] | the accounts that a caller's usage is charged to |
//! | [`authorization`] | what a caller may do, while its credential is valid |

use std::sync::Arc;

use http::request::Parts;

use super::{
    api::state::ShardState,
    message::problem::{Code, Problem},
    net::peer::{AdminListener, ListenerRole, Peer},
};
use crate::{access::Refusal, quota};

pub mod authorization;
pub mod cors;
pub mod credential;
pub mod credential_cache;
pub mod forwarded;
pub mod origin;
pub mod policy;
pub mod quotas;
pub mod shared_cache;

pub use authorization::Authorization;
use credential::Action;
use origin::RequestOrigin;
pub use quotas::{CallerQuotas, StreamPermits};

/// The sender of a request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Its permissions.
    pub authorization: Authorization,
    /// The accounts that its usage is charged to.
    pub quotas: CallerQuotas,
}

impl Caller {
    /// Authenticates the sender of a request with this head.
    ///
    /// # Errors
    /// When the request's `Host` or `Origin` is not permitted, or its credential is not valid.
    pub fn of(shard: &ShardState, head: &Parts) -> Result<Self, Problem> {
        let policy = shard.credentials.policy(&shard.app.policies);
        let peer = head.extensions.get::<Peer>().expect("every connection inserts its peer");
        let client = policy.proxies.client(peer.address.ip(), &head.headers);
        let address = shard.app.quotas.address(client);
        let no_auth =
            peer.listener == ListenerRole::Operators && shard.app.operators == AdminListener::SeparateUnauthenticated;
        if policy.loopback_names || no_auth {
            check_host(head)?;
        }
        let action = Action::of(&head.method, head.uri.path());
        let origin = RequestOrigin::of(&head.headers, &head.uri, peer.secure, &policy.cors)?;
        let asked = !policy.access.is_open() && !no_auth;
        let credential =
            asked.then(|| credential::find(&policy.places, action, &head.headers, &head.uri)).transpose()?.flatten();
        origin.check(action, credential.as_ref().map(|(_, carrier)| *carrier), &policy.cors)?;
        let principal = match credential {
            None if no_auth => Arc::clone(policy.access.operator()),
            None => Arc::clone(policy.access.anonymous()),
            Some((token, _)) => shard.credentials.authenticate(
                &policy,
                shard.app.policies.shared_cache(),
                &address,
                token.as_bytes(),
            )?,
        };
        let owner = quota::owner(principal.holder.as_deref(), client);
        let holder = principal.holder.as_deref().map(|holder| shard.app.quotas.holder(holder));
        Ok(Self {
            authorization: Authorization::new(&principal, shard.credentials.generation()),
            quotas: CallerQuotas { address, holder, owner },
        })
    }
}

/// A listener of the loopback without credentials accepts only `Host` names of the loopback: through DNS rebinding a
/// browser on this machine could reach it for pages of other sites.
fn check_host(head: &Parts) -> Result<(), Problem> {
    match origin::host(&head.headers, &head.uri)? {
        Some(host) if !origin::is_loopback(host) => Err(Problem::new(
            Code::HostUnknown,
            "without credentials this hub accepts only localhost as its Host; configure credentials, or use --open behind a proxy",
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
