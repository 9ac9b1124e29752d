//! Recorded answers, one a dialect and kind of stream, and what an application must see of them.
//!
//! All tell the same: reasoning, text with CJK and emoji, a tool call, usage, the provider's end.

use std::fs;

use serde::Deserialize;
use serde_json::Value;

use crate::{child::here, mock::Script};

/// A recorded answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recording {
    OpenAiChat,
    OpenAiResponses,
    Anthropic,
    Gemini,
    Ollama,
}

/// A tool call.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(crate) struct Tool {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    /// JSON text.
    pub(crate) arguments: String,
}

/// What a stream tells.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Told {
    pub(crate) text: String,
    pub(crate) reasoning: String,
    pub(crate) tools: Vec<Tool>,
    pub(crate) finish: String,
    /// Tokens of the prompt and of the answer.
    pub(crate) tokens: (u64, u64),
}

impl Recording {
    /// The file of its stream.
    pub(crate) fn stream_file(self) -> &'static str {
        match self {
            Self::OpenAiChat => "openai_chat.sse",
            Self::OpenAiResponses => "openai_responses.sse",
            Self::Anthropic => "anthropic.sse",
            Self::Gemini => "gemini.sse",
            Self::Ollama => "ollama_chat.ndjson",
        }
    }

    /// The file of the same answer without streaming.
    pub(crate) fn whole_file(self) -> String {
        let (name, _) = self.stream_file().split_once('.').unwrap();
        format!("{name}.json")
    }

    /// The paths of its request.
    pub(crate) fn paths(self, streamed: bool) -> Vec<String> {
        let verb = if streamed { "streamGenerateContent" } else { "generateContent" };
        match self {
            Self::OpenAiChat => vec!["/v1/chat/completions".into()],
            Self::OpenAiResponses => vec!["/v1/responses".into()],
            Self::Anthropic => vec!["/v1/messages".into()],
            Self::Gemini => ["v1", "v1beta"].map(|at| format!("/{at}/models/gemini-2.5-flash:{verb}")).into(),
            Self::Ollama => vec!["/api/chat".into()],
        }
    }

    /// The content type of its stream.
    pub(crate) fn content_type(self) -> &'static str {
        if self == Self::Ollama { "application/x-ndjson" } else { "text/event-stream" }
    }

    /// The bytes of its stream.
    pub(crate) fn stream(self) -> Vec<u8> {
        read(self.stream_file())
    }

    /// Its stream in frames, each with all bytes up to the next one; a comment between them is one, too.
    pub(crate) fn frames(self) -> Vec<Vec<u8>> {
        let text = String::from_utf8(self.stream()).unwrap();
        let ends = if self == Self::Ollama { vec!["\n"] } else { vec!["\r\n\r\n", "\n\n"] };
        let end = ends.into_iter().find(|end| text.contains(end)).expect("frames");
        text.split_inclusive(end).map(Into::into).collect()
    }

    /// Its frames that have data.
    pub(crate) fn events(self) -> Vec<String> {
        let text = self.frames().into_iter().map(|frame| String::from_utf8(frame).unwrap());
        text.filter(|frame| self == Self::Ollama || frame.lines().any(|line| line.starts_with("data:"))).collect()
    }

    /// The data of each frame that is JSON: all but OpenAI's end.
    pub(crate) fn chunks(self) -> Vec<Value> {
        let data = |frame: String| match self {
            Self::Ollama => frame,
            _ => frame.lines().filter_map(|line| line.strip_prefix("data: ")).collect(),
        };
        let json = |data: String| serde_json::from_str(&data).unwrap_or_else(|error| panic!("{error}: {data}"));
        self.events().into_iter().map(data).filter(|data| data != "[DONE]").map(json).collect()
    }

    /// The head of its stream, for a script.
    pub(crate) fn opened(self) -> Script {
        Script::chunked(200, &[("Content-Type", self.content_type()), ("x-request-id", "req_7")])
    }

    /// A script that sends its stream, a frame a write.
    pub(crate) fn streamed(self) -> Script {
        self.opened().send_each(self.frames())
    }

    /// A script that sends the same answer without streaming.
    pub(crate) fn whole(self) -> Script {
        let headers = [("Content-Type", "application/json"), ("x-request-id", "req_7")];
        Script::whole(200, &headers, &read(&self.whole_file()))
    }

    /// The same answer without streaming.
    pub(crate) fn whole_answer(self) -> Value {
        serde_json::from_slice(&read(&self.whole_file())).unwrap()
    }

    /// The frame by which its provider tells of an error.
    pub(crate) fn error_frame(self) -> &'static str {
        match self {
            Self::OpenAiChat => {
                "data: {\"error\":{\"message\":\"boom\",\"type\":\"server_error\",\"param\":null,\"code\":\"overloaded\"}}\n\n"
            }
            Self::OpenAiResponses => {
                "event: error\ndata: {\"type\":\"error\",\"sequence_number\":9,\"error\":{\"type\":\"server_error\",\"code\":\"overloaded\",\"message\":\"boom\",\"param\":null}}\n\n"
            }
            Self::Anthropic => {
                "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"boom\"}}\n\n"
            }
            Self::Gemini => {
                "data: {\"error\": {\"code\": 503, \"message\": \"boom\", \"status\": \"UNAVAILABLE\"}}\r\n\r\n"
            }
            Self::Ollama => "{\"error\":\"boom\"}\n",
        }
    }

    /// What the stream tells, read here without any SDK.
    pub(crate) fn told(self) -> Told {
        let mut told = Told::default();
        for chunk in self.chunks() {
            match self {
                Self::OpenAiChat => told.read_openai_chat(&chunk),
                Self::OpenAiResponses => told.read_openai_responses(&chunk),
                Self::Anthropic => told.read_anthropic(&chunk),
                Self::Gemini => told.read_gemini(&chunk),
                Self::Ollama => told.read_ollama(&chunk),
            }
        }
        told
    }
}

