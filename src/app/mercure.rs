//! Mercure's settings from the configuration.

use std::sync::Arc;

use super::AppError;
use crate::{
    config::{Config, ConfigErrors, mercure::MercureKeys},
    http::api::mercure::{claims::ExpectedIssuer, settings::MercureSettings, state::MercureState},
};

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
    let expected = ExpectedIssuer { issuer: settings.issuer.as_deref().map(Into::into), hub: settings.url.clone() };
    let MercureKeys { publishers, subscribers } = keys;
    let settings = MercureSettings::new(expected, publishers, subscribers, settings.anonymous);
    Ok(Arc::new(MercureState::new(settings)))
}
