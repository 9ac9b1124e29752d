//! Mercure's settings from the configuration.

use std::sync::Arc;

use url::Url;

use super::AppError;
use crate::{
    config::{Config, ConfigErrors, mercure::MercureKeys},
    http::api::mercure::{claims::ExpectedIssuer, settings::MercureSettings, state::MercureState},
};

/// The URL of a hub that is not told its own: topics and patterns that are relative need one.
const UNKNOWN_URL: &str = "http://localhost/.well-known/mercure";

/// The state of the protocol.
///
/// # Errors
/// When a key cannot be read.
pub(super) fn open(config: &Config) -> Result<Arc<MercureState>, AppError> {
    let settings = &config.mercure;
    let keys = config.mercure_keys().map_err(|problems| {
        let mut errors = ConfigErrors::default();
        for (key, problem) in problems {
            errors.push(key, problem);
        }
        errors
    })?;
    let hub = settings.url.clone().unwrap_or_else(|| Url::parse(UNKNOWN_URL).expect("a URL"));
    let expected = ExpectedIssuer { issuer: settings.issuer.as_deref().map(Into::into), hub };
    let MercureKeys { publishers, subscribers } = keys;
    let settings = MercureSettings::new(expected, publishers, subscribers, settings.anonymous, settings.subscriptions);
    Ok(Arc::new(MercureState::new(settings)))
}
