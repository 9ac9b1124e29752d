//! Requests as they arrived.

use std::{io, time::Instant};

use serde_json::Value;

/// Bound on a head; none of an SDK comes near it.
const MAX_HEAD: usize = 64 << 10;

/// A request, complete.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// When it was complete.
    pub(crate) at: Instant,
    pub(crate) method: String,
    /// Path and query, as sent.
    pub(crate) target: String,
    /// Header lines in their order, names as sent.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The target without its query.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The value of the first header of this name, in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Its body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }
}

/// What the first bytes of a connection are.
pub(super) enum Parsed {
    /// Not all of a request.
    Part,
    /// A request, and the number of its bytes.
    Whole(Request, usize),
}

/// Parses the request at the start of `bytes`.
pub(super) fn parse(bytes: &[u8]) -> io::Result<Parsed> {
    let bad = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut lines = [httparse::EMPTY_HEADER; 128];
    let mut head = httparse::Request::new(&mut lines);
    let head_length = match head.parse(bytes).map_err(|error| bad(error.to_string()))? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial if bytes.len() > MAX_HEAD => return Err(bad("the head has no end".into())),
        httparse::Status::Partial => return Ok(Parsed::Part),
    };
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let mut request = Request {
        at: Instant::now(),
        method: head.method.unwrap_or_default().into(),
        target: head.path.unwrap_or_default().into(),
        headers: head.headers.iter().map(|line| (line.name.to_owned(), text(line.value))).collect(),
        body: Vec::new(),
    };
    let rest = &bytes[head_length..];
    let chunked = request.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    let body = if chunked {
        unchunk(rest).map_err(bad)?
    } else {
        let length = request.header("content-length").unwrap_or("0");
        let length: usize = length.parse().map_err(|_| bad(format!("content-length: {length}")))?;
        rest.get(..length).map(|body| (body.to_vec(), length))
    };
    let Some((body, body_length)) = body else { return Ok(Parsed::Part) };
    request.body = body;
    Ok(Parsed::Whole(request, head_length + body_length))
}

/// A chunked body and the number of its bytes; `None` when it is not complete.
fn unchunk(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, String> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let (line, size) = match httparse::parse_chunk_size(&bytes[at..]) {
            Ok(httparse::Status::Complete(size)) => size,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err("not a chunk".into()),
        };
        at += line;
        let size = usize::try_from(size).map_err(|error| error.to_string())?;
        let Some(chunk) = bytes.get(at..at + size + 2) else { return Ok(None) };
        if !chunk.ends_with(b"\r\n") {
            return Err("a chunk is longer than its size".into());
        }
        body.extend_from_slice(&chunk[..size]);
        at += size + 2;
        if size == 0 {
            return Ok(Some((body, at)));
        }
    }
}
