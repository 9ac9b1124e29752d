//! OpenAI, and the many services that speak like it: vLLM, llama.cpp, OpenRouter, DeepSeek, LiteLLM, Groq.

use http::{HeaderMap, Method, header::InvalidHeaderValue};
use serde_json::json;

use super::{
    Dialect, EndpointKind, GenerationApi, PartReader, RequestFacts,
    errors::{ending_code, put_bearer},
    openai_chat::ChatReader,
    openai_responses::ResponsesReader,
    paths::{is_item_of, operation},
    until_end::UntilEnd,
};
use crate::relay::{
    ending::RunEnded,
    frames::{Framing, UpstreamFrame},
};

/// The dialect.
pub(super) struct OpenAi;

/// What stands before an operation, besides versions: OpenRouter has `/api/v1`, Groq `/openai/v1`, Fireworks
/// `/inference/v1`, Google `/v1beta/openai`, DashScope `/compatible-mode/v1`, Zhipu `/api/paas/v4`, DeepSeek `/beta`.
/// Azure's `/openai/deployments/NAME` is not among them: it names the model beside the body.
const PREFIX_WORDS: &[&str] = &["api", "openai", "inference", "compatible-mode", "paas", "beta"];

impl Dialect for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn endpoint(&self, method: &Method, path: &str, facts: &RequestFacts) -> EndpointKind {
        let Some(operation) = operation(path, PREFIX_WORDS) else { return EndpointKind::Closed };
        let generation = |api| match facts.stream {
            Some(true) => EndpointKind::Stream(api),
            _ => EndpointKind::Answer,
        };
        match (method, operation) {
            (&Method::POST, "chat/completions") => generation(&OpenAiApi::Chat),
            (&Method::POST, "completions") => generation(&OpenAiApi::Completions),
            (&Method::POST, "responses") => generation(&OpenAiApi::Responses),
            (&Method::POST, "embeddings" | "moderations" | "responses/input_tokens") | (&Method::GET, "models") => {
                EndpointKind::PassThrough
            }
            // The names of many models have a slash: `meta-llama/Llama-3`.
            (&Method::GET, operation) if operation.starts_with("models/") => EndpointKind::PassThrough,
            (&Method::GET, operation) if is_item_of(operation, "responses") => EndpointKind::PassThrough,
            _ => EndpointKind::Closed,
        }
    }

    fn default_path(&self, _model: &str) -> String {
        "/v1/chat/completions".into()
    }

    fn put_key(&self, headers: &mut HeaderMap, key: &str) -> Result<(), InvalidHeaderValue> {
        put_bearer(headers, key)
    }

    /// Not `openai-organization` and `openai-project`: they choose whose money is spent. The last two name an app to
    /// OpenRouter.
    fn request_headers(&self) -> &'static [&'static str] {
        &["openai-beta", "x-client-request-id", "http-referer", "x-title"]
    }

    fn passes_response_header(&self, name: &str) -> bool {
        let of_account = matches!(name, "openai-organization" | "openai-project");
        let prefixes = ["openai-", "x-ratelimit-"];
        matches!(name, "x-request-id" | "retry-after-ms" | "x-should-retry" | "x-generation-id")
            || (!of_account && prefixes.iter().any(|prefix| name.starts_with(prefix)))
    }

    fn error_body(&self, status: u16, code: &str, message: &str) -> String {
        let kind = match status {
            401 => "authentication_error",
            403 => "permission_error",
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        json!({"error": {"message": message, "type": kind, "param": null, "code": code}}).to_string()
    }
}

/// The generation APIs.
#[derive(Clone, Copy)]
pub(super) enum OpenAiApi {
    Chat,
    /// The older one, without roles.
    Completions,
    Responses,
}

