//! A JSON object between the lines of an SSE stream: some providers report an error like this, without `data:`.

/// Collects one object, which begins a line and may have several.
#[derive(Debug, Default)]
pub(super) struct BareObject {
    /// Without line ends: between tokens they mean nothing, and inside a string JSON forbids them.
    text: Vec<u8>,
    depth: usize,
    in_string: bool,
    after_backslash: bool,
    /// The last byte taken, and whether the line has others than line ends.
    last: u8,
    has_line: bool,
}

/// What [`BareObject::take`] has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BareProgress {
    /// The end of the input.
    Unfinished,
    /// The end of the object.
    Complete,
    /// A blank line, after which events begin again: it was no object.
    Blank,
}

impl BareObject {
    /// Takes bytes of `rest`, up to the end of the object or a blank line.
    pub(super) fn take(&mut self, rest: &mut &[u8]) -> BareProgress {
        while let Some((&byte, after)) = rest.split_first() {
            *rest = after;
            let last = std::mem::replace(&mut self.last, byte);
            if matches!(byte, b'\n' | b'\r') {
                let is_same_end = last == b'\r' && byte == b'\n';
                if !is_same_end && !std::mem::take(&mut self.has_line) {
                    return BareProgress::Blank;
                }
                continue;
            }
            self.has_line = true;
            self.text.push(byte);
            match byte {
                _ if self.after_backslash => self.after_backslash = false,
                b'\\' if self.in_string => self.after_backslash = true,
                b'"' => self.in_string = !self.in_string,
                b'{' if !self.in_string => self.depth += 1,
                b'}' if !self.in_string => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            if self.depth == 0 {
                return BareProgress::Complete;
            }
        }
        BareProgress::Unfinished
    }

    /// Bytes held.
    pub(super) fn held(&self) -> usize {
        self.text.len()
    }

    /// The object, if it reports an error; any other is as meaningless in SSE as an unknown field.
    pub(super) fn into_error(self) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Report<'a> {
            #[serde(borrow)]
            error: &'a serde_json::value::RawValue,
        }
        let text = String::from_utf8(self.text).ok()?;
        let reports = serde_json::from_str::<Report<'_>>(&text).is_ok_and(|report| report.error.get() != "null");
        reports.then_some(text)
    }
}
