//! Authentication and authorization of a request: who sends it, from where, and what that permits.
//!
//! | module | idea |
//! |---|---|
//! | this file | [`Caller`]: the authenticated sender of a request |
//! | [`authenticator`] | finds the [`Caller`] of a request |
//! | [`admin_listener`] | the listener that serves statistics and metrics |
//! | [`credential`] | where a request carries its credential, and which one counts |
//! | [`policy`] | the settings that a reload can change |
//! | [`forwarded`] | the client's address behind trusted proxies |
//! | [`cors`] | cross-origin requests |
//! | [`origin`] | the origin of the requesting page, and the name used for the hub |
//! | [`credential_cache`] | credentials that were valid: of each core, and of all of them |
//! | [`quotas`] | the accounts that a caller's usage is charged to |
//! | [`authorization`] | what a caller may do, while its credential is valid |

pub mod admin_listener;
pub mod authenticator;
pub mod authorization;
pub mod cors;
pub mod credential;
pub mod credential_cache;
pub mod forwarded;
pub mod origin;
pub mod policy;
pub mod quotas;

pub use authorization::Authorization;
pub use quotas::{CallerQuotas, StreamPermits};

/// The sender of a request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Its permissions.
    pub authorization: Authorization,
    /// The accounts that its usage is charged to.
    pub quotas: CallerQuotas,
}
