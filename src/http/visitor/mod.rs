//! Who makes a request, and what that opens.
//!
//! | room | idea |
//! |---|---|
//! | this file | a request into a [`Visitor`] |
//! | [`credential`] | where a request carries its credential, and which one counts |
//! | [`site`] | which page's site asks, and by which name |
//! | [`passes`] | credentials that a core has found good |
//! | [`seen`] | those that any core has found good |
//! | [`means`] | what a visitor uses up, and of which limits |
//! | [`right`] | what a visitor may do, for as long as the credential is good |

use std::sync::Arc;

use http::request::Parts;

use super::{
    Core,
    peer::{Operators, Peer, Side},
    problem::{Code, Problem},
    quota,
};
use crate::access::Refusal;

pub mod credential;
pub mod means;
pub mod passes;
pub mod right;
pub mod seen;
pub mod site;

use credential::Act;
pub use means::{Means, Seats};
pub use right::Right;
use site::Site;

/// Who makes a request.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// What it may do.
    pub right: Right,
    /// What it may use.
    pub means: Means,
}

impl Visitor {
    /// Who sends `head`.
    ///
    /// # Errors
    /// When a page of another site asks for what it must not have, or the credential is not good.
    pub fn of(core: &Core, head: &Parts) -> Result<Self, Problem> {
        let policy = core.passes.policy(&core.door.policies);
        let peer = head.extensions.get::<Peer>().expect("every connection says who is there");
        let client = policy.proxies.client(peer.address.ip(), &head.headers);
        let address = core.door.quotas.address(client);
        let free = peer.side == Side::Operators && core.door.operators == Operators::ApartFree;
        if policy.loopback_names || free {
            check_name(head)?;
        }
        let act = Act::of(&head.method, head.uri.path());
        let site = Site::of(&head.headers, &head.uri, peer.secure, &policy.cors)?;
        let asked = !policy.access.is_open() && !free;
        let shown =
            asked.then(|| credential::find(&policy.places, act, &head.headers, &head.uri)).transpose()?.flatten();
        site.check(act, shown.as_ref().map(|(_, carrier)| *carrier), &policy.cors)?;
        let pass = match shown {
            None if free => Arc::clone(policy.access.operator()),
            None => Arc::clone(policy.access.anonymous()),
            Some((token, _)) => core.passes.judge(&policy, core.door.policies.seen(), &address, token.as_bytes())?,
        };
        let owner = quota::owner(pass.holder.as_deref(), client);
        let holder = pass.holder.as_deref().map(|holder| core.door.quotas.holder(holder));
        Ok(Self { right: Right::new(&pass, core.passes.generation()), means: Means { address, holder, owner } })
    }
}

/// An address that lets in whoever reaches the loopback is asked by the loopback's names only: a browser on this machine reaches it
/// for any page whose name leads here.
fn check_name(head: &Parts) -> Result<(), Problem> {
    match site::host(&head.headers, &head.uri)? {
        Some(host) if !site::is_loopback(host) => Err(Problem::new(
            Code::HostUnknown,
            "without credentials this hub answers to localhost only; behind a proxy say --open, or configure credentials",
        )),
        _ => Ok(()),
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        if refusal.passes() { Self::new(Code::KeysUnavailable, detail) } else { Self::unauthorized(detail) }
    }
}
