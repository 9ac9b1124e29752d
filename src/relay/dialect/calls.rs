//! The tool calls of an answer, numbered in the order in which they begin.
//!
//! Providers number calls by choice, number several calls alike, or not at all. Here each call has one number in the
//! whole answer, and its id and name are told once.

use super::{Part, json::Scalar};

/// Most calls whose arguments can still arrive. Providers allow 128 in parallel.
const MAX_OPEN: usize = 256;

/// The calls of one answer.
#[derive(Debug, Default)]
pub(super) struct ToolCalls {
    open: Vec<OpenCall>,
    begun: u32,
}

#[derive(Debug)]
struct OpenCall {
    number: u32,
    choice: u32,
    /// The provider's number, if it has one.
    index: Option<u32>,
    id: Option<String>,
    is_named: bool,
    has_arguments: bool,
}

/// A piece of a call, as a provider sends it.
#[derive(Debug, Default)]
pub(super) struct CallPiece<'a> {
    pub(super) choice: u32,
    pub(super) index: Option<u32>,
    pub(super) id: Scalar<'a>,
    pub(super) name: Scalar<'a>,
    pub(super) arguments: String,
    /// Whether `arguments` are all of them, which count only if none have come before.
    pub(super) is_whole: bool,
}

impl ToolCalls {
    /// The part that a piece is; `None` if it says nothing new.
    pub(super) fn part(&mut self, piece: CallPiece<'_>) -> Option<Part> {
        let at = self.find(&piece).unwrap_or_else(|| self.begin(&piece));
        let call = &mut self.open[at];
        let id = piece.id.owned().filter(|_| call.id.is_none());
        if id.is_some() {
            call.id.clone_from(&id);
        }
        let name = piece.name.owned().filter(|_| !call.is_named);
        call.is_named |= name.is_some();
        let arguments = if piece.is_whole && call.has_arguments { String::new() } else { piece.arguments };
        call.has_arguments |= !arguments.is_empty();
        let is_new = id.is_some() || name.is_some() || !arguments.is_empty();
        is_new.then_some(Part::Tool { index: call.number, id, name, arguments })
    }

    /// The open call that a piece belongs to.
    fn find(&self, piece: &CallPiece<'_>) -> Option<usize> {
        let (id, is_named) = (piece.id.as_str(), !piece.name.as_str().is_empty());
        let newest =
            |is: &dyn Fn(&OpenCall) -> bool| self.open.iter().rposition(|call| call.choice == piece.choice && is(call));
        match (piece.index, id) {
            // Google numbers all calls 0; some services give each piece another id, but only the first one a name.
            (Some(_), id) => newest(&|call| call.index == piece.index).filter(|at| {
                let known = self.open[*at].id.as_deref().unwrap_or(id);
                id.is_empty() || id == known || !is_named
            }),
            (None, "") if is_named => None,
            (None, "") => newest(&|_| true),
            (None, id) => newest(&|call| call.id.as_deref() == Some(id)),
        }
    }

    fn begin(&mut self, piece: &CallPiece<'_>) -> usize {
        if self.open.len() == MAX_OPEN {
            self.open.remove(0);
        }
        let number = self.begun;
        self.begun = self.begun.saturating_add(1);
        self.open.push(OpenCall {
            number,
            choice: piece.choice,
            index: piece.index,
            id: None,
            is_named: false,
            has_arguments: false,
        });
        self.open.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(index: Option<u32>, id: &'static str, name: &'static str, arguments: &str) -> CallPiece<'static> {
        let text = |text: &'static str| Scalar::Text(text.into());
        CallPiece { index, id: text(id), name: text(name), arguments: arguments.into(), ..CallPiece::default() }
    }

    fn tool(index: u32, id: &str, name: &str, arguments: &str) -> Part {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Part::Tool { index, id: text(id), name: text(name), arguments: arguments.into() }
    }

