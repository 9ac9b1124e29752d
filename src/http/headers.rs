//! Headers that may come once, and one that may not come.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::problem::{Code, Problem};

/// The only value of a header.
///
/// # Errors
/// When there are several: whoever reads another one than we do would be told something else.
pub fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Problem> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_) => Err(Problem::new(Code::HeaderInvalid, format!("the header {name} came twice; send it once"))),
    }
}

/// Lets a body in that is as it was written: nothing is unpacked here, so nothing can unpack to more than it seems.
///
/// # Errors
/// When it is compressed, or may be.
pub fn uncompressed(headers: &HeaderMap) -> Result<(), Problem> {
    let encoding = one(headers, &header::CONTENT_ENCODING)?;
    if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        let detail = "send the body without Content-Encoding; events are kept and sent as they came";
        return Err(Problem::new(Code::EncodingUnsupported, detail));
    }
    Ok(())
}
