//! What a delta continues: deltas with one key are one text.

use crate::relay::dialect::Part;

/// A text that is sent in pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartKey {
    /// A block of a choice.
    Text(u32, u32),
    /// A block of a choice's reasoning.
    Reasoning(u32, u32),
    /// The arguments of a tool call.
    Arguments(u32),
}

impl PartKey {
    /// What the part continues, or begins; `None` for a part that is no text.
    pub(super) fn of(part: &Part) -> Option<Self> {
        match part {
            Part::Text(text) => Some(Self::Text(text.choice, text.block)),
            Part::Reasoning(text) => Some(Self::Reasoning(text.choice, text.block)),
            Part::Tool { index, .. } => Some(Self::Arguments(*index)),
            _ => None,
        }
    }

    /// Whether it is reasoning.
    pub(super) fn is_reasoning(self) -> bool {
        matches!(self, Self::Reasoning(..))
    }
}

/// Whether the part is more of a text, and nothing else: the first part of a tool call is not.
pub(super) fn is_delta(part: &Part) -> bool {
    matches!(part, Part::Text(_) | Part::Reasoning(_) | Part::Tool { id: None, name: None, .. })
}

/// The text of a part; empty for a part that is no text.
pub(super) fn text_of(part: &Part) -> &str {
    match part {
        Part::Text(text) | Part::Reasoning(text) => &text.text,
        Part::Tool { arguments, .. } => arguments,
        _ => "",
    }
}

/// Appends the text of `part` to that of `to`.
pub(super) fn append(to: &mut Part, part: &Part) {
    match to {
        Part::Text(text) | Part::Reasoning(text) => text.text.push_str(text_of(part)),
        Part::Tool { arguments, .. } => arguments.push_str(text_of(part)),
        _ => {}
    }
}