    fn parts(pieces: impl IntoIterator<Item = CallPiece<'static>>) -> Vec<Part> {
        let mut calls = ToolCalls::default();
        pieces.into_iter().filter_map(|piece| calls.part(piece)).collect()
    }

    #[test]
    fn interleaved_calls_are_kept_apart() {
        let read = parts([
            piece(Some(0), "a", "f", ""),
            piece(Some(1), "b", "g", ""),
            piece(Some(0), "", "", "1"),
            piece(Some(1), "", "", "2"),
            piece(Some(0), "a", "f", "3"),
            piece(Some(1), "", "", ""),
        ]);
        let want = [
            tool(0, "a", "f", ""),
            tool(1, "b", "g", ""),
            tool(0, "", "", "1"),
            tool(1, "", "", "2"),
            tool(0, "", "", "3"),
        ];
        assert_eq!(read, want);
    }

    #[test]
    fn calls_with_the_same_number_and_other_ids_are_several() {
        let read =
            parts([piece(Some(0), "a", "f", "{}"), piece(Some(0), "b", "g", "{}"), piece(Some(0), "x", "", "2")]);
        assert_eq!(read, [tool(0, "a", "f", "{}"), tool(1, "b", "g", "{}"), tool(1, "", "", "2")]);
    }

    #[test]
    fn calls_without_a_number_begin_with_an_id_or_a_name() {
        let read = parts([
            piece(None, "a", "f", ""),
            piece(None, "", "", "1"),
            piece(None, "b", "f", "2"),
            piece(None, "a", "", "3"),
            piece(None, "", "g", "4"),
            piece(None, "", "g", "5"),
        ]);
        let want = [
            tool(0, "a", "f", ""),
            tool(0, "", "", "1"),
            tool(1, "b", "f", "2"),
            tool(0, "", "", "3"),
            tool(2, "", "g", "4"),
            tool(3, "", "g", "5"),
        ];
        assert_eq!(read, want);
    }

    #[test]
    fn the_id_and_the_name_are_told_once_also_when_they_come_late() {
        let read = parts([
            piece(Some(7), "", "", "1"),
            piece(Some(7), "a", "", ""),
            piece(Some(7), "a", "f", ""),
            piece(Some(7), "a", "f", "2"),
        ]);
        assert_eq!(read, [tool(0, "", "", "1"), tool(0, "a", "", ""), tool(0, "", "f", ""), tool(0, "", "", "2")]);
    }

    #[test]
    fn choices_have_their_own_calls() {
        let of = |choice, piece| CallPiece { choice, ..piece };
        let read = parts([
            of(0, piece(Some(0), "a", "f", "")),
            of(1, piece(Some(0), "b", "f", "")),
            of(0, piece(Some(0), "", "", "1")),
        ]);
        assert_eq!(read, [tool(0, "a", "f", ""), tool(1, "b", "f", ""), tool(0, "", "", "1")]);
    }

    #[test]
    fn whole_arguments_count_only_when_none_have_come() {
        let whole = |piece| CallPiece { is_whole: true, ..piece };
        let read = parts([
            piece(Some(0), "a", "f", ""),
            piece(Some(0), "", "", "{}"),
            whole(piece(Some(0), "", "", "{}")),
            piece(Some(1), "b", "f", ""),
            whole(piece(Some(1), "", "", "{}")),
            whole(piece(Some(1), "", "", "{}")),
        ]);
        assert_eq!(read, [tool(0, "a", "f", ""), tool(0, "", "", "{}"), tool(1, "b", "f", ""), tool(1, "", "", "{}")]);
    }

    #[test]
    fn the_calls_that_are_remembered_are_bounded() {
        let mut calls = ToolCalls::default();
        for number in 0..3000 {
            assert!(calls.part(piece(Some(number), "a", "f", "")).is_some());
        }
        assert_eq!((calls.open.len(), calls.begun), (MAX_OPEN, 3000));
    }
}
