//! Headers that may come once.

use http::{HeaderMap, HeaderName, HeaderValue};

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
