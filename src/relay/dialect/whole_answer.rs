//! Answers without a stream: how they are recorded, and their token counts.

use serde::Deserialize;

use super::{
    Dialect, GenerationApi, Part, PartReader, anthropic::Anthropic, gemini::Gemini, ollama::Ollama, openai::OpenAi,
};
use crate::relay::{
    ending::{RunEnded, TokenUsage},
    frames::{Framing, UpstreamFrame},
};

/// An answer without a stream, in a dialect. Its frames are parts of one body.
struct WholeAnswerApi {
    name: &'static str,
    dialect: &'static dyn Dialect,
}

struct NoParts;

/// One for each dialect.
pub(super) static WHOLE_ANSWERS: [&dyn GenerationApi; 4] = [
    &WholeAnswerApi { name: "openai.answer", dialect: &OpenAi },
    &WholeAnswerApi { name: "anthropic.answer", dialect: &Anthropic },
    &WholeAnswerApi { name: "gemini.answer", dialect: &Gemini },
    &WholeAnswerApi { name: "ollama.answer", dialect: &Ollama },
];

/// How an answer without a stream is recorded.
#[must_use]
pub fn whole_answer_api(dialect: &dyn Dialect) -> &'static dyn GenerationApi {
    let found = WHOLE_ANSWERS.iter().find(|api| api.dialect().name() == dialect.name());
    *found.expect("there is one for each dialect")
}

impl GenerationApi for WholeAnswerApi {
    fn name(&self) -> &'static str {
        self.name
    }

    fn dialect(&self) -> &'static dyn Dialect {
        self.dialect
    }

    fn is_whole(&self) -> bool {
        true
    }

    fn framing(&self) -> Framing {
        Framing::Lines
    }

    fn reader(&self) -> Box<dyn PartReader> {
        Box::new(NoParts)
    }

    fn carries_ids(&self) -> bool {
        false
    }

    fn keepalive(&self) -> Option<&'static str> {
        None
    }

    fn error_frame(&self, _: &RunEnded, message: &str) -> UpstreamFrame {
        UpstreamFrame { name: String::new(), data: self.dialect.error_body(502, "upstream-failed", message) }
    }
}

impl PartReader for NoParts {
    fn read(&mut self, _: &str, _: &str, _: &mut Vec<Part>) {}
}

/// The token counts of an answer without a stream, in any dialect. Both are `None` when it has none.
#[must_use]
pub fn usage_of(body: &[u8]) -> TokenUsage {
    #[derive(Default, Deserialize)]
    struct Counts {
        #[serde(rename = "prompt_tokens")]
        prompt: Option<u64>,
        #[serde(rename = "input_tokens")]
        input: Option<u64>,
        #[serde(rename = "completion_tokens")]
        completion: Option<u64>,
        #[serde(rename = "output_tokens")]
        output: Option<u64>,
    }
    #[derive(Default, Deserialize)]
    struct GeminiCounts {
        #[serde(rename = "promptTokenCount")]
        prompt: Option<u64>,
        #[serde(rename = "candidatesTokenCount")]
        candidates: Option<u64>,
        #[serde(rename = "thoughtsTokenCount")]
        thoughts: Option<u64>,
    }
    #[derive(Default, Deserialize)]
    struct Answer {
        usage: Option<Counts>,
        #[serde(rename = "usageMetadata")]
        gemini: Option<GeminiCounts>,
        prompt_eval_count: Option<u64>,
        eval_count: Option<u64>,
    }
    let Answer { usage, gemini, prompt_eval_count, eval_count } = serde_json::from_slice(body).unwrap_or_default();
    let (counts, gemini) = (usage.unwrap_or_default(), gemini.unwrap_or_default());
    let of_gemini = gemini.candidates.map(|candidates| candidates + gemini.thoughts.unwrap_or(0));
    TokenUsage {
        input: counts.prompt.or(counts.input).or(gemini.prompt).or(prompt_eval_count),
        output: counts.completion.or(counts.output).or(of_gemini).or(eval_count),
        ..TokenUsage::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tokens_of_an_answer_are_read_in_every_dialect() {
        for (body, input, output) in [
            (r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}"#, Some(9), Some(3)),
            (r#"{"usage":{"input_tokens":9,"output_tokens":3}}"#, Some(9), Some(3)),
            (r#"{"usage":{"input_tokens":9,"prompt_tokens":9,"output_tokens":3}}"#, Some(9), Some(3)),
            (
                r#"{"usageMetadata":{"promptTokenCount":4,"candidatesTokenCount":2,"thoughtsTokenCount":5}}"#,
                Some(4),
                Some(7),
            ),
            (r#"{"done":true,"prompt_eval_count":9,"eval_count":3}"#, Some(9), Some(3)),
            (r#"{"usage":{"prompt_tokens":5}}"#, Some(5), None),
            ("{}", None, None),
            ("no JSON", None, None),
        ] {
            let usage = usage_of(body.as_bytes());
            assert_eq!((usage.input, usage.output), (input, output), "{body}");
        }
    }

    #[test]
    fn each_dialect_has_its_own() {
        for api in WHOLE_ANSWERS {
            assert_eq!(whole_answer_api(api.dialect()).name(), api.name());
        }
    }
}
