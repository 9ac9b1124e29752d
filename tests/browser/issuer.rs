//! JWTs for the pages of these tests.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

/// The issuer's key.
const KEY: &str = "a-key-of-32-bytes-and-some-more-of-them";

/// The configuration of the issuer with [`KEY`].
pub(crate) fn issuers() -> String {
    format!(
        "[{{ issuer = \"https://login.test\", audience = \"gapless\", algorithms = [\"HS256\"], key = \"{KEY}\" }}]"
    )
}

/// A JWT with a grant for everything that expires in so many seconds; a negative number is in the past.
pub(crate) fn for_seconds(seconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({
        "iss": "https://login.test", "aud": "gapless", "exp": now.checked_add_signed(seconds).unwrap(),
        "gapless": { "publish": ["**"], "subscribe": ["**"] },
    });
    let key = EncodingKey::from_secret(KEY.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap()
}
