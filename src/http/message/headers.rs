//! Headers that may occur once, and `Content-Encoding`, which is refused.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::problem::{Code, Problem};

/// The value of a header that may occur once.
///
/// # Errors
/// When it occurs more than once: a proxy might use another value than the hub.
pub fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Problem> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_) => Err(Problem::new(Code::HeaderInvalid, format!("the header {name} came twice; send it once"))),
    }
}

/// Accepts only a body without compression. The hub decompresses nothing, so a small body cannot expand to a large one.
///
/// # Errors
/// When `Content-Encoding` is anything but `identity`.
pub fn uncompressed(headers: &HeaderMap) -> Result<(), Problem> {
    let encoding = one(headers, &header::CONTENT_ENCODING)?;
    if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        let detail = "send the body without Content-Encoding; the hub stores and sends events as it receives them";
        return Err(Problem::new(Code::EncodingUnsupported, detail));
    }
    Ok(())
}
