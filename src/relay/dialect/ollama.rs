//! Ollama. Its paths below `/v1` are closed: they speak OpenAI's dialect, so that they are another provider.

use http::{HeaderMap, Method, header::InvalidHeaderValue};
use serde_json::json;

use super::{
    Dialect, EndpointKind, GenerationApi, PartReader, RequestFacts,
    errors::{ending_code, put_bearer},
    ollama_lines::OllamaReader,
    until_end::UntilEnd,
};
use crate::relay::{
    ending::RunEnded,
    frames::{Framing, UpstreamFrame},
};

/// The dialect.
pub(super) struct Ollama;

impl Dialect for Ollama {
    fn name(&self) -> &'static str {
        "ollama"
    }

    fn endpoint(&self, method: &Method, path: &str, facts: &RequestFacts) -> EndpointKind {
        let generation = |api| match facts.stream {
            Some(false) => EndpointKind::Answer,
            _ => EndpointKind::Stream(api),
        };
        match (method, path) {
            (&Method::POST, "/api/chat") => generation(&OllamaApi::Chat),
            (&Method::POST, "/api/generate") => generation(&OllamaApi::Generate),
            (&Method::GET, "/api/tags" | "/api/version" | "/api/ps")
            | (&Method::POST, "/api/show" | "/api/embed" | "/api/embeddings") => EndpointKind::PassThrough,
            _ => EndpointKind::Closed,
        }
    }

    fn default_path(&self, _model: &str) -> String {
        "/api/chat".into()
    }

    fn put_key(&self, headers: &mut HeaderMap, key: &str) -> Result<(), InvalidHeaderValue> {
        put_bearer(headers, key)
    }

    fn request_headers(&self) -> &'static [&'static str] {
        &[]
    }

    fn passes_response_header(&self, name: &str) -> bool {
        name == "x-request-id"
    }

    /// The hub's code stands beside the member that Ollama has.
    fn error_body(&self, _status: u16, code: &str, message: &str) -> String {
        json!({"error": message, "code": code}).to_string()
    }
}

/// The generation APIs.
#[derive(Clone, Copy)]
pub(super) enum OllamaApi {
    Chat,
    Generate,
}

impl GenerationApi for OllamaApi {
    fn name(&self) -> &'static str {
        match self {
            Self::Chat => "ollama.chat",
            Self::Generate => "ollama.generate",
        }
    }

    fn dialect(&self) -> &'static dyn Dialect {
        &Ollama
    }

    fn framing(&self) -> Framing {
        Framing::Lines
    }

    fn reader(&self) -> Box<dyn PartReader> {
        Box::new(UntilEnd::<OllamaReader>::default())
    }

    fn carries_ids(&self) -> bool {
        false
    }

    /// A piece of an answer without text. The SDKs need its shape, not the model's name.
    fn keepalive(&self) -> Option<&'static str> {
        Some(match self {
            Self::Chat => concat!(
                r#"{"model":"","created_at":"1970-01-01T00:00:00Z","message":{"role":"assistant","content":""},"done":false}"#,
                "\n"
            ),
            Self::Generate => {
                concat!(r#"{"model":"","created_at":"1970-01-01T00:00:00Z","response":"","done":false}"#, "\n")
            }
        })
    }

    fn error_frame(&self, ended: &RunEnded, message: &str) -> UpstreamFrame {
        UpstreamFrame { name: String::new(), data: Ollama.error_body(500, ending_code(ended), message) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{by_name, testing::endpoint};

    #[test]
    fn a_generation_is_a_stream_unless_it_asks_for_none() {
        for (path, api) in [("/api/chat", "ollama.chat"), ("/api/generate", "ollama.generate")] {
            let request = format!("POST {path}");
            for (stream, want) in [(None, api), (Some(true), api), (Some(false), "answer")] {
                assert_eq!(endpoint("ollama", &request, stream), want, "{request}");
            }
            assert_eq!(endpoint("ollama", &format!("GET {path}"), None), "closed");
        }
    }

    #[test]
    fn what_reads_passes_and_what_changes_models_is_closed() {
        let pass = [
            "GET /api/tags",
            "POST /api/show",
            "POST /api/embed",
            "POST /api/embeddings",
            "GET /api/version",
            "GET /api/ps",
        ];
        for request in pass {
            assert_eq!(endpoint("ollama", request, None), "pass", "{request}");
        }
        for request in [
            "POST /api/pull",
            "POST /api/push",
            "POST /api/create",
            "DELETE /api/delete",
            "POST /api/copy",
            "POST /api/blobs/sha256:1",
            "POST /api/web_fetch",
            "POST /v1/chat/completions",
            "GET /v1/models",
            "POST /api/tags",
            "POST /x/api/chat",
        ] {
            assert_eq!(endpoint("ollama", request, Some(true)), "closed", "{request}");
        }
    }

    #[test]
    fn an_error_has_the_shape_of_ollama_s() {
        assert_eq!(by_name("ollama").unwrap().error_body(404, "c", "m"), r#"{"code":"c","error":"m"}"#);
    }
}
