//! Google's Gemini API.

use http::{HeaderMap, Method, header::InvalidHeaderValue};
use serde_json::json;

use super::{
    Dialect, EndpointKind, FactsError, GenerationApi, PartReader, RequestFacts,
    errors::{ending_code, put_header},
    gemini_generate::GenerateReader,
    paths::{is_plain, is_version},
    until_end::UntilEnd,
};
use crate::relay::{
    ending::{RunEnded, RunStatus},
    frames::{Framing, UpstreamFrame},
};

/// The dialect.
pub(super) struct Gemini;

/// The header of the key.
const KEY_HEADER: &str = "x-goog-api-key";

/// The collections whose items generate. Tuned models keep the collection in their names, as the SDKs do; the collection
/// itself is administration, and closed.
const MODELS: &str = "models/";
const TUNED_MODELS: &str = "tunedModels/";

impl Dialect for Gemini {
    fn name(&self) -> &'static str {
        "gemini"
    }

    fn endpoint(&self, method: &Method, path: &str, _facts: &RequestFacts) -> EndpointKind {
        let Some(resource) = resource(path) else { return EndpointKind::Closed };
        let listed = |model: &str| model.is_empty() || (!model.contains(['/', ':']));
        match (method, model_and_verb(resource)) {
            (&Method::POST, Some((_, "streamGenerateContent"))) => EndpointKind::Stream(&GeminiGenerate),
            (&Method::POST, Some((_, "generateContent"))) => EndpointKind::Answer,
            (&Method::POST, Some((_, "countTokens" | "embedContent" | "batchEmbedContents"))) => {
                EndpointKind::PassThrough
            }
            (&Method::GET, None) if resource == "models" || resource.strip_prefix(MODELS).is_some_and(listed) => {
                EndpointKind::PassThrough
            }
            _ => EndpointKind::Closed,
        }
    }

    fn model_in_path<'p>(&self, path: &'p str) -> Option<&'p str> {
        model_and_verb(resource(path)?).map(|(model, _)| model)
    }

    fn default_path(&self, model: &str) -> String {
        let collection = if model.starts_with(MODELS) || model.starts_with(TUNED_MODELS) { "" } else { MODELS };
        format!("/v1beta/{collection}{model}:streamGenerateContent")
    }

    fn streaming_query(&self) -> Option<&'static str> {
        Some("alt=sse")
    }

    fn token_header(&self) -> Option<&'static str> {
        Some(KEY_HEADER)
    }

    fn token_parameter(&self) -> Option<&'static str> {
        Some("key")
    }

    fn put_key(&self, headers: &mut HeaderMap, key: &str) -> Result<(), InvalidHeaderValue> {
        put_header(headers, KEY_HEADER, key)
    }

    fn request_headers(&self) -> &'static [&'static str] {
        &["x-goog-api-client", "x-server-timeout"]
    }

    fn passes_response_header(&self, name: &str) -> bool {
        matches!(name, "x-request-id" | "x-goog-request-id") || name.starts_with("x-ratelimit-")
    }

    /// The hub's code is the reason of an `ErrorInfo`.
    fn error_body(&self, status: u16, code: &str, message: &str) -> String {
        let name = match status {
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            405 | 501 => "UNIMPLEMENTED",
            408 | 504 => "DEADLINE_EXCEEDED",
            409 => "ALREADY_EXISTS",
            412 => "FAILED_PRECONDITION",
            429 => "RESOURCE_EXHAUSTED",
            499 => "CANCELLED",
            502 | 503 => "UNAVAILABLE",
            500.. => "INTERNAL",
            _ => "INVALID_ARGUMENT",
        };
        let reason = code.to_uppercase().replace('-', "_");
        let info = json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "gapless"});
        json!({"error": {"code": status, "message": message, "status": name, "details": [info]}}).to_string()
    }
}

/// What follows the version of a plain path.
fn resource(path: &str) -> Option<&str> {
    let (version, resource) = path.strip_prefix('/').filter(|_| is_plain(path))?.split_once('/')?;
    is_version(version).then_some(resource)
}

/// The model, without `models/`, and what is asked of it. A name with an escape is none: the hub and Google could read
/// different names.
fn model_and_verb(resource: &str) -> Option<(&str, &str)> {
    let (model, verb) = resource.rsplit_once(':')?;
    let (model, name) = match model.strip_prefix(MODELS) {
        Some(name) => (name, name),
        None => (model, model.strip_prefix(TUNED_MODELS)?),
    };
    let is_name = !name.is_empty() && !name.contains(['/', ':', '%']);
    is_name.then_some((model, verb))
}

/// Generation of content.
pub(super) struct GeminiGenerate;

