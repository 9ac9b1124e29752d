//! The web page at `/`, for everyone. What it can do with the hub depends on the token that it sends.
//!
//! Its sources are in `console/`; what they are built into, `console/dist`, is part of the program.

use std::{io::Write, sync::OnceLock};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::task::spawn_blocking;

use crate::http::{
    message::{
        conditional::names_tag,
        problem::{Code, Problem},
    },
    net::response::{Response, full},
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

/// A file, ready to be sent.
struct Asset {
    plain: Bytes,
    gzip: Bytes,
    /// Its `ETag`, with the quotation marks.
    tag: HeaderValue,
}

static ASSETS: OnceLock<[Asset; FILES.len()]> = OnceLock::new();

/// The files. To compress them takes some 9 ms, the first time, so that is done on a thread that serves nobody.
async fn assets() -> &'static [Asset; FILES.len()] {
    let prepare = || ASSETS.get_or_init(|| FILES.map(|(_, _, content)| Asset::new(content)));
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
    let asset = &assets().await[place];
    let mut response = if names_tag(headers, asset.tag.as_bytes()) {
        let mut response = Response::new(full(""));
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else if takes_gzip(headers) {
        let mut response = Response::new(full(asset.gzip.clone()));
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        response
    } else {
        Response::new(full(asset.plain.clone()))
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(FILES[place].1));
    headers.insert(header::ETAG, asset.tag.clone());
    // Browsers ask each time, so that no page runs with the script of another version of the hub.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    Ok(response)
}

impl Asset {
    fn new(content: &'static [u8]) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let gzip = encoder.write_all(content).and_then(|()| encoder.finish()).expect("memory takes every byte");
        let hash = digest(&SHA256, content);
        // Weak, because the plain and the compressed file share it.
        let tag =
            hash.as_ref()[..12].iter().fold(String::from("W/\""), |tag, byte| tag + &format!("{byte:02x}")) + "\"";
        Self { plain: content.into(), gzip: gzip.into(), tag: HeaderValue::try_from(tag).expect("hexadecimal digits") }
    }
}

/// Whether the client takes gzip. `gzip;q=0` refuses it.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|weight| weight.trim().parse() == Ok(0.0_f32));
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    /// Compressed bytes of the first visit: what the issue asks for.
    const MOST_COMPRESSED: usize = 150 * 1024;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().expect("a value"))])
    }

    #[tokio::test]
    async fn every_file_is_what_its_compressed_form_becomes_and_a_visit_is_small() {
        let mut compressed = 0;
        for (asset, (name, _, content)) in assets().await.iter().zip(FILES) {
            let mut plain = Vec::new();
            GzDecoder::new(&*asset.gzip).read_to_end(&mut plain).expect("gzip");
            assert!(plain == content, "{name}");
            compressed += asset.gzip.len();
        }
        assert!(compressed < MOST_COMPRESSED, "{compressed}");
    }

    #[tokio::test]
    async fn a_browser_that_has_the_file_gets_304() {
        let first = handle("/", &HeaderMap::new()).await.expect("the page");
        let tag = first.headers()[header::ETAG].to_str().expect("text");
        let again = handle("/", &headers(header::IF_NONE_MATCH, tag)).await.expect("the page");
        assert_eq!((first.status(), again.status()), (StatusCode::OK, StatusCode::NOT_MODIFIED));
        let other = handle("/console/app.js", &headers(header::IF_NONE_MATCH, tag)).await.expect("the script");
        assert_eq!(other.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn gzip_is_sent_to_those_who_take_it() {
        for (accepted, encoded) in [
            ("gzip, deflate, br", true),
            ("br;q=1.0, GZIP;q=0.2", true),
            ("gzip;q=0", false),
            ("br", false),
            ("", false),
        ] {
            let response =
                handle("/console/app.js", &headers(header::ACCEPT_ENCODING, accepted)).await.expect("the script");
            assert_eq!(response.headers().contains_key(header::CONTENT_ENCODING), encoded, "{accepted}");
        }
    }

    #[tokio::test]
    async fn there_is_no_other_file() {
        for path in ["/console/index.html", "/console/../app.js", "/console/app.js/"] {
            assert!(handle(path, &HeaderMap::new()).await.is_err(), "{path}");
        }
    }
}
