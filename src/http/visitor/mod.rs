//! Who makes a request, and what that opens.
//!
//! | room | idea |
//! |---|---|
//! | this file | a request into a [`Visitor`] |
//! | [`credential`] | where a request carries its credential, and which one counts |
//! | [`site`] | which page's site asks, and by which name |
//! | [`passes`] | credentials that a core has found good |
//! | [`right`] | what a visitor may do, for as long as the credential is good |

use http::request::Parts;

use super::{
    Core,
    policy::Policy,
    problem::{Code, Problem},
};
use crate::access::Refusal;

pub mod credential;
pub mod passes;
pub mod right;
pub mod site;

use credential::Act;
pub use right::Right;
use site::Site;

/// Who makes a request.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// What it may do.
    pub right: Right,
}

impl Visitor {
    /// Who sends `head`.
    ///
    /// # Errors
    /// When a page of another site asks for what it must not have, or the credential is not good.
    pub fn of(core: &Core, head: &Parts) -> Result<Self, Problem> {
        let policy = core.passes.policy(&core.door.policies);
        check_name(&policy, head)?;
        let act = Act::of(&head.method, head.uri.path());
        let site = Site::of(&head.headers, &head.uri, false, &policy.cors)?;
        if policy.access.is_open() {
            site.check(act, None, &policy.cors)?;
            return Ok(Self { right: Right::new(policy.access.anonymous(), core.passes.generation()) });
        }
        let shown = credential::find(&policy.places, act, &head.headers, &head.uri)?;
        site.check(act, shown.as_ref().map(|(_, carrier)| *carrier), &policy.cors)?;
        let pass = match shown {
            None => policy.access.anonymous().clone(),
            Some((token, _)) => core.passes.judge(&policy, token.as_bytes())?,
        };
        Ok(Self { right: Right::new(&pass, core.passes.generation()) })
    }
}

/// A hub that lets in whoever reaches the loopback is asked by the loopback's names only: a browser on this machine reaches it
/// for any page whose name leads here.
fn check_name(policy: &Policy, head: &Parts) -> Result<(), Problem> {
    if !policy.loopback_names {
        return Ok(());
    }
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
