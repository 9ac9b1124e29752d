//! An incremental parser for HTTP/1.1 responses, which may arrive in pieces of any size: heads, and bodies with a
//! length, chunked, or up to the end of the connection.
//!
//! Written by hand: a client that allocates for each of ten thousand streams, or copies their bodies, would dominate
//! the measurement. Heads are parsed by httparse.

use std::str::FromStr;

/// Headers of one response at most; the servers send fewer.
const MAX_HEADERS: usize = 64;

/// Longest head, in bytes.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// A part of a response.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ResponsePart<'a> {
    /// The head.
    Head { status: u16 },
    /// Some of the body.
    Data(&'a [u8]),
    /// The end of the body.
    End,
}

/// The state of the parser: what the next byte belongs to.
#[derive(Debug)]
enum ParseState {
    /// In a head; the bytes read so far.
    Head(Vec<u8>),
    /// In a body with a length; the bytes left.
    Length(u64),
    /// In a body that ends with the connection.
    Rest,
    /// In a chunk size; the value so far.
    Size(u64),
    /// After a chunk size, before the end of its line.
    Extension(u64),
    /// In a chunk; the bytes left.
    Chunk(u64),
    /// After a chunk, before the end of its line.
    ChunkEnd,
    /// After the last chunk; `blank`: the current line is empty so far.
    Trailer { blank: bool },
}

/// Parses consecutive responses of one connection.
#[derive(Debug)]
pub(super) struct Responses(ParseState);

impl Default for Responses {
    fn default() -> Self {
        Self(ParseState::Head(Vec::new()))
    }
}

impl Responses {
    /// Parses `bytes` and passes the parts in it to `part`.
    ///
    /// # Errors
    /// A description, when the bytes are not valid HTTP. The parser must not be used after that.
    pub(super) fn feed<E: From<String>>(
        &mut self,
        mut bytes: &[u8],
        mut part: impl FnMut(ResponsePart<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            match &mut self.0 {
                ParseState::Head(_) => bytes = self.head(bytes, &mut part)?,
                ParseState::Rest => return part(ResponsePart::Data(bytes)),
                ParseState::Length(left) | ParseState::Chunk(left) => {
                    let (data, rest) =
                        bytes.split_at(usize::try_from(*left).map_or(bytes.len(), |n| n.min(bytes.len())));
                    *left -= data.len() as u64;
                    bytes = rest;
                    part(ResponsePart::Data(data))?;
                    match self.0 {
                        ParseState::Length(0) => self.end(&mut part)?,
                        ParseState::Chunk(0) => self.0 = ParseState::ChunkEnd,
                        _ => {}
                    }
                }
                ParseState::Size(size) => {
                    let digit = char::from(bytes[0]).to_digit(16);
                    match digit {
                        Some(digit) if *size < 1 << 56 => {
                            *size = *size << 4 | u64::from(digit);
                            bytes = &bytes[1..];
                        }
                        Some(_) => return Err("a chunk size out of range".to_owned().into()),
                        None => self.0 = ParseState::Extension(*size),
                    }
                }
                ParseState::Extension(size) => {
                    let size = *size;
                    if skip_line(&mut bytes) {
                        self.0 = if size == 0 { ParseState::Trailer { blank: true } } else { ParseState::Chunk(size) };
                    }
                }
                ParseState::ChunkEnd => {
                    if skip_line(&mut bytes) {
                        self.0 = ParseState::Size(0);
                    }
                }
                ParseState::Trailer { blank } => {
                    let (byte, rest) = (bytes[0], &bytes[1..]);
                    bytes = rest;
                    match byte {
                        b'\n' if *blank => self.end(&mut part)?,
                        b'\n' => *blank = true,
                        b'\r' => {}
                        _ => *blank = false,
                    }
                }
            }
        }
        Ok(())
    }

    fn end<E>(&mut self, part: &mut impl FnMut(ResponsePart<'_>) -> Result<(), E>) -> Result<(), E> {
        self.0 = ParseState::Head(Vec::new());
        part(ResponsePart::End)
    }

    /// Parses a head, or buffers an incomplete one; returns the bytes after it.
    fn head<'a, E: From<String>>(
        &mut self,
        bytes: &'a [u8],
        part: &mut impl FnMut(ResponsePart<'_>) -> Result<(), E>,
    ) -> Result<&'a [u8], E> {
        let ParseState::Head(buffer) = &mut self.0 else { unreachable!("called in a head only") };
        let before = buffer.len();
        buffer.extend_from_slice(&bytes[..bytes.len().min(MAX_HEAD_BYTES - before.min(MAX_HEAD_BYTES) + 1)]);
        if buffer.len() > MAX_HEAD_BYTES {
            return Err("a head of more than 64 KiB".to_owned().into());
        }
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Response::new(&mut headers);
        let length = match head.parse(buffer) {
            Ok(httparse::Status::Partial) => return Ok(&[]),
            Ok(httparse::Status::Complete(length)) => length,
            Err(error) => return Err(format!("invalid HTTP: {error}").into()),
        };
        let status = head.code.expect("complete");
        let body = body(status, head.headers);
        self.0 = body.unwrap_or(ParseState::Head(Vec::new()));
        part(ResponsePart::Head { status })?;
        if matches!(self.0, ParseState::Head(_)) && status >= 200 {
            part(ResponsePart::End)?;
        }
        Ok(&bytes[length - before..])
    }
}

