//! What a browser wants to use a response for: the header `Sec-Fetch-Dest`.

use http::{HeaderMap, HeaderName};

use super::problem::{Code, Problem};

/// Uses in which a browser runs nothing of the response, at most in the sandbox of its own policy.
const WITHOUT_CODE: [&str; 9] = ["empty", "document", "image", "audio", "video", "track", "font", "embed", "object"];

const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Refuses a request for a script, a style or a worker. For responses whose media type a publisher chooses: the hub's own pages
/// run what is of their origin, and so are these.
///
/// # Errors
/// 403.
pub fn not_code(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.get(SEC_FETCH_DEST).is_none_or(|asked| WITHOUT_CODE.iter().any(|one| *one == asked)) {
        return Ok(());
    }
    Err(Problem::new(Code::OriginForbidden, "what publishers sent is no script, style or worker of a page"))
}
