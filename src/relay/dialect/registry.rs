//! All dialects and generation APIs by their names.

use super::{Dialect, GenerationApi, anthropic, gemini, ollama, openai, whole_answer::WHOLE_ANSWERS};

/// All dialects.
pub static ALL: &[&dyn Dialect] = &[&openai::OpenAi, &anthropic::Anthropic, &gemini::Gemini, &ollama::Ollama];

/// All generation APIs.
static APIS: &[&dyn GenerationApi] = &[
    &openai::OpenAiApi::Chat,
    &openai::OpenAiApi::Completions,
    &openai::OpenAiApi::Responses,
    &anthropic::AnthropicMessages,
    &gemini::GeminiGenerate,
    &ollama::OllamaApi::Chat,
    &ollama::OllamaApi::Generate,
];

/// The dialect with this name in the configuration.
pub fn by_name(name: &str) -> Option<&'static dyn Dialect> {
    ALL.iter().copied().find(|dialect| dialect.name() == name)
}

/// The API with this name, as it is stored with a run.
pub fn api_by_name(name: &str) -> Option<&'static dyn GenerationApi> {
    APIS.iter().chain(&WHOLE_ANSWERS).copied().find(|api| api.name() == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_name_finds_its_own() {
        for dialect in ALL {
            assert_eq!(by_name(dialect.name()).unwrap().name(), dialect.name());
        }
        for api in APIS {
            assert_eq!(api_by_name(api.name()).unwrap().name(), api.name());
            assert!(api.name().starts_with(&format!("{}.", api.dialect().name())), "{}", api.name());
        }
        let names: BTreeSet<_> = APIS.iter().map(|api| api.name()).collect();
        assert_eq!((names.len(), by_name("x").is_none(), api_by_name("openai").is_none()), (APIS.len(), true, true));
    }
}
