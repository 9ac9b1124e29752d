//! A file that is part of the program: plain and compressed, with the tag by which a client asks for it again.

use std::io::Write;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::http::{
    message::conditional::names_tag,
    net::response::{Response, full},
};

/// A file, ready to be sent.
pub struct Asset {
    media_type: &'static str,
    plain: Bytes,
    gzip: Bytes,
    /// Its `ETag`, with the quotation marks.
    tag: HeaderValue,
}

impl Asset {
    /// The file with this content. Compresses it, which takes milliseconds.
    #[must_use]
    pub fn new(media_type: &'static str, content: &'static [u8]) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let gzip = encoder.write_all(content).and_then(|()| encoder.finish()).expect("memory takes every byte");
        let hash = digest(&SHA256, content);
        // Weak, because the plain and the compressed file share it.
        let tag =
            hash.as_ref()[..12].iter().fold(String::from("W/\""), |tag, byte| tag + &format!("{byte:02x}")) + "\"";
        let tag = HeaderValue::try_from(tag).expect("hexadecimal digits");
        Self { media_type, plain: content.into(), gzip: gzip.into(), tag }
    }

    /// The file, or 304 for a client that has it.
    #[must_use]
    pub fn response(&self, headers: &HeaderMap) -> Response {
        let mut response = if names_tag(headers, self.tag.as_bytes()) {
            let mut response = Response::new(full(""));
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        } else if takes_gzip(headers) {
            let mut response = Response::new(full(self.gzip.clone()));
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            response
        } else {
            Response::new(full(self.plain.clone()))
        };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        headers.insert(header::ETAG, self.tag.clone());
        // Clients ask each time, because another version of the hub has another file at the same path.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        response
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
    use http_body_util::BodyExt;

    use super::*;

    const CONTENT: &[u8] = b"what is sent, what is sent, what is sent";

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().expect("a value"))])
    }

    async fn body(response: Response) -> Bytes {
        response.into_body().collect().await.expect("whole").to_bytes()
    }

    #[tokio::test]
    async fn the_compressed_form_becomes_the_file() {
        let asset = Asset::new("text/plain", CONTENT);
        assert_eq!(body(asset.response(&HeaderMap::new())).await, CONTENT);
        let compressed = body(asset.response(&headers(header::ACCEPT_ENCODING, "gzip"))).await;
        assert!(compressed.len() < CONTENT.len());
        let mut plain = Vec::new();
        GzDecoder::new(&*compressed).read_to_end(&mut plain).expect("gzip");
        assert_eq!(plain, CONTENT);
    }

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        let asset = Asset::new("text/plain", CONTENT);
        for (accepted, encoded) in [
            ("gzip, deflate, br", true),
            ("br;q=1.0, GZIP;q=0.2", true),
            ("gzip;q=0", false),
            ("br", false),
            ("", false),
        ] {
            let response = asset.response(&headers(header::ACCEPT_ENCODING, accepted));
            assert_eq!(response.headers().contains_key(header::CONTENT_ENCODING), encoded, "{accepted}");
        }
    }

    #[test]
    fn a_client_that_has_the_file_gets_304() {
        let asset = Asset::new("text/plain", CONTENT);
        let first = asset.response(&HeaderMap::new());
        let tag = first.headers()[header::ETAG].to_str().expect("text");
        let again = asset.response(&headers(header::IF_NONE_MATCH, tag));
        assert_eq!((first.status(), again.status()), (StatusCode::OK, StatusCode::NOT_MODIFIED));
        let other = Asset::new("text/plain", b"another file");
        assert_eq!(other.response(&headers(header::IF_NONE_MATCH, tag)).status(), StatusCode::OK);
    }
}
