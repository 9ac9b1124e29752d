//! Authentication: finds the [`Caller`] of a request.

use std::{net::IpAddr, sync::Arc};

use http::request::Parts;

use super::{
    Authorization, Caller, CallerQuotas,
    admin_listener::AdminListener,
    credential::{self, Action},
    credential_cache::{CredentialCache, SharedLevel},
    origin::{self, RequestOrigin},
    policy::{Policies, Policy},
};
use crate::{
    access::Principal,
    http::{
        message::problem::{Code, Problem},
        net::peer::{ListenerRole, Peer},
    },
    quota::{self, Account, ConnectionPermit, Exceeded, Quotas},
};

/// What authenticates requests on all cores.
#[derive(Debug)]
pub struct AuthState {
    /// The settings that a reload can change.
    pub policies: Arc<Policies>,
    /// What each address and each holder has open and has used.
    pub quotas: Quotas,
    /// The listener that serves statistics and metrics.
    pub operators: AdminListener,
    /// The credentials that any core has authenticated.
    pub credentials: Arc<SharedLevel>,
}

/// The sender of a request, before its credential is known.
#[derive(Debug)]
pub struct UnauthenticatedSender {
    /// The account of the client's address.
    pub address: Arc<Account>,
    /// The page that it is of.
    pub origin: RequestOrigin,
    client: IpAddr,
    generation: u64,
    shared: Arc<AuthState>,
}

impl UnauthenticatedSender {
    /// The sender as a caller who is `principal`.
    #[must_use]
    pub fn caller(&self, principal: &Arc<Principal>) -> Caller {
        let owner = quota::owner(principal.holder.as_deref(), self.client);
        let holder = principal.holder.as_deref().map(|holder| self.shared.quotas.holder(holder));
        Caller {
            authorization: Authorization::new(principal, self.generation),
            quotas: CallerQuotas { address: Arc::clone(&self.address), holder, owner },
        }
    }
}

/// Authenticates the requests of one core. It has no locks of its own: a connection stays on its core.
#[derive(Debug)]
pub struct Authenticator {
    shared: Arc<AuthState>,
    credentials: CredentialCache,
}

impl AuthState {
    /// Whether this listener serves what operators read: statistics and metrics.
    #[must_use]
    pub fn serves_operators(&self, listener: ListenerRole) -> bool {
        listener == ListenerRole::Operators || self.operators == AdminListener::Shared
    }

    /// Whether requests to this listener need no credential.
    #[must_use]
    pub fn is_unauthenticated(&self, listener: ListenerRole) -> bool {
        listener == ListenerRole::Operators && self.operators == AdminListener::SeparateUnauthenticated
    }
}

impl Authenticator {
    /// The authenticator of a core, without cached credentials.
    #[must_use]
    pub fn new(shared: Arc<AuthState>) -> Self {
        let credentials = CredentialCache::new(Arc::clone(&shared.policies), Arc::clone(&shared.credentials));
        Self { shared, credentials }
    }

    /// The current policy.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        self.credentials.policy()
    }

    /// The permit of a connection in its address's quota; none for a trusted proxy, whose connections carry other
    /// clients.
    ///
    /// # Errors
    /// When the address has as many connections as it may.
    pub fn connect(&self, address: IpAddr) -> Result<Option<ConnectionPermit>, Exceeded> {
        let proxy = self.policy().proxies.trusts(address);
        if proxy { Ok(None) } else { self.shared.quotas.address(address).connect().map(Some) }
    }

    /// The sender of a request of a protocol that has credentials of its own.
    ///
    /// # Errors
    /// When the request's `Host` or `Origin` is not permitted.
    ///
    /// # Panics
    /// When the request has no [`Peer`] among its extensions.
    pub fn sender(&self, head: &Parts) -> Result<UnauthenticatedSender, Problem> {
        let policy = self.policy();
        let peer = head.extensions.get::<Peer>().expect("every connection inserts its peer");
        let client = policy.proxies.client(peer.address.ip(), &head.headers);
        if policy.loopback_names {
            check_host(head)?;
        }
        let origin = RequestOrigin::of(&head.headers, &head.uri, peer.secure, &policy.cors)?;
        let address = self.shared.quotas.address(client);
        Ok(UnauthenticatedSender {
            address,
            origin,
            client,
            generation: self.credentials.generation(),
            shared: Arc::clone(&self.shared),
        })
    }

    /// Authenticates the sender of a request with this head.
    ///
    /// # Errors
    /// When the request's `Host` or `Origin` is not permitted, or its credential is not valid.
    ///
    /// # Panics
    /// When the request has no [`Peer`] among its extensions.
    pub fn caller(&self, head: &Parts) -> Result<Caller, Problem> {
        let quotas = &self.shared.quotas;
        let policy = self.policy();
        let peer = head.extensions.get::<Peer>().expect("every connection inserts its peer");
        let client = policy.proxies.client(peer.address.ip(), &head.headers);
        let address = quotas.address(client);
        let no_auth = self.shared.is_unauthenticated(peer.listener);
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
            Some((token, _)) => self.credentials.authenticate(&policy, &address, token.as_bytes())?,
        };
        let owner = quota::owner(principal.holder.as_deref(), client);
        let holder = principal.holder.as_deref().map(|holder| quotas.holder(holder));
        Ok(Caller {
            authorization: Authorization::new(&principal, self.credentials.generation()),
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
