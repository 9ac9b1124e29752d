//! What the head of every request must satisfy.

use http::{HeaderMap, Request, Version, header};

use super::state::Limits;
use crate::http::message::{
    headers,
    problem::{Code, Problem},
};

/// Checks the size of each header line and of all headers. hyper has its own bound, but a coarse one, and none for a
/// line.
///
/// # Errors
/// When one of them is too large.
pub fn check_headers(headers: &HeaderMap, limits: &Limits) -> Result<(), Problem> {
    let mut total = 0;
    for (name, value) in headers {
        let size = name.as_str().len() + value.len();
        total += size;
        if size > limits.header_line_bytes {
            let detail = format!("the header '{name}' has more than {} bytes; shorten it", limits.header_line_bytes);
            return Err(Problem::new(Code::HeadersTooLarge, detail));
        }
    }
    if total > limits.headers_bytes {
        let detail = format!("the headers have more than {} bytes together; send fewer", limits.headers_bytes);
        return Err(Problem::new(Code::HeadersTooLarge, detail));
    }
    Ok(())
}

/// Checks what RFC 9112 requires beyond hyper: one `Host` (3.2), and no transfer coding but `chunked` (6.1). hyper
/// passes bodies of other codings on undecoded.
///
/// # Errors
/// When the request is not framed so.
pub fn check_framing<B>(request: &Request<B>) -> Result<(), Problem> {
    let headers = request.headers();
    if headers::one(headers, &header::HOST)?.is_none() && request.version() == Version::HTTP_11 {
        return Err(Problem::new(Code::HeaderInvalid, "the header Host is missing; HTTP/1.1 needs it"));
    }
    let lines = headers.get_all(header::TRANSFER_ENCODING).iter();
    let codings = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let mut codings = codings.map(<[u8]>::trim_ascii).filter(|coding| !coding.is_empty());
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(only), None) if only.eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Problem::new(
            Code::TransferEncodingUnsupported,
            "send the body with Content-Length, or with Transfer-Encoding: chunked and nothing else",
        )),
    }
}
