//! What a caller may do, while its credential is valid.
//!
//! A request is short, but a stream lasts. So an authorization knows when it expires, and the generation of the policy
//! that granted it: after a reload, or a change of an issuer's keys, it is checked again.

use std::{
    fmt::{Display, Write},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use super::policy::Policies;
use crate::{
    access::{CredentialKind, Grant, Principal},
    event::{Selection, TopicName},
    http::message::problem::Problem,
};

/// Patterns of the grant that a refusal lists at most, so that it stays readable and reveals little of a large grant.
const MAX_LISTED: usize = 5;

/// A principal, and the generation of the policy under which it was authenticated.
#[derive(Debug, Clone)]
pub struct Authorization {
    principal: Arc<Principal>,
    generation: u64,
}

/// Seconds since the Unix epoch, as in the claims of tokens.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Authorization {
    /// The authorization of `principal`, authenticated under the policy of this generation.
    #[must_use]
    pub fn new(principal: &Arc<Principal>, generation: u64) -> Self {
        Self { principal: Arc::clone(principal), generation }
    }

    /// The token's holder; `None` without a credential.
    #[must_use]
    pub fn holder(&self) -> Option<&str> {
        self.principal.holder.as_deref()
    }

    /// The kind of credential, of which nothing is to be shown.
    #[must_use]
    pub fn credential(&self) -> &CredentialKind {
        &self.principal.credential
    }

    /// The permissions.
    #[must_use]
    pub fn grant(&self) -> &Grant {
        &self.principal.grant
    }

    /// Who is authorized.
    #[must_use]
    pub fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    /// When it expires, in seconds since the Unix epoch.
    #[must_use]
    pub fn expires(&self) -> Option<u64> {
        self.principal.expires
    }

    /// Whether the policy has changed since it was granted.
    #[must_use]
    pub fn is_stale(&self, policies: &Policies) -> bool {
        self.generation != policies.generation()
    }

    /// Checks it against the current policy and the clock.
    ///
    /// # Errors
    /// Says why it is no longer valid. It stays valid while the issuer's keys are being fetched.
    pub fn renew(&mut self, policies: &Policies) -> Result<(), Problem> {
        let now = now();
        if self.is_stale(policies) {
            // Read before the policy, so that a change in between is seen by the next check.
            let generation = policies.generation();
            match policies.current().access.renew(&self.principal, now) {
                Ok(principal) => self.principal = principal,
                // Undecided. The check is repeated when the issuer's keys have arrived, which starts another
                // generation.
                Err(refusal) if refusal.is_transient() => {}
                Err(refusal) => return Err(refusal.into()),
            }
            self.generation = generation;
        }
        if self.principal.expires.is_some_and(|end| end <= now) {
            return Err(Problem::unauthorized("the token has expired; get a new one"));
        }
        Ok(())
    }

    /// Permits publishing to `topic`.
    ///
    /// # Errors
    /// Says what is missing.
    pub fn publish(&self, topic: &TopicName) -> Result<(), Problem> {
        if self.principal.grant.may_publish(topic) {
            return Ok(());
        }
        Err(self.denied(
            format_args!("publish to {}", quoted(topic.as_str())),
            "publish to",
            &self.principal.grant.publish,
        ))
    }

    /// Permits relaying a request to `provider` for `model`; `None` for one that names none, whose default may be any.
    ///
    /// # Errors
    /// Says what is missing.
    pub fn relay(&self, provider: &str, model: Option<&str>) -> Result<(), Problem> {
        let grant = &self.principal.grant;
        if grant.may_relay(provider, model) {
            return Ok(());
        }
        let action = match model {
            Some(model) => format!("use the model {} of {}", quoted(model), quoted(provider)),
            None => format!("use all models of {}, which a request without a model needs", quoted(provider)),
        };
        Err(self.denied(format_args!("{action}"), "use", &grant.relay))
    }

    /// Permits asking `provider` for what costs nothing by itself, as the list of its models.
    ///
    /// # Errors
    /// When nothing of the provider is permitted.
    pub fn relay_some(&self, provider: &str) -> Result<(), Problem> {
        let grant = &self.principal.grant;
        if grant.may_relay_some(provider) {
            return Ok(());
        }
        Err(self.denied(format_args!("use {}", quoted(provider)), "use", &grant.relay))
    }

    /// Permits reading `selection`.
    ///
    /// # Errors
    /// Names the first filter that the grant does not cover, and says what is missing.
    pub fn subscribe(&self, selection: &Selection) -> Result<(), Problem> {
        let Some(filter) = self.principal.grant.first_denied(selection) else { return Ok(()) };
        let action = format_args!("subscribe to {}", quoted(filter.as_str())).to_string();
        Err(self.denied(format_args!("{action}"), "subscribe to", &self.principal.grant.subscribe))
    }

    /// Permits reading on in `selection`, which was permitted before. Checks the credential only if the policy has
    /// changed or the token has expired. After an error it must not be called again.
    ///
    /// # Errors
    /// Says why the credential is no longer valid, or no longer permits this.
    pub fn renew_subscription(&mut self, policies: &Policies, selection: &Selection) -> Result<(), Problem> {
        if !self.is_stale(policies) && self.principal.expires.is_none_or(|end| now() < end) {
            return Ok(());
        }
        self.renew(policies)?;
        self.subscribe(selection)
    }

    /// Permits sending events whose topics are not known yet. A caller without any grant to publish is refused before
    /// its body is read, which would take memory from others.
    ///
    /// # Errors
    /// When the grant covers no topic.
    pub fn publish_anywhere(&self) -> Result<(), Problem> {
        let granted = &self.principal.grant.publish;
        if granted.is_empty() { Err(self.denied(format_args!("publish"), "publish to", granted)) } else { Ok(()) }
    }

    /// The same for a request whose body lists the topics to read.
    ///
    /// # Errors
    /// When the grant covers no topic.
    pub fn subscribe_anywhere(&self) -> Result<(), Problem> {
        let granted = &self.principal.grant.subscribe;
        if granted.is_empty() { Err(self.denied(format_args!("subscribe"), "subscribe to", granted)) } else { Ok(()) }
    }

    /// Permits reading the state of `topic`.
    ///
    /// # Errors
    /// Says what is missing, in the same words whether the topic exists or not.
    pub fn inspect(&self, topic: &TopicName) -> Result<(), Problem> {
        if self.principal.grant.may_read_metadata(topic) {
            return Ok(());
        }
        Err(self.denied(
            format_args!("look at {}", quoted(topic.as_str())),
            "subscribe to",
            &self.principal.grant.subscribe,
        ))
    }

    /// The grant that restricts a list of topics; `None` for no restriction.
    ///
    /// # Errors
    /// When the grant covers no topic at all.
    pub fn list(&self) -> Result<Option<&Grant>, Problem> {
        let grant = &self.principal.grant;
        if grant.publish.is_empty() && grant.subscribe.is_empty() && !grant.admin {
            return Err(self.denied(format_args!("list topics"), "subscribe to", &grant.subscribe));
        }
        Ok(Some(grant).filter(|grant| !grant.admin))
    }

    /// Permits an operator's action, named by `what`: reading statistics, configuring or deleting topics.
    ///
    /// # Errors
    /// When the grant `admin` is missing.
    pub fn require_admin(&self, what: &str) -> Result<(), Problem> {
        if self.principal.grant.admin {
            return Ok(());
        }
        Err(match self.principal.credential {
            CredentialKind::Open | CredentialKind::Operator | CredentialKind::Anonymous => Problem::missing_credential(
                format!("to {what} needs a token with the grant admin; send 'Authorization: Bearer TOKEN'"),
            ),
            _ => Problem::forbidden(format!(
                "to {what} needs a token with the grant admin, which this one does not have"
            )),
        })
    }

    fn denied(&self, action: std::fmt::Arguments<'_>, verb: &str, granted: &[impl Display]) -> Problem {
        match self.principal.credential {
            CredentialKind::Open | CredentialKind::Operator | CredentialKind::Anonymous => Problem::missing_credential(
                format!("to {action} needs a token, and none was sent; send 'Authorization: Bearer TOKEN'"),
            ),
            _ => Problem::forbidden(format!("this token does not let you {action}; {}", describe_grant(verb, granted))),
        }
    }
}