impl GenerationApi for GeminiGenerate {
    fn name(&self) -> &'static str {
        "gemini.generate"
    }

    fn dialect(&self) -> &'static dyn Dialect {
        &Gemini
    }

    fn framing(&self) -> Framing {
        Framing::Sse
    }

    fn has_end_marker(&self) -> bool {
        false
    }

    /// The path alone says that a stream answers it.
    fn streaming_request(&self, request: &str) -> Result<String, FactsError> {
        RequestFacts::read(request.as_bytes()).map(|_| request.into())
    }

    fn reader(&self) -> Box<dyn PartReader> {
        Box::new(UntilEnd::<GenerateReader>::default())
    }

    fn carries_ids(&self) -> bool {
        false
    }

    fn keepalive(&self) -> Option<&'static str> {
        None
    }

    fn error_frame(&self, ended: &RunEnded, message: &str) -> UpstreamFrame {
        let status = match ended.status {
            RunStatus::Stopped | RunStatus::Abandoned => 499,
            RunStatus::TimedOut => 504,
            RunStatus::Truncated | RunStatus::Interrupted => 503,
            RunStatus::Failed | RunStatus::Running | RunStatus::Completed => 500,
        };
        UpstreamFrame { name: String::new(), data: Gemini.error_body(status, ending_code(ended), message) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::{api_by_name, by_name, testing::endpoint};

    #[test]
    fn the_path_says_whether_a_stream_answers() {
        for (request, want) in [
            ("POST /v1beta/models/gemini-2.5-flash:streamGenerateContent", "gemini.generate"),
            ("POST /v1/models/gemini-2.5-flash:streamGenerateContent", "gemini.generate"),
            ("POST /v1alpha/tunedModels/mine:streamGenerateContent", "gemini.generate"),
            ("POST /v1beta/models/gemini-2.5-flash:generateContent", "answer"),
            ("POST /v1beta/models/m:countTokens", "pass"),
            ("POST /v1beta/models/m:embedContent", "pass"),
            ("POST /v1beta/models/m:batchEmbedContents", "pass"),
            ("GET /v1beta/models", "pass"),
            ("GET /v1/models/m", "pass"),
            ("GET /v1beta/models/m:streamGenerateContent", "closed"),
            ("GET /v1beta/models/m/operations", "closed"),
            ("GET /v1beta/tunedModels", "closed"),
            ("GET /v1beta/tunedModels/mine", "closed"),
            ("DELETE /v1beta/models/m", "closed"),
            ("POST /v1beta/models", "closed"),
            ("POST /v1beta/models/m:batchGenerateContent", "closed"),
            ("POST /v1beta/models/m:predict", "closed"),
            ("POST /v1beta/models/m:transferOwnership", "closed"),
            ("POST /v1beta/models/:streamGenerateContent", "closed"),
            ("POST /v1beta/models/a:b:streamGenerateContent", "closed"),
            ("POST /v1beta/models/a%3Ab:streamGenerateContent", "closed"),
            ("POST /v1beta/models/a/b:streamGenerateContent", "closed"),
            ("POST /v1beta/models/tunedModels/m:streamGenerateContent", "closed"),
            ("POST /v1beta/files/m:streamGenerateContent", "closed"),
            ("POST /v1beta/cachedContents", "closed"),
            ("GET /v1beta/files", "closed"),
            ("POST /upload/v1beta/files", "closed"),
            ("POST /models/m:streamGenerateContent", "closed"),
            ("POST /v1beta/v1beta/models/m:streamGenerateContent", "closed"),
        ] {
            assert_eq!(endpoint("gemini", request, None), want, "{request}");
        }
    }

    #[test]
    fn the_path_names_the_model() {
        let api = api_by_name("gemini.generate").unwrap();
        for (path, want) in [
            ("/v1beta/models/gemini-2.5-flash:streamGenerateContent", Some("gemini-2.5-flash")),
            ("/v1/models/gemini-2.5-flash:countTokens", Some("gemini-2.5-flash")),
            ("/v1/tunedModels/mine:generateContent", Some("tunedModels/mine")),
            ("/v1/models", None),
            ("/v1/models/../m:generateContent", None),
        ] {
            assert_eq!(api.model_in_path(path), want, "{path}");
        }
        let dialect = by_name("gemini").unwrap();
        for model in ["m", "models/m", "tunedModels/m"] {
            let want = model.strip_prefix("models/").unwrap_or(model);
            assert_eq!(dialect.model_in_path(&dialect.default_path(model)), Some(want));
        }
    }

    #[test]
    fn an_error_has_the_shape_of_google_s() {
        for (status, name) in
            [(400, "INVALID_ARGUMENT"), (403, "PERMISSION_DENIED"), (429, "RESOURCE_EXHAUSTED"), (500, "INTERNAL")]
        {
            let body: Value =
                serde_json::from_str(&by_name("gemini").unwrap().error_body(status, "key_reused", "m")).unwrap();
            assert_eq!((&body["error"]["code"], &body["error"]["status"]), (&status.into(), &name.into()));
            assert_eq!(
                (&body["error"]["message"], &body["error"]["details"][0]["reason"]),
                (&"m".into(), &"KEY_REUSED".into())
            );
        }
    }
}
