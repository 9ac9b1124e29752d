//! No claims make the hub panic, and none but Mercure's grant anything.
//!
//! Input: the claims of a token, as JSON; then the same bytes as the note of an event.

use gapless::{
    event::{Metadata, metadata::MERCURE},
    http::api::{
        mercure::claims::{ExpectedIssuer, MercureGrant},
        mercure_log::update_note::UpdateNote,
    },
};
use serde_json::Value;
use url::Url;

/// Reads the claims as those of each type of token, and the note.
pub(crate) fn holds_for(input: &[u8]) {
    let hub = Url::parse("https://hub.example/.well-known/mercure").expect("a URL");
    let expected = ExpectedIssuer { issuer: Some("me".into()), hub };
    if let Ok(Value::Object(claims)) = serde_json::from_slice(input) {
        for kind in [None, Some("JWT"), Some("at+jwt")] {
            let grant = MercureGrant::read(kind, &claims, &expected, true);
            let named = ["mercure", "https://mercure.rocks/", "authorization_details"];
            assert!(grant.is_err() || named.iter().any(|name| claims.contains_key(*name)), "{claims:?}");
            if kind == Some("at+jwt") && claims.contains_key("authorization_details") && grant.is_ok() {
                assert!(claims["iss"] == "me" && claims.contains_key("exp"), "{claims:?}");
            }
        }
    }
    let Ok(metadata) = Metadata::new(MERCURE, input) else { return };
    if let Some(note) = UpdateNote::read(Some(&metadata)) {
        let again = note.metadata().expect("it is no longer than it was");
        assert_eq!(UpdateNote::read(Some(&again)), Some(note));
    }
}
