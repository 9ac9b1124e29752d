//! The real hub between the SDKs and the mock.

use std::fmt::Write as _;

use tempfile::TempDir;

use crate::{
    direct::direct,
    mock::Mock,
    recordings::Recording,
    sdks::{Endpoint, Seen, every_call},
    support::hub::Hub,
};

/// The provider's key: in the hub's environment, and in no response, log or topic.
pub(crate) const KEY: &str = "sk-upstream-7f3a";

/// The name of a recording's provider in the configuration, which is that of its dialect.
fn provider(recording: Recording) -> &'static str {
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
    _configuration: TempDir,
}

impl Relay {
    /// A hub with a fresh store. `more` is put at the end of each provider's table.
    pub(crate) fn start(mock: &Mock, more: &str) -> Self {
        Self::start_with(mock, more, &[])
    }

    /// The same with further arguments.
    pub(crate) fn start_with(mock: &Mock, more: &str, arguments: &[&str]) -> Self {
        let mut toml = String::new();
        for dialect in ["openai", "anthropic", "gemini", "ollama"] {
            let url = mock.url();
            writeln!(
                toml,
                "[relay.providers.{dialect}]\ndialect = \"{dialect}\"\nurl = \"{url}\"\nkey_env = \"MOCK_KEY\"\n{more}"
            )
            .unwrap();
        }
        let configuration = tempfile::tempdir().unwrap();
        let file = configuration.path().join("gapless.toml");
        std::fs::write(&file, toml).unwrap();
        let environment = format!("MOCK_KEY={KEY}");
        let arguments = [&["--config", file.to_str().unwrap()], arguments].concat();
        let hub = Hub::start_under(&["env", &environment], &arguments);
        Self { hub, _configuration: configuration }
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
#[ignore = "the hub has no relay yet"]
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
