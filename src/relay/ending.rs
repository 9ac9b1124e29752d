//! How a run ends: exactly one `run.ended`, always.

use serde::{Deserialize, Serialize};

/// The state of a run. All but [`RunStatus::Running`] are endings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// It has not ended.
    Running,
    /// The provider sent its end.
    Completed,
    /// Its holder, or an administrator, stopped it.
    Stopped,
    /// Nobody watched it for `on_disconnect`.
    Abandoned,
    /// The provider reported an error, also inside a 200, or the answer exceeded a limit.
    Failed,
    /// The provider closed its stream without its end.
    Truncated,
    /// A time limit passed.
    TimedOut,
    /// The hub ended first.
    Interrupted,
}

impl RunStatus {
    /// Every ending.
    pub const ENDINGS: [Self; 7] = [
        Self::Completed,
        Self::Stopped,
        Self::Abandoned,
        Self::Failed,
        Self::Truncated,
        Self::TimedOut,
        Self::Interrupted,
    ];

    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Stopped => "stopped",
            Self::Abandoned => "abandoned",
            Self::Failed => "failed",
            Self::Truncated => "truncated",
            Self::TimedOut => "timed_out",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Where the token counts of a run come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageSource {
    /// The provider sent its final counts.
    Upstream,
    /// The provider sent counts before the run ended early.
    Partial,
    /// It sent none.
    #[default]
    None,
}

/// The tokens of a run, as the provider counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUsage {
    /// Tokens of the prompt; `None` when unknown.
    pub input: Option<u64>,
    /// Tokens of the answer so far; `None` when unknown.
    pub output: Option<u64>,
    /// Where the counts come from.
    pub source: UsageSource,
}

impl TokenUsage {
    /// The counts of an answer that is complete: the last ones that the provider sent are its final ones.
    #[must_use]
    pub fn of_complete_answer(self) -> Self {
        let source = if self.source == UsageSource::Partial { UsageSource::Upstream } else { self.source };
        Self { source, ..self }
    }

    /// These counts, replaced by the ones that `newer` has. The source stays.
    #[must_use]
    pub fn updated(self, newer: Self) -> Self {
        Self { input: newer.input.or(self.input), output: newer.output.or(self.output), source: self.source }
    }
}

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// `upstream_error`, `upstream_truncated`, `upstream_refused`, `upstream_unreachable`, `answer_too_large`,
    /// `event_too_large`, `timed_out`, `interrupted`, `stopped`, `abandoned` or `internal`; in a response whose run has
    /// lost events, and never in the log, `gap`.
    pub code: String,
    /// In words, for people.
    pub message: String,
    /// The HTTP status of the provider's refusal.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<u16>,
}

/// The data of `run.started`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunStarted {
    /// The run's id.
    pub run: String,
    /// The provider's name in the configuration.
    pub provider: String,
    /// The model that was asked for.
    pub model: String,
}

/// The data of `run.ended`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEnded {
    /// The run's id.
    pub run: String,
    /// Never [`RunStatus::Running`].
    pub status: RunStatus,
    /// The holder's name that stopped it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<String>,
    /// Its tokens.
    pub usage: TokenUsage,
    /// Why the model stopped, as the provider calls it: `stop`, `max_tokens`. Of several choices, the last one's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub finish_reason: Option<String>,
    /// Why it ended, for every status but [`RunStatus::Completed`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<RunError>,
}
