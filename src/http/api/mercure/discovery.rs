//! What a client needs to know before it has a token (RFC 9728).

use serde_json::json;

use super::{claims::DETAIL_TYPE, sender::COOKIES, settings::MercureSettings};
use crate::http::{api::body, net::response::Response};

/// The metadata of the hub as a protected resource.
#[must_use]
pub fn document(settings: &MercureSettings) -> Response {
    let mut document = json!({
        "resource": settings.expected.hub.as_str(),
        "bearer_methods_supported": ["header"],
        "authorization_details_types_supported": [DETAIL_TYPE],
        "mercure_cookie": COOKIES[0],
        "mercure_subscriptions": settings.subscriptions,
    });
    if let Some(issuer) = &settings.expected.issuer {
        document["authorization_servers"] = json!([issuer]);
    }
    body::json(document.to_string())
}
