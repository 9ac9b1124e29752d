//! A permission to use the relay: a provider, or some of its models.

use std::fmt;

use crate::event::Glob;

/// Providers, and models of them that may be asked for: `openai` for all models, `openai/gpt-4o*`, `*` for everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayGrant {
    provider: Glob,
    /// `None` for all, and for requests that name none.
    model: Option<Glob>,
}

/// A text is no [`RelayGrant`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a provider or provider/model, as in openai or openai/gpt-4o*")]
pub struct InvalidRelayGrant;

impl RelayGrant {
    /// The grant of this text. A model's name may have slashes.
    ///
    /// # Errors
    /// When it names no provider, or no model after the first slash.
    pub fn new(text: &str) -> Result<Self, InvalidRelayGrant> {
        let glob = |text: &str| Glob::new(text).map_err(|_| InvalidRelayGrant);
        let (provider, model) = match text.split_once('/') {
            Some((provider, model)) => (provider, Some(glob(model)?)),
            None => (text, None),
        };
        // The characters of a provider's name: a typing error could match none.
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*".contains(&byte);
        if !provider.bytes().all(plain) {
            return Err(InvalidRelayGrant);
        }
        Ok(Self { provider: glob(provider)?, model })
    }

    /// Permits every provider and model.
    #[must_use]
    pub fn any() -> Self {
        Self { provider: Glob::any(), model: None }
    }

    /// Whether it permits anything of this provider.
    #[must_use]
    pub fn concerns(&self, provider: &str) -> bool {
        self.provider.matches(provider)
    }

    /// Whether it permits a request for `model`; `None` for one that names none, whose default may be any.
    #[must_use]
    pub fn permits(&self, provider: &str, model: Option<&str>) -> bool {
        let of_model = |granted: &Glob| model.map_or(granted.is_any(), |model| granted.matches(model));
        self.provider.matches(provider) && self.model.as_ref().is_none_or(of_model)
    }
}

impl fmt::Display for RelayGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.model {
            Some(model) => write!(f, "{}/{model}", self.provider),
            None => self.provider.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_for_a_provider_or_for_models_of_it() {
        for (grant, provider, model, want) in [
            ("openai", "openai", Some("gpt-4o"), true),
            ("openai", "openai", None, true),
            ("openai", "openai2", Some("gpt-4o"), false),
            ("openai/gpt-4o*", "openai", Some("gpt-4o-mini"), true),
            ("openai/gpt-4o*", "openai", Some("o1"), false),
            ("openai/gpt-4o*", "openai", None, false),
            ("openai/*", "openai", None, true),
            ("openai/gpt-4o*", "anthropic", Some("gpt-4o"), false),
            ("router/meta/llama-*", "router", Some("meta/llama-3"), true),
            ("router/meta", "router", Some("meta/llama-3"), false),
            ("lab-*", "lab-1", Some("x"), true),
            ("*", "any", None, true),
            ("*/gpt-*", "any", Some("gpt-5"), true),
        ] {
            let parsed = RelayGrant::new(grant).expect(grant);
            assert_eq!(parsed.permits(provider, model), want, "{grant} {provider} {model:?}");
            assert_eq!(parsed.to_string(), grant);
        }
        for text in ["", "/gpt-4", "openai/", "OpenAI", "open ai", "openai/gpt 4", "openai:gpt-4"] {
            assert_eq!(RelayGrant::new(text), Err(InvalidRelayGrant), "{text}");
        }
    }
}
