//! Parses the body of a chunked response as it arrives.

/// Removes the head and the framing of the chunks.
#[derive(Default)]
pub(crate) struct Chunks {
    state: State,
    line: Vec<u8>,
}

#[derive(Default)]
enum State {
    #[default]
    Head,
    Size,
    Data(usize),
    /// The line break after a chunk.
    After,
}

impl Chunks {
    /// Returns the part of the body in `bytes`.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let mut body = Vec::with_capacity(bytes.len());
        while !bytes.is_empty() {
            if let State::Data(left) = self.state {
                let (data, rest) = bytes.split_at(left.min(bytes.len()));
                body.extend_from_slice(data);
                bytes = rest;
                self.state = if left == data.len() { State::After } else { State::Data(left - data.len()) };
                continue;
            }
            let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else {
                self.line.extend_from_slice(bytes);
                break;
            };
            self.line.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            self.take_line();
        }
        body
    }

    fn take_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = std::str::from_utf8(&line).expect("frames are text").trim_end();
        self.state = match self.state {
            State::Head if line.is_empty() => State::Size,
            State::Head => {
                assert!(!line.starts_with("HTTP/") || line.starts_with("HTTP/1.1 200 "), "refused: {line}");
                State::Head
            }
            State::Size => State::Data(usize::from_str_radix(line, 16).expect("a chunk's size")),
            State::After => State::Size,
            State::Data(_) => unreachable!("data has no lines"),
        };
    }
}
