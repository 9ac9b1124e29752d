//! Anthropic, and services that speak like it.

use http::{HeaderMap, Method, header::InvalidHeaderValue};
use serde_json::json;

use super::{
    Dialect, EndpointKind, GenerationApi, PartReader, RequestFacts,
    anthropic_messages::MessagesReader,
    errors::{ending_code, put_header},
    paths::{is_item_of, operation},
    until_end::UntilEnd,
};
use crate::relay::{
    ending::{RunEnded, RunStatus},
    frames::{Framing, UpstreamFrame},
};

/// The dialect.
pub(super) struct Anthropic;

/// The header of the key.
const KEY_HEADER: &str = "x-api-key";

/// What stands before an operation, besides versions: DeepSeek has `/anthropic/v1`, Zhipu `/api/anthropic/v1`.
const PREFIX_WORDS: &[&str] = &["api", "anthropic"];

impl Dialect for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn endpoint(&self, method: &Method, path: &str, facts: &RequestFacts) -> EndpointKind {
        let Some(operation) = operation(path, PREFIX_WORDS) else { return EndpointKind::Closed };
        match (method, operation) {
            (&Method::POST, "messages") if facts.stream == Some(true) => EndpointKind::Stream(&AnthropicMessages),
            (&Method::POST, "messages") => EndpointKind::Answer,
            (&Method::POST, "messages/count_tokens") | (&Method::GET, "models") => EndpointKind::PassThrough,
            (&Method::GET, operation) if is_item_of(operation, "models") => EndpointKind::PassThrough,
            _ => EndpointKind::Closed,
        }
    }

    fn default_path(&self, _model: &str) -> String {
        "/v1/messages".into()
    }

    fn token_header(&self) -> Option<&'static str> {
        Some(KEY_HEADER)
    }

    fn put_key(&self, headers: &mut HeaderMap, key: &str) -> Result<(), InvalidHeaderValue> {
        put_header(headers, KEY_HEADER, key)
    }

    fn request_headers(&self) -> &'static [&'static str] {
        &["anthropic-version", "anthropic-beta"]
    }

    fn passes_response_header(&self, name: &str) -> bool {
        matches!(name, "request-id" | "x-request-id" | "retry-after-ms" | "x-should-retry")
            || (name.starts_with("anthropic-") && name != "anthropic-organization-id")
    }

    /// The hub's code stands beside the members that Anthropic has.
    fn error_body(&self, status: u16, code: &str, message: &str) -> String {
        let kind = match status {
            401 => "authentication_error",
            402 => "billing_error",
            403 => "permission_error",
            404 => "not_found_error",
            409 => "conflict_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            503 | 529 => "overloaded_error",
            504 => "timeout_error",
            500.. => "api_error",
            _ => "invalid_request_error",
        };
        json!({"type": "error", "error": {"type": kind, "message": message, "code": code}}).to_string()
    }
}

/// The Messages API.
pub(super) struct AnthropicMessages;

impl GenerationApi for AnthropicMessages {
    fn name(&self) -> &'static str {
        "anthropic.messages"
    }

    fn dialect(&self) -> &'static dyn Dialect {
        &Anthropic
    }

    fn framing(&self) -> Framing {
        Framing::Sse
    }

    fn reader(&self) -> Box<dyn PartReader> {
        Box::new(UntilEnd::<MessagesReader>::default())
    }

    fn carries_ids(&self) -> bool {
        true
    }

    fn keepalive(&self) -> Option<&'static str> {
        Some("event: ping\ndata: {\"type\": \"ping\"}\n\n")
    }

    fn error_frame(&self, ended: &RunEnded, message: &str) -> UpstreamFrame {
        let status = if ended.status == RunStatus::TimedOut { 504 } else { 500 };
        UpstreamFrame { name: "error".into(), data: Anthropic.error_body(status, ending_code(ended), message) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{by_name, testing::endpoint};

    #[test]
    fn messages_are_generations_and_what_the_sdks_read_passes() {
        for (request, stream, want) in [
            ("POST /v1/messages", Some(true), "anthropic.messages"),
            ("POST /anthropic/v1/messages", Some(true), "anthropic.messages"),
            ("POST /v1/messages", Some(false), "answer"),
            ("POST /v1/messages", None, "answer"),
            ("POST /v1/messages/count_tokens", None, "pass"),
            ("GET /v1/models", None, "pass"),
            ("GET /v1/models/claude-sonnet-4-5", None, "pass"),
            ("GET /v1/messages", Some(true), "closed"),
            ("GET /v1/models/a/b", None, "closed"),
            ("DELETE /v1/models/a", None, "closed"),
            ("POST /v1/messages/batches", Some(true), "closed"),
            ("GET /v1/messages/batches/b/results", None, "closed"),
            ("POST /v1/files", Some(true), "closed"),
            ("GET /v1/files/f/content", None, "closed"),
            ("GET /v1/organizations/users", None, "closed"),
            ("POST /v1/organizations/messages", Some(true), "closed"),
            ("POST /v1/complete", Some(true), "closed"),
        ] {
            assert_eq!(endpoint("anthropic", request, stream), want, "{request}");
        }
    }

    #[test]
    fn an_error_has_the_shape_of_anthropic_s() {
        let body = |status| by_name("anthropic").unwrap().error_body(status, "c", "m");
        assert_eq!(body(429), r#"{"error":{"code":"c","message":"m","type":"rate_limit_error"},"type":"error"}"#);
        assert!(body(400).contains("invalid_request_error") && body(502).contains("api_error"));
    }
}
