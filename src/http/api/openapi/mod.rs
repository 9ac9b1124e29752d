//! `GET /openapi.json`: the OpenAPI description of every route. It is written by hand, in `docs/openapi.json`; tests
//! compare it with the routes, the query keys and the problems, and `tests/openapi` with what a hub answers.

use std::sync::OnceLock;

use http::HeaderMap;
use tokio::task::spawn_blocking;

use super::asset::Asset;
use crate::http::net::response::Response;

const TEXT: &str = include_str!("../../../../docs/openapi.json");

static ASSET: OnceLock<Asset> = OnceLock::new();

/// The document, or 304.
pub async fn document(headers: &HeaderMap) -> Response {
    let prepare = || ASSET.get_or_init(|| Asset::new("application/json", TEXT.as_bytes()));
    let asset = match ASSET.get() {
        Some(asset) => asset,
        // Compressing takes some milliseconds, once, so that is done on a thread that serves nobody.
        None => spawn_blocking(prepare).await.expect("compressing does not panic"),
    };
    asset.response(headers)
}

#[cfg(test)]
mod tests;
