//! HTTP/1.1 responses as they arrive, in pieces of any size: heads, and bodies with a length, in chunks, or to the end.
//!
//! By hand, because a client that allocates for each of ten thousand streams, or copies their bodies, would be what is
//! measured. Heads are read by httparse.

use std::str::FromStr;

/// Headers of one answer that are looked at; more is no hub's.
const HEADERS: usize = 64;

/// Longest head, in bytes.
const HEAD_BYTES: usize = 64 << 10;

/// A part of a response.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ResponsePart<'a> {
    /// The head.
    Head { status: u16 },
    /// Some of the body.
    Data(&'a [u8]),
    /// The body is over.
    End,
}

/// Where in which response the next byte stands.
#[derive(Debug)]
enum ParseState {
    /// In a head, of which this was read.
    Head(Vec<u8>),
    /// In a body of which so much is left.
    Length(u64),
    /// In a body that ends with the connection.
    Rest,
    /// In a chunk's size.
    Size(u64),
    /// Behind a chunk's size, before its line's end.
    Extension(u64),
    /// In a chunk of which so much is left.
    Chunk(u64),
    /// Behind a chunk, before its line's end.
    ChunkEnd,
    /// Behind the last chunk; whether the line has anything in it.
    Trailer { blank: bool },
}

/// Reads one response after the other.
#[derive(Debug)]
pub(super) struct Responses(ParseState);

impl Default for Responses {
    fn default() -> Self {
        Self(ParseState::Head(Vec::new()))
    }
}

impl Responses {
    /// Takes what was read and hands out the parts in it.
    ///
    /// # Errors
    /// In words, when it is no HTTP; what follows then means nothing.
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
                        Some(_) => return Err("a chunk of more than a memory has".to_owned().into()),
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

    /// Takes a head, or what there is of it; what follows it is left.
    fn head<'a, E: From<String>>(
        &mut self,
        bytes: &'a [u8],
        part: &mut impl FnMut(ResponsePart<'_>) -> Result<(), E>,
    ) -> Result<&'a [u8], E> {
        let ParseState::Head(begun) = &mut self.0 else { unreachable!("asked in a head only") };
        let before = begun.len();
        begun.extend_from_slice(&bytes[..bytes.len().min(HEAD_BYTES - before.min(HEAD_BYTES) + 1)]);
        if begun.len() > HEAD_BYTES {
            return Err("a head without an end".to_owned().into());
        }
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut head = httparse::Response::new(&mut headers);
        let length = match head.parse(begun) {
            Ok(httparse::Status::Partial) => return Ok(&[]),
            Ok(httparse::Status::Complete(length)) => length,
            Err(error) => return Err(format!("no HTTP: {error}").into()),
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

/// Goes behind the line's end; `false` when it is still to come.
fn skip_line(bytes: &mut &[u8]) -> bool {
    let end = memchr::memchr(b'\n', bytes);
    *bytes = end.map_or(&[], |end| &bytes[end + 1..]);
    end.is_some()
}

/// Lines of a body that arrives in pieces. A line is copied only when it is not all in one of them.
#[derive(Debug, Default)]
pub(super) struct BodyLines {
    begun: Vec<u8>,
}

impl BodyLines {
    /// Takes what was read and hands out the lines in it, without their ends.
    pub(super) fn feed<E>(&mut self, mut bytes: &[u8], mut line: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            if self.begun.is_empty() {
                line(without_cr(&bytes[..end]))?;
            } else {
                self.begun.extend_from_slice(&bytes[..end]);
                // Given back: of ten thousand streams few are in the middle of a line.
                let begun = std::mem::take(&mut self.begun);
                line(without_cr(&begun))?;
            }
            bytes = &bytes[end + 1..];
        }
        self.begun.extend_from_slice(bytes);
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
    fn what_is_no_http_is_told() {
        read("SSH-2.0-OpenSSH\r\n\r\n", 100).expect_err("no HTTP");
        read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", 100)
            .expect_err("too large");
        read(&format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(HEAD_BYTES)), 1000).expect_err("endless");
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
