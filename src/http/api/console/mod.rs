//! The web page at `/`, for everyone. What it can do with the hub depends on the token that it sends.
//!
//! Its sources are in `console/`; what they are built into, `console/dist`, is part of the program.

use std::sync::OnceLock;

use http::{HeaderMap, HeaderValue, header};
use tokio::task::spawn_blocking;

use super::asset::Asset;
use crate::http::{
    message::problem::{Code, Problem},
    net::response::Response,
};

/// The path of what the page consists of.
pub const PREFIX: &str = "/console/";

/// What the page may do: run its own script, use its own style, and send requests to the hub that served it. Events may
/// contain images and sound, which are shown from memory. No text can become markup or script.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data: blob:; media-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// Path below [`PREFIX`], content type and content of each file.
const FILES: [(&str, &str, &[u8]); 4] = [
    ("", "text/html; charset=utf-8", include_bytes!("../../../../console/dist/index.html")),
    ("app.js", "text/javascript; charset=utf-8", include_bytes!("../../../../console/dist/console/app.js")),
    ("style.css", "text/css; charset=utf-8", include_bytes!("../../../../console/dist/console/style.css")),
    ("icon.svg", "image/svg+xml", include_bytes!("../../../../console/dist/console/icon.svg")),
];

static ASSETS: OnceLock<[Asset; FILES.len()]> = OnceLock::new();

/// The files. To compress them takes some 9 ms, the first time, so that is done on a thread that serves nobody.
async fn assets() -> &'static [Asset; FILES.len()] {
    let prepare = || ASSETS.get_or_init(|| FILES.map(|(_, media_type, content)| Asset::new(media_type, content)));
    match ASSETS.get() {
        Some(assets) => assets,
        None => spawn_blocking(prepare).await.expect("compressing does not panic"),
    }
}

/// `GET /` and `GET /console/…`: the file, or 304.
///
/// # Errors
/// [`Code::NotFound`] when there is no such file.
pub async fn handle(path: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let name = path.strip_prefix(PREFIX).filter(|name| !name.is_empty());
    let place = match name {
        None => 0,
        Some(name) => FILES
            .iter()
            .position(|(known, ..)| *known == name)
            .ok_or_else(|| Problem::new(Code::NotFound, "the console has no such file"))?,
    };
    // Browsers ask each time, so no page runs with the script of another version of the hub.
    let mut response = assets().await[place].response(headers);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use http_body_util::BodyExt;

    use super::*;

    /// Compressed bytes of the first visit: what the issue asks for.
    const MAX_COMPRESSED: usize = 150 * 1024;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().expect("a value"))])
    }

    #[tokio::test]
    async fn a_visit_is_small() {
        let mut compressed = 0;
        for (name, ..) in FILES {
            let takes_gzip = headers(header::ACCEPT_ENCODING, "gzip");
            let response = handle(&format!("{PREFIX}{name}"), &takes_gzip).await.expect("a file");
            compressed += response.into_body().collect().await.expect("whole").to_bytes().len();
        }
        assert!(compressed < MAX_COMPRESSED, "{compressed}");
    }

    #[tokio::test]
    async fn a_browser_that_has_the_page_gets_304_and_its_script_still() {
        let first = handle("/", &HeaderMap::new()).await.expect("the page");
        let tag = first.headers()[header::ETAG].to_str().expect("text");
        let again = handle("/", &headers(header::IF_NONE_MATCH, tag)).await.expect("the page");
        assert_eq!((first.status(), again.status()), (StatusCode::OK, StatusCode::NOT_MODIFIED));
        let other = handle("/console/app.js", &headers(header::IF_NONE_MATCH, tag)).await.expect("the script");
        assert_eq!(other.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn there_is_no_other_file() {
        for path in ["/console/index.html", "/console/../app.js", "/console/app.js/"] {
            assert!(handle(path, &HeaderMap::new()).await.is_err(), "{path}");
        }
    }
}
