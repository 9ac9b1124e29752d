//! Whether a command printed what its document shows. Ids, times and `…` in the document stand for others; white space does not count.

use std::collections::BTreeMap;

/// Ids and names of runs in a document, and what they were when its commands ran.
pub(crate) type Bindings = BTreeMap<String, String>;

/// The epoch of all ids in the documents.
const EPOCH: &str = "yrtxnomj-";
/// The id of a run in the documents.
pub(crate) const RUN: &str = "run_…";

#[derive(Debug, PartialEq)]
enum Piece {
    Text(String),
    /// `…`
    Anything,
    /// An id of the document, which stands for the same id at each of its places.
    Id(String),
    Run,
}

/// The bindings, with those of `shown`, if all of `printed` is as it is shown; with `prefix`, if its beginning is.
pub(crate) fn matches(shown: &str, printed: &str, bound: &Bindings, prefix: bool) -> Option<Bindings> {
    let pieces = pieces(&without_what_differs(shown));
    fits(&pieces, &without_what_differs(printed), bound.clone(), prefix)
}

/// The text of a command with the ids that its document has had so far.
pub(crate) fn bind(text: &str, bound: &Bindings) -> String {
    let mut out = String::new();
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => out.push_str(&text),
            Piece::Anything => out.push('…'),
            Piece::Id(id) => out.push_str(bound.get(&id).unwrap_or(&id)),
            Piece::Run => out.push_str(bound.get(RUN).map_or(RUN, String::as_str)),
        }
    }
    out
}

/// White space, times, the ids of requests, and how many streams of the page are still open are left out.
fn without_what_differs(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let text = without_value(&text, "\"time\":\"", |c| c == '"');
    let text = without_value(&text, "\"request_id\":\"", |c| c == '"');
    without_value(&text, "\"subscribers\":", |c| !c.is_ascii_digit())
}

fn without_value(text: &str, key: &str, ends: fn(char) -> bool) -> String {
    let mut parts = text.split(key);
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        kept.push_str(key);
        kept.push_str(part.find(ends).map_or("", |end| &part[end..]));
    }
    kept
}

fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let digits = rest.strip_prefix(EPOCH).map_or(0, |seq| seq.bytes().take_while(u8::is_ascii_digit).count());
        let (piece, length) = if digits > 0 {
            let length = EPOCH.len() + digits;
            (Piece::Id(rest[..length].into()), length)
        } else if rest.starts_with(RUN) {
            (Piece::Run, RUN.len())
        } else if c == '…' {
            (Piece::Anything, c.len_utf8())
        } else {
            plain.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        if !plain.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
        }
        pieces.push(piece);
        rest = &rest[length..];
    }
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    pieces
}

fn fits(pieces: &[Piece], text: &str, mut bound: Bindings, prefix: bool) -> Option<Bindings> {
    let Some((first, rest)) = pieces.split_first() else {
        return (prefix || text.is_empty()).then_some(bound);
    };
    let (name, length) = match first {
        Piece::Text(plain) => return fits(rest, text.strip_prefix(plain.as_str())?, bound, prefix),
        Piece::Anything => {
            let mut ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            return ends.find_map(|at| fits(rest, &text[at..], bound.clone(), prefix));
        }
        Piece::Id(id) => {
            let epoch = text.bytes().take_while(u8::is_ascii_alphanumeric).count();
            let seq = text.get(epoch..)?.strip_prefix('-')?.bytes().take_while(u8::is_ascii_digit).count();
            (id.as_str(), (epoch > 0 && seq > 0).then_some(epoch + 1 + seq)?)
        }
        Piece::Run => {
            let id = text.strip_prefix("run_")?.bytes().take_while(u8::is_ascii_alphanumeric).count();
            (RUN, "run_".len() + id)
        }
    };
    let (here, text) = text.split_at(length);
    if bound.entry(name.into()).or_insert_with(|| here.into()) != here {
        return None;
    }
    fits(rest, text, bound, prefix)
}