/// What a grant covers, in words.
fn describe_grant(verb: &str, granted: &[impl Display]) -> String {
    if granted.is_empty() {
        return format!("it lets you {verb} nothing");
    }
    let mut text = format!("it lets you {verb} ");
    for (index, pattern) in granted.iter().take(MAX_LISTED).enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        write!(text, "{comma}{pattern}").expect("memory");
    }
    if granted.len() > MAX_LISTED {
        write!(text, " and {} more", granted.len() - MAX_LISTED).expect("memory");
    }
    text
}

/// A name in quotes; characters that could be confused with the sentence are escaped.
fn quoted(name: &str) -> String {
    format!("'{}'", name.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::RelayGrant;

    fn relaying(relay: &[&str], credential: CredentialKind) -> Authorization {
        let relay = relay.iter().map(|text| RelayGrant::new(text).expect("valid")).collect();
        authorization(Grant { relay, ..Grant::default() }, credential)
    }

    fn authorization(grant: Grant, credential: CredentialKind) -> Authorization {
        Authorization::new(&Arc::new(Principal { holder: None, grant, expires: None, credential }), 0)
    }

    #[test]
    fn a_relay_needs_a_grant_for_the_model_and_the_refusal_says_which_there_are() {
        let granted = relaying(&["openai/gpt-4o*", "ollama"], CredentialKind::Token { sha256: [0; 32] });
        assert!(granted.relay("openai", Some("gpt-4o-mini")).is_ok() && granted.relay("ollama", None).is_ok());
        for (model, want) in [
            (Some("o'1"), r"use the model 'o\'1' of 'openai'; it lets you use openai/gpt-4o*, ollama"),
            (None, "use all models of 'openai', which a request without a model needs; it lets you use openai/gpt-4o*"),
        ] {
            let problem = granted.relay("openai", model).expect_err("denied");
            assert!(problem.detail.contains(want), "{}", problem.detail);
        }
        let nobody = relaying(&[], CredentialKind::Anonymous).relay("ollama", None).expect_err("denied");
        assert!(nobody.detail.contains("needs a token, and none was sent"), "{}", nobody.detail);
        let open = authorization(Grant::everything(), CredentialKind::Open);
        assert!(open.relay("openai", None).is_ok());
    }
}