impl Told {
    fn read_openai_chat(&mut self, chunk: &Value) {
        let choice = &chunk["choices"][0];
        self.text += text(&choice["delta"]["content"]);
        self.reasoning += text(&choice["delta"]["reasoning_content"]);
        let call = &choice["delta"]["tool_calls"][0];
        if call["id"].is_string() {
            self.call(&call["id"], &call["function"]["name"]);
        }
        self.add_arguments(text(&call["function"]["arguments"]));
        self.finish += text(&choice["finish_reason"]);
        self.count(&chunk["usage"]["prompt_tokens"], &chunk["usage"]["completion_tokens"]);
    }

    fn read_openai_responses(&mut self, event: &Value) {
        match text(&event["type"]) {
            "response.output_text.delta" => self.text += text(&event["delta"]),
            "response.reasoning_summary_text.delta" => self.reasoning += text(&event["delta"]),
            "response.output_item.added" if event["item"]["type"] == "function_call" => {
                self.call(&event["item"]["call_id"], &event["item"]["name"]);
            }
            "response.function_call_arguments.delta" => self.add_arguments(text(&event["delta"])),
            "response.completed" => {
                let response = &event["response"];
                self.finish += text(&response["status"]);
                self.count(&response["usage"]["input_tokens"], &response["usage"]["output_tokens"]);
            }
            _ => {}
        }
    }

    fn read_anthropic(&mut self, event: &Value) {
        let (delta, block) = (&event["delta"], &event["content_block"]);
        self.text += text(&delta["text"]);
        self.reasoning += text(&delta["thinking"]);
        if block["type"] == "tool_use" {
            self.call(&block["id"], &block["name"]);
        }
        self.add_arguments(text(&delta["partial_json"]));
        self.finish += text(&delta["stop_reason"]);
        self.count(&event["message"]["usage"]["input_tokens"], &event["usage"]["output_tokens"]);
    }

    fn read_gemini(&mut self, chunk: &Value) {
        let candidate = &chunk["candidates"][0];
        for part in candidate["content"]["parts"].as_array().into_iter().flatten() {
            let kind = if part["thought"] == true { &mut self.reasoning } else { &mut self.text };
            *kind += text(&part["text"]);
            if let Some(call) = part.get("functionCall") {
                self.call(&call["id"], &call["name"]);
                self.add_arguments(&call["args"].to_string());
            }
        }
        self.finish += text(&candidate["finishReason"]);
        self.count(&chunk["usageMetadata"]["promptTokenCount"], &chunk["usageMetadata"]["candidatesTokenCount"]);
    }

    fn read_ollama(&mut self, line: &Value) {
        self.text += text(&line["message"]["content"]);
        self.reasoning += text(&line["message"]["thinking"]);
        for call in line["message"]["tool_calls"].as_array().into_iter().flatten() {
            self.call(&Value::Null, &call["function"]["name"]); // its SDKs give no id
            self.add_arguments(&call["function"]["arguments"].to_string());
        }
        self.finish += text(&line["done_reason"]);
        self.count(&line["prompt_eval_count"], &line["eval_count"]);
    }

    fn call(&mut self, id: &Value, name: &Value) {
        let string = |value: &Value| value.as_str().map(Into::into);
        self.tools.push(Tool { id: string(id), name: string(name), arguments: String::new() });
    }

    fn add_arguments(&mut self, arguments: &str) {
        if let Some(tool) = self.tools.last_mut() {
            tool.arguments += arguments;
        }
    }

    fn count(&mut self, input: &Value, output: &Value) {
        self.tokens = (input.as_u64().unwrap_or(self.tokens.0), output.as_u64().unwrap_or(self.tokens.1));
    }
}

impl Tool {
    /// The same with its arguments in one way of writing JSON.
    pub(crate) fn canonical(&self) -> Self {
        let arguments: Value =
            serde_json::from_str(&self.arguments).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        Self { arguments: arguments.to_string(), ..self.clone() }
    }
}

/// A file of `tests/relay/streams`.
pub(crate) fn read(name: &str) -> Vec<u8> {
    let path = here(&format!("tests/relay/streams/{name}"));
    fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
