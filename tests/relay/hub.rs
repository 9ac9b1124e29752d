//! The real hub between the SDKs and the mock.

use std::{fmt::Write as _, sync::Arc};

use tempfile::TempDir;

use crate::{
    direct::{direct, refusal},
    facts::begun,
    mock::{Mock, Script},
    recordings::Recording,
    sdks::{Call, Endpoint, Runner, SDKS, Seen, Way, every_call},
    support::hub::Hub,
};

/// The provider's key: in a file of the hub's, and in no response, log or topic.
pub(crate) const KEY: &str = "sk-upstream-7f3a";

/// The name of a recording's provider in the configuration, which is that of its dialect.
pub(crate) fn provider(recording: Recording) -> &'static str {
    match recording {
        Recording::OpenAiChat | Recording::OpenAiResponses => "openai",
        Recording::Anthropic => "anthropic",
        Recording::Gemini => "gemini",
        Recording::Ollama => "ollama",
    }
}

/// A hub whose providers, one for each dialect, are a mock.
pub(crate) struct Relay {
    pub(crate) hub: Hub,
    configuration: Arc<TempDir>,
}

impl Relay {
    /// A hub with a fresh store. `more` is put at the end of each provider's table.
    pub(crate) fn start(mock: &Mock, more: &str) -> Self {
        Self::start_with(mock, more, "", &[])
    }

    /// The same with further tables of its configuration, and arguments.
    pub(crate) fn start_with(mock: &Mock, more: &str, tables: &str, arguments: &[&str]) -> Self {
        Self::before(&mock.url(), more, tables, arguments)
    }

    /// The same with all providers at this URL.
    pub(crate) fn before(url: &str, more: &str, tables: &str, arguments: &[&str]) -> Self {
        let configuration = tempfile::tempdir().unwrap();
        let [file, key] = ["gapless.toml", "key"].map(|name| configuration.path().join(name));
        let mut toml = String::new();
        for dialect in ["openai", "anthropic", "gemini", "ollama"] {
            let key = key.display();
            writeln!(
                toml,
                "[relay.providers.{dialect}]\ndialect = \"{dialect}\"\nurl = \"{url}\"\nkey_file = \"{key}\"\n{more}"
            )
            .unwrap();
        }
        std::fs::write(&key, KEY).unwrap();
        std::fs::write(&file, toml + tables).unwrap();
        let hub = Hub::start_with(&[&["--config", file.to_str().unwrap()], arguments].concat());
        Self { hub, configuration: Arc::new(configuration) }
    }

    /// The hub again with its store, after it was killed or has ended.
    pub(crate) fn again(&self) -> Self {
        Self { hub: self.hub.again(), configuration: Arc::clone(&self.configuration) }
    }

    /// Where an application finds the provider of a recording.
    pub(crate) fn endpoint(&self, recording: Recording) -> Endpoint {
        Endpoint {
            root: format!("http://{}/relay/{}", self.hub.address, provider(recording)),
            token: "hub-token".into(),
        }
    }
}

#[test]
fn every_sdk_sees_through_the_hub_what_it_sees_of_its_provider() {
    let mock = Mock::start();
    let relay = Relay::start(&mock, "");
    let plain = every_call(&mock, |_| direct(&mock));
    let relayed = every_call(&mock, |recording| relay.endpoint(recording));
    for ((sdk, call, plain), (.., relayed)) in plain.into_iter().zip(relayed) {
        let headers = plain.headers.clone();
        assert_eq!(Seen { headers, ..relayed }, plain, "{}, {}", sdk.name, call.name);
    }
}

/// A call, what the application saw of it directly, and through the hub.
struct Pair {
    what: String,
    way: Way,
    plain: Seen,
    relayed: Seen,
}

/// Makes every call of every SDK directly and through a hub, once in each case. Its provider answers by `script`, `None`
/// leaves it out.
fn pairs<C: Copy>(cases: &[C], script: impl Fn(C, &Call) -> Option<Script>) -> Vec<(C, Pair)> {
    let mock = Mock::start();
    let relay = Relay::start(&mock, "");
    let mut pairs = Vec::new();
    for sdk in SDKS {
        // It takes longer to start than all its calls.
        let mut runner = Runner::start(sdk);
        for (&case, call) in cases.iter().flat_map(|case| sdk.calls.iter().map(move |call| (case, call))) {
            let Some(script) = script(case, call) else { continue };
            call.answer_with(&mock, &script);
            let plain = runner.run(&direct(&mock).job(call));
            let relayed = runner.run(&relay.endpoint(call.recording).job(call));
            pairs.push((case, Pair { what: format!("{}, {}", sdk.name, call.name), way: call.way, plain, relayed }));
        }
    }
    pairs
}

#[test]
fn every_sdk_raises_when_the_provider_ends_before_its_end() {
    let scripts: [fn(Recording) -> Script; 3] =
        [begun, |recording| begun(recording).cut(), |recording| begun(recording).send(recording.error_frame())];
    let pairs = pairs(&scripts, |script, call| (call.way != Way::Whole).then(|| script(call.recording)));
    for (_, Pair { what, way, plain, relayed }) in pairs {
        assert!(relayed.error.is_some(), "{what}: {relayed:?}");
        // What assembles an answer shows nothing of one that fails.
        if way == Way::Stream {
            assert_eq!((relayed.text, relayed.reasoning), (plain.text, plain.reasoning), "{what}");
        }
    }
}

#[test]
fn every_sdk_raises_the_same_for_a_refusal_through_the_hub() {
    let script = |status, call: &Call| Some(Script::json(status, &refusal(call.recording, status)));
    for (status, pair) in pairs(&[400, 401, 404, 429, 500], script) {
        assert_eq!(pair.relayed.error, pair.plain.error, "{}, {status}", pair.what);
    }
}
