//! What a run has said up to now, for `GET /runs/ID`.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::run_event::RunEvent;
use crate::relay::{
    dialect::{Part, PartReader},
    ending::{RunError, TokenUsage, UsageSource},
};

/// The answer of a run up to now: choice 0. It serializes to
/// `{"text","reasoning","tool_calls":[{"index","id","name","arguments"}],"usage","error"}`.
///
/// It holds at most what the frames hold, which the run's `answer_bytes` limits.
#[derive(Serialize)]
pub struct RunSnapshot {
    /// The answer's text.
    pub text: String,
    /// The reasoning's text.
    pub reasoning: String,
    /// The tool calls by their number, with the arguments as JSON text.
    #[serde(serialize_with = "values")]
    pub tool_calls: BTreeMap<u32, ToolCallSnapshot>,
    /// The tokens up to now.
    pub usage: TokenUsage,
    /// Why it ended, for every ending but `completed`.
    pub error: Option<RunError>,
    #[serde(skip)]
    stopping: bool,
    #[serde(skip)]
    reader: Box<dyn PartReader>,
    #[serde(skip)]
    parts: Vec<Part>,
}

/// A tool call up to now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ToolCallSnapshot {
    /// Its number in the answer, from 0.
    pub index: u32,
    /// Its id; `None` when the provider gives none.
    pub id: Option<String>,
    /// The tool's name.
    pub name: Option<String>,
    /// Its arguments up to now, as JSON text.
    pub arguments: String,
}

impl RunSnapshot {
    /// A run that has said nothing. `reader` is a new one of the run's API.
    #[must_use]
    pub fn new(reader: Box<dyn PartReader>) -> Self {
        Self {
            text: String::new(),
            reasoning: String::new(),
            tool_calls: BTreeMap::new(),
            usage: TokenUsage::default(),
            error: None,
            stopping: false,
            reader,
            parts: Vec::new(),
        }
    }

    /// Takes the next event of the run, from its first one on.
    pub fn push(&mut self, event: RunEvent<'_>) {
        match event {
            RunEvent::Started(_) => {}
            RunEvent::Stopping { .. } => self.stopping = true,
            RunEvent::Frame { name, data } => {
                let mut parts = std::mem::take(&mut self.parts);
                self.reader.read(name, data, &mut parts);
                for part in parts.drain(..) {
                    self.part(part);
                }
                self.parts = parts;
            }
            RunEvent::Ended(ended) => {
                self.usage = ended.usage;
                self.error.clone_from(&ended.error);
            }
        }
    }

    fn part(&mut self, part: Part) {
        match part {
            Part::Usage(counts) => {
                self.usage = self.usage.updated(counts);
                self.usage.source = UsageSource::Partial;
            }
            _ if self.stopping => {}
            Part::Text(text) if text.choice == 0 => self.text.push_str(&text.text),
            Part::Reasoning(text) if text.choice == 0 => self.reasoning.push_str(&text.text),
            Part::Tool { index, id, name, arguments } => {
                let call = self.tool_calls.entry(index).or_default();
                call.index = index;
                call.id = call.id.take().or(id);
                call.name = call.name.take().or(name);
                call.arguments.push_str(&arguments);
            }
            _ => {}
        }
    }
}

fn values<S: Serializer>(calls: &BTreeMap<u32, ToolCallSnapshot>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(calls.values())
}
