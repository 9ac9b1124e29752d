//! The SDKs as processes: a job a line in, what the application saw a line out. `sdk/common.py` describes both.

use std::process::Command;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    child::{Child, here, tool},
    mock::{Mock, Script},
    recordings::{Recording, Tool},
    support::eventually,
};

/// An SDK, the script that runs it, and the calls that it has.
pub(crate) struct Sdk {
    pub(crate) name: &'static str,
    script: &'static str,
    pub(crate) calls: &'static [Call],
    /// The request header in which it sends its key.
    pub(crate) key_header: &'static str,
}

/// A call of an SDK.
pub(crate) struct Call {
    /// Its name in the script.
    pub(crate) name: &'static str,
    pub(crate) way: Way,
    /// The answer that a provider gives to it.
    pub(crate) recording: Recording,
}

/// What a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// A stream, chunk by chunk.
    Stream,
    /// A stream that the SDK assembles.
    Assembled,
    /// A generation without streaming.
    Whole,
}

impl Call {
    /// The provider's usual answer to it.
    pub(crate) fn answer(&self) -> Script {
        if self.is_streamed() { self.recording.streamed() } else { self.recording.whole() }
    }

    /// Sets the provider's answer to it.
    pub(crate) fn answer_with(&self, mock: &Mock, script: &Script) {
        for path in self.recording.paths(self.is_streamed()) {
            mock.usually(&path, script.clone());
        }
    }

    fn is_streamed(&self) -> bool {
        self.way != Way::Whole
    }
}

const fn stream(name: &'static str, recording: Recording) -> Call {
    Call { name, way: Way::Stream, recording }
}

const fn assembled(name: &'static str, recording: Recording) -> Call {
    Call { name, way: Way::Assembled, recording }
}

const fn whole(name: &'static str, recording: Recording) -> Call {
    Call { name, way: Way::Whole, recording }
}

const OPENAI: &[Call] = &[
    stream("chat", Recording::OpenAiChat),
    assembled("chat_helper", Recording::OpenAiChat),
    whole("chat_whole", Recording::OpenAiChat),
    stream("responses", Recording::OpenAiResponses),
    whole("responses_whole", Recording::OpenAiResponses),
];
const ANTHROPIC: &[Call] = &[
    stream("messages", Recording::Anthropic),
    assembled("messages_helper", Recording::Anthropic),
    whole("messages_whole", Recording::Anthropic),
];
const GEMINI: &[Call] = &[stream("generate", Recording::Gemini), whole("generate_whole", Recording::Gemini)];
const OLLAMA: &[Call] = &[stream("chat", Recording::Ollama), whole("chat_whole", Recording::Ollama)];
const AI: &[Call] = &[assembled("chat", Recording::OpenAiChat)];

/// All of them.
pub(crate) const SDKS: &[Sdk] = &[
    Sdk { name: "openai, Python", script: "openai_sdk.py", calls: OPENAI, key_header: "authorization" },
    Sdk { name: "openai, Node", script: "openai_sdk.mjs", calls: OPENAI, key_header: "authorization" },
    Sdk { name: "anthropic, Python", script: "anthropic_sdk.py", calls: ANTHROPIC, key_header: "authorization" },
    Sdk { name: "anthropic, Node", script: "anthropic_sdk.mjs", calls: ANTHROPIC, key_header: "authorization" },
    Sdk { name: "google-genai, Python", script: "genai_sdk.py", calls: GEMINI, key_header: "x-goog-api-key" },
    Sdk { name: "google-genai, Node", script: "genai_sdk.mjs", calls: GEMINI, key_header: "x-goog-api-key" },
    Sdk { name: "ollama, Python", script: "ollama_sdk.py", calls: OLLAMA, key_header: "authorization" },
    Sdk { name: "ollama, Node", script: "ollama_sdk.mjs", calls: OLLAMA, key_header: "authorization" },
    Sdk { name: "ai, Node", script: "ai_sdk.mjs", calls: AI, key_header: "authorization" },
];

