//! What a visitor may do, for as long as the credential is good.
//!
//! A request is over in a moment, but a stream lasts. So a right knows when it ends, and under which policy it was given: after a
//! reload, or with other keys, it is judged again.

use std::{
    fmt::Write,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    access::{CredentialKind, Grant, Principal},
    event::{Filter, Selection, TopicName},
    http::{policy::Policies, problem::Problem},
};

/// Patterns that a refusal lists, so that it stays readable and says little of a large grant.
const LISTED: usize = 5;

/// A pass, and the generation of the policy that it was good under.
#[derive(Debug, Clone)]
pub struct Authorization {
    pass: Arc<Principal>,
    generation: u64,
}

/// Seconds since 1970, as the times of credentials are.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Authorization {
    /// The right of who has `pass`, found good under the policy of this generation.
    #[must_use]
    pub fn new(pass: &Arc<Principal>, generation: u64) -> Self {
        Self { pass: Arc::clone(pass), generation }
    }

    /// Whose it is; `None` for whoever sent no credential.
    #[must_use]
    pub fn holder(&self) -> Option<&str> {
        self.pass.holder.as_deref()
    }

    /// When it ends, in seconds since 1970.
    #[must_use]
    pub fn expires(&self) -> Option<u64> {
        self.pass.expires
    }

    /// Whether it was given under another policy than the one in force.
    #[must_use]
    pub fn is_stale(&self, policies: &Policies) -> bool {
        self.generation != policies.generation()
    }

    /// Judges it by the policy in force, and by the clock.
    ///
    /// # Errors
    /// Says why it is good no more.
    pub fn renew(&mut self, policies: &Policies) -> Result<(), Problem> {
        let now = now();
        if self.is_stale(policies) {
            // Read before the policy: a change in between is met at the next look.
            let generation = policies.generation();
            match policies.current().access.renew(&self.pass, now) {
                Ok(pass) => self.pass = pass,
                // Nobody can tell yet. It is judged again when the issuer's keys have come, which is another generation.
                Err(refusal) if refusal.is_transient() => {}
                Err(refusal) => return Err(refusal.into()),
            }
            self.generation = generation;
        }
        if self.pass.expires.is_some_and(|end| end <= now) {
            return Err(Problem::unauthorized("the token has expired meanwhile; get a fresh one"));
        }
        Ok(())
    }

    /// Lets the visitor publish to `topic`.
    ///
    /// # Errors
    /// Says what is missing.
    pub fn publish(&self, topic: &TopicName) -> Result<(), Problem> {
        if self.pass.grant.may_publish(topic) {
            return Ok(());
        }
        Err(self.lacks(format_args!("publish to {}", quoted(topic.as_str())), "publish to", &self.pass.grant.publish))
    }

    /// Lets the visitor read `selection`.
    ///
    /// # Errors
    /// Names the first filter that is not open, and says what is missing.
    pub fn subscribe(&self, selection: &Selection) -> Result<(), Problem> {
        let Some(filter) = self.pass.grant.lacks(selection) else { return Ok(()) };
        let events_request = format_args!("subscribe to {}", quoted(filter.as_str())).to_string();
        Err(self.lacks(format_args!("{events_request}"), "subscribe to", &self.pass.grant.subscribe))
    }

    /// Lets the visitor go on reading `selection`, which it may read so far: judges the credential again when that may say
    /// something else. Who was refused does not ask again.
    ///
    /// # Errors
    /// Says why it is good no more, or opens this no more.
    pub fn still_reads(&mut self, policies: &Policies, selection: &Selection) -> Result<(), Problem> {
        if !self.is_stale(policies) && self.pass.expires.is_none_or(|end| now() < end) {
            return Ok(());
        }
        self.renew(policies)?;
        self.subscribe(selection)
    }

    /// Lets the visitor send events, before it is known where to. Who may publish to no topic at all is refused before any of
    /// the body is read, which would take room from those who may.
    ///
    /// # Errors
    /// When there is no such topic.
    pub fn publish_anywhere(&self) -> Result<(), Problem> {
        let granted = &self.pass.grant.publish;
        if granted.is_empty() { Err(self.lacks(format_args!("publish"), "publish to", granted)) } else { Ok(()) }
    }

    /// The same for who sends a list of topics to read.
    ///
    /// # Errors
    /// When there is no topic that may be subscribed to.
    pub fn subscribe_anywhere(&self) -> Result<(), Problem> {
        let granted = &self.pass.grant.subscribe;
        if granted.is_empty() { Err(self.lacks(format_args!("subscribe"), "subscribe to", granted)) } else { Ok(()) }
    }

    /// Lets the visitor look at `topic` as a thing.
    ///
    /// # Errors
    /// Says what is missing; the same whether there is such a topic or not.
    pub fn see(&self, topic: &TopicName) -> Result<(), Problem> {
        if self.pass.grant.may_see(topic) {
            return Ok(());
        }
        Err(self.lacks(format_args!("look at {}", quoted(topic.as_str())), "subscribe to", &self.pass.grant.subscribe))
    }

    /// Which topics a list may show the visitor; `None` for all of them.
    ///
    /// # Errors
    /// When that is none, whatever it is called.
    pub fn list(&self) -> Result<Option<&Grant>, Problem> {
        let grant = &self.pass.grant;
        if grant.publish.is_empty() && grant.subscribe.is_empty() && !grant.admin {
            return Err(self.lacks(format_args!("list topics"), "subscribe to", &grant.subscribe));
        }
        Ok(Some(grant).filter(|grant| !grant.admin))
    }

    /// Lets the visitor do what operators do: look at the figures, set and delete topics.
    ///
    /// # Errors
    /// Says that it is not one.
    pub fn operate(&self, what: &str) -> Result<(), Problem> {
        if self.pass.grant.admin {
            return Ok(());
        }
        Err(match self.pass.credential {
            CredentialKind::Open | CredentialKind::Operator | CredentialKind::Anonymous => Problem::missing_credential(
                format!("to {what} needs a token with the grant admin; send 'Authorization: Bearer TOKEN'"),
            ),
            _ => Problem::forbidden(format!(
                "to {what} needs a token with the grant admin, which this one does not have"
            )),
        })
    }

    fn lacks(&self, events_request: std::fmt::Arguments<'_>, verb: &str, granted: &[Filter]) -> Problem {
        match self.pass.credential {
            CredentialKind::Open | CredentialKind::Operator | CredentialKind::Anonymous => Problem::missing_credential(
                format!("to {events_request} needs a token, and none was sent; send 'Authorization: Bearer TOKEN'"),
            ),
            _ => Problem::forbidden(format!("this token does not let you {events_request}; {}", opens(verb, granted))),
        }
    }
}

/// What a grant opens, in words.
fn opens(verb: &str, granted: &[Filter]) -> String {
    if granted.is_empty() {
        return format!("it lets you {verb} nothing");
    }
    let mut text = format!("it lets you {verb} ");
    for (index, filter) in granted.iter().take(LISTED).enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        write!(text, "{comma}{filter}").expect("memory");
    }
    if granted.len() > LISTED {
        write!(text, " and {} more", granted.len() - LISTED).expect("memory");
    }
    text
}

/// A topic in a sentence; what could be taken for the sentence's own words is escaped.
fn quoted(topic: &str) -> String {
    format!("'{}'", topic.escape_debug())
}