/// How a body is delimited; `None` when there is none.
fn body(status: u16, headers: &[httparse::Header<'_>]) -> Option<ParseState> {
    let value = |name: &str| {
        let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok()
    };
    if status < 200 || status == 204 || status == 304 {
        None
    } else if value("transfer-encoding").is_some_and(|coding| coding.to_ascii_lowercase().contains("chunked")) {
        Some(ParseState::Size(0))
    } else {
        match value("content-length").map(|length| u64::from_str(length.trim())) {
            Some(Ok(0)) => None,
            Some(Ok(length)) => Some(ParseState::Length(length)),
            _ => Some(ParseState::Rest),
        }
    }
}

/// Skips to after the end of the line; `false` when it has not arrived yet.
fn skip_line(bytes: &mut &[u8]) -> bool {
    let end = memchr::memchr(b'\n', bytes);
    *bytes = end.map_or(&[], |end| &bytes[end + 1..]);
    end.is_some()
}

/// Splits a body that arrives in pieces into lines. A line is copied only when it is spread over several pieces.
#[derive(Debug, Default)]
pub(super) struct BodyLines {
    partial: Vec<u8>,
}

impl BodyLines {
    /// Passes the complete lines in `bytes` to `line`, without their line ends.
    pub(super) fn feed<E>(&mut self, mut bytes: &[u8], mut line: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            if self.partial.is_empty() {
                line(without_cr(&bytes[..end]))?;
            } else {
                self.partial.extend_from_slice(&bytes[..end]);
                // The allocation is freed: of ten thousand streams few are in the middle of a line.
                let partial = std::mem::take(&mut self.partial);
                line(without_cr(&partial))?;
            }
            bytes = &bytes[end + 1..];
        }
        self.partial.extend_from_slice(bytes);
        Ok(())
    }
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, size: usize) -> Result<Vec<String>, String> {
        let (mut responses, mut all) = (Responses::default(), Vec::<String>::new());
        for piece in text.as_bytes().chunks(size) {
            responses.feed(piece, |part| {
                let said = match part {
                    ResponsePart::Head { status } => status.to_string(),
                    ResponsePart::End => "end".into(),
                    ResponsePart::Data(data) => {
                        let data = String::from_utf8_lossy(data);
                        match all.last_mut() {
                            Some(last) if last.starts_with('+') => last.push_str(&data),
                            _ => all.push(format!("+{data}")),
                        }
                        return Ok::<_, String>(());
                    }
                };
                all.push(said);
                Ok(())
            })?;
        }
        Ok(all)
    }

    #[test]
    fn responses_in_pieces_of_any_size_read_the_same() {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                    5\r\nhello\r\n6;x=y\r\n\nworld\r\n0\r\nt: v\r\n\r\n\
                    HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nok\
                    HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n\
                    HTTP/1.1 200 OK\r\n\r\nto the end";
        let want = [
            "100",
            "200",
            "+hello\nworld",
            "end",
            "201",
            "+ok",
            "end",
            "204",
            "end",
            "404",
            "end",
            "200",
            "+to the end",
        ];
        for size in 1..=text.len() {
            assert_eq!(read(text, size).expect("HTTP"), want, "pieces of {size}");
        }
    }

    #[test]
    fn invalid_http_is_an_error() {
        read("SSH-2.0-OpenSSH\r\n\r\n", 100).expect_err("not HTTP");
        read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", 100)
            .expect_err("too large");
        read(&format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(MAX_HEAD_BYTES)), 1000).expect_err("endless");
    }

    #[test]
    fn lines_in_pieces_of_any_size_read_the_same() {
        let text = b"id: 1\r\n\ndata: a\nrest";
        for size in 1..=text.len() {
            let (mut lines, mut all) = (BodyLines::default(), Vec::new());
            for piece in text.chunks(size) {
                lines
                    .feed(piece, |line| {
                        all.push(line.to_vec());
                        Ok::<_, ()>(())
                    })
                    .expect("no errors");
            }
            assert_eq!(all, [&b"id: 1"[..], b"", b"data: a"], "pieces of {size}");
        }
    }
}