impl GenerationApi for OpenAiApi {
    fn name(&self) -> &'static str {
        match self {
            Self::Chat => "openai.chat",
            Self::Completions => "openai.completions",
            Self::Responses => "openai.responses",
        }
    }

    fn dialect(&self) -> &'static dyn Dialect {
        &OpenAi
    }

    fn framing(&self) -> Framing {
        Framing::Sse
    }

    fn reader(&self) -> Box<dyn PartReader> {
        match self {
            Self::Chat | Self::Completions => Box::new(UntilEnd::<ChatReader>::default()),
            Self::Responses => Box::new(UntilEnd::<ResponsesReader>::default()),
        }
    }

    fn carries_ids(&self) -> bool {
        true
    }

    /// Without a blank line: with one, the Python SDK takes it for an event as soon as it has seen an id.
    fn keepalive(&self) -> Option<&'static str> {
        Some(": keepalive\n")
    }

    /// The SDKs raise on any data with a member `error`. For Responses the event is also what their types call an error;
    /// its sequence number is not known here.
    fn error_frame(&self, ended: &RunEnded, message: &str) -> UpstreamFrame {
        let code = ending_code(ended);
        let error = json!({"message": message, "type": "server_error", "param": null, "code": code});
        match self {
            Self::Chat | Self::Completions => {
                UpstreamFrame { name: String::new(), data: json!({"error": error}).to_string() }
            }
            Self::Responses => {
                let data = json!({
                    "type": "error", "code": code, "message": message, "param": null, "sequence_number": 0, "error": error,
                });
                UpstreamFrame { name: "error".into(), data: data.to_string() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{by_name, testing::endpoint};

    #[test]
    fn a_generation_is_a_stream_only_if_it_asks_for_one() {
        for (path, api) in [
            ("chat/completions", "openai.chat"),
            ("completions", "openai.completions"),
            ("responses", "openai.responses"),
        ] {
            let prefixes = [
                "",
                "/v1",
                "/api/v1",
                "/openai/v1",
                "/inference/v1",
                "/v1beta/openai",
                "/api/paas/v4",
                "/compatible-mode/v1",
            ];
            for prefix in prefixes {
                let request = format!("POST {prefix}/{path}");
                assert_eq!(endpoint("openai", &request, Some(true)), api, "{request}");
                assert_eq!(endpoint("openai", &request, Some(false)), "answer", "{request}");
                assert_eq!(endpoint("openai", &request, None), "answer", "{request}");
                assert_eq!(endpoint("openai", &request.replace("POST", "GET"), Some(true)), "closed", "{request}");
            }
        }
    }

    #[test]
    fn what_else_the_sdks_call_passes_through() {
        for request in [
            "GET /v1/models",
            "GET /models",
            "GET /v1/models/gpt-5-mini",
            "GET /api/v1/models/meta-llama/Llama-3:free/endpoints",
            "POST /v1/embeddings",
            "POST /v1/moderations",
            "POST /v1/responses/input_tokens",
            "GET /v1/responses/resp_1",
        ] {
            assert_eq!(endpoint("openai", request, None), "pass", "{request}");
        }
    }

    #[test]
    fn what_else_the_key_could_reach_is_closed() {
        for request in [
            "POST /v1/files/chat/completions",
            "POST /v1/files/v1/chat/completions",
            "POST /v1/fine_tuning/jobs",
            "POST /v1/fine_tuning/completions",
            "GET /v1/fine_tuning/models",
            "GET /v1/organization/models",
            "GET /v1/chat/completions",
            "GET /v1/chat/completions/chatcmpl-1",
            "DELETE /v1/models/ft:gpt-4o",
            "POST /v1/models/x",
            "DELETE /v1/responses/resp_1",
            "POST /v1/responses/resp_1/cancel",
            "GET /v1/responses/resp_1/input_items",
            "GET /v1/responses",
            "POST /v1/threads/t/embeddings",
            "POST /openai/deployments/gpt-4o/chat/completions",
            "GET /v1/files",
            "POST /v1/audio/speech",
            "POST /v1/images/generations",
            "POST /v1/batches",
            "POST /v1/api",
            "POST /v1/chat/completions/",
            "POST /v1/Chat/Completions",
            "POST /v1/v1/v1/v1/v1/chat/completions",
        ] {
            assert_eq!(endpoint("openai", request, Some(true)), "closed", "{request}");
        }
    }

    #[test]
    fn an_error_has_the_shape_of_openai_s() {
        let body = by_name("openai").unwrap().error_body(409, "key_reused", "say \"why\"");
        let want =
            r#"{"error":{"code":"key_reused","message":"say \"why\"","param":null,"type":"invalid_request_error"}}"#;
        assert_eq!(body, want);
    }
}