/// The SDK of this name.
pub(crate) fn sdk(name: &str) -> &'static Sdk {
    SDKS.iter().find(|sdk| sdk.name == name).unwrap_or_else(|| panic!("no SDK {name}"))
}

/// Where an SDK finds its provider, and with which key: the provider itself, or a hub.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// What stands before the provider's own paths.
    pub(crate) root: String,
    pub(crate) token: String,
}

impl Endpoint {
    /// The base URL that an application configures for a dialect's SDK.
    pub(crate) fn base_url(&self, recording: Recording) -> String {
        match recording {
            Recording::OpenAiChat | Recording::OpenAiResponses => format!("{}/v1", self.root),
            Recording::Anthropic | Recording::Gemini | Recording::Ollama => self.root.clone(),
        }
    }

    /// A job for `call`, without options.
    pub(crate) fn job(&self, call: &Call) -> Value {
        json!({ "call": call.name, "base_url": self.base_url(call.recording), "token": self.token })
    }
}

/// Makes every call of every SDK once. `mock` is the provider behind each endpoint, which `endpoint` gives for a dialect.
pub(crate) fn every_call(
    mock: &Mock,
    endpoint: impl Fn(Recording) -> Endpoint,
) -> Vec<(&'static Sdk, &'static Call, Seen)> {
    let mut all = Vec::new();
    for sdk in SDKS {
        let mut runner = Runner::start(sdk);
        for call in sdk.calls {
            call.answer_with(mock, &call.answer());
            all.push((sdk, call, runner.run(&endpoint(call.recording).job(call))));
        }
    }
    all
}

/// What an application saw of a call.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Seen {
    /// Each chunk as the SDK gave it.
    pub(crate) chunks: Vec<Value>,
    pub(crate) text: String,
    pub(crate) reasoning: String,
    pub(crate) tools: Vec<Tool>,
    /// The last counts, as the provider writes them.
    pub(crate) usage: Option<Value>,
    pub(crate) finish: Option<String>,
    /// Headers of the response, where the SDK shows them.
    pub(crate) headers: Value,
    pub(crate) error: Option<Raised>,
}

/// What an SDK raised.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Raised {
    pub(crate) class: String,
    pub(crate) status: Option<i32>,
    pub(crate) message: String,
}

/// A running script.
pub(crate) struct Runner {
    name: &'static str,
    child: Child,
    jobs: usize,
}

impl Runner {
    /// Starts the script of an SDK.
    pub(crate) fn start(sdk: &Sdk) -> Self {
        Self::start_script(sdk.name, sdk.script)
    }

    /// Starts a script of `tests/relay/sdk`.
    pub(crate) fn start_script(name: &'static str, script: &str) -> Self {
        let program = match script.rsplit_once('.') {
            Some((_, "py")) => here("target/relay-venv/bin/python"),
            _ => tool("node"),
        };
        let mut command = Command::new(program);
        command.arg(here(&format!("tests/relay/sdk/{script}")));
        // Keys, addresses and proxies of the machine's owner must not reach them.
        command.env_clear().env("PATH", std::env::var("PATH").unwrap_or_default());
        Self { name, child: Child::spawn(&mut command), jobs: 0 }
    }

    /// Starts a job without waiting for it; jobs are done in their order.
    pub(crate) fn begin(&mut self, job: &Value) {
        self.child.say(&job.to_string());
        self.jobs += 1;
    }

    /// Waits for the last job that was begun.
    pub(crate) fn seen(&mut self) -> Seen {
        let (number, name) = (self.jobs, self.name);
        eventually(&format!("{name} is done"), || {
            assert!(self.child.exit_code().is_none(), "{name} has ended: {:?}", self.child.lines());
            self.child.lines().len() >= number
        });
        let line = &self.child.lines()[number - 1];
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{name}: {error}: {line}"))
    }

    /// Does a job.
    pub(crate) fn run(&mut self, job: &Value) -> Seen {
        self.begin(job);
        self.seen()
    }
}
