//! The static files of the operator's site at `/site/`, for everyone, as the console is.
//!
//! | module | idea |
//! |---|---|
//! | [`lookup`] | a path becomes an open file, never outside of the site |
//! | [`file_body`] | the file as a response body, in chunks |
//! | [`reads`] | bounds the reads of the site's disk |
//! | `media_type` | the content type by extension |

use std::{path::PathBuf, sync::Arc};

use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};

use self::{
    file_body::FileBody,
    lookup::{SiteEntry, SiteFile},
    reads::SiteReads,
};
use crate::http::{
    message::{
        conditional::names_tag,
        problem::{Code, Problem},
    },
    net::response::{Response, abortable, full},
};

pub mod file_body;
pub mod lookup;
mod media_type;
pub mod reads;

/// The path of the site.
pub const PREFIX: &str = "/site";

/// Largest file. The hub serves pages and what is on them; a longer transfer needs a server that can resume it.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// What a page of the site may do: use the site's scripts, styles, images and fonts, and connect to the hub.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; \
     media-src 'self' data: blob:; connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; \
     form-action 'self'; frame-ancestors 'none'";

/// The site of one core.
pub struct SiteState {
    /// The directory; `None` when the hub has no site. It may be a symbolic link that is replaced while the hub runs.
    pub directory: Option<Arc<PathBuf>>,
    /// Permits for reading it.
    pub reads: Arc<SiteReads>,
}

/// `GET /site/…`: the file, 302 for a directory without its final slash, or 304.
///
/// # Errors
/// When there is no such file, it is too large, or it cannot be read now.
pub async fn handle(state: &SiteState, uri: &Uri, headers: &HeaderMap) -> Result<Response, Problem> {
    let no_site = || Problem::new(Code::NotFound, "this hub serves no site; start it with --site DIR");
    let directory = Arc::clone(state.directory.as_ref().ok_or_else(no_site)?);
    let missing = || Problem::new(Code::NotFound, "the site has no such file");
    let wanted = lookup::wanted(uri.path().strip_prefix(PREFIX).unwrap_or_default()).ok_or_else(missing)?;
    let busy = |error: &dyn std::fmt::Display| {
        tracing::warn!(error = %error, "a file of the site cannot be read");
        Problem::new(Code::OverCapacity, "the site's files cannot be read now; retry in a moment")
    };
    let found = state.reads.run(move || lookup::find(&directory, &wanted)).await.map_err(|error| busy(&error))?;
    let file = match found.map_err(|error| busy(&error))? {
        SiteEntry::Missing => return Err(missing()),
        SiteEntry::Directory => return Ok(with_slash(uri)),
        SiteEntry::File(file) => file,
    };
    if file.length > MAX_FILE_BYTES {
        let detail = format!(
            "the file has {} bytes, and the hub serves files of at most {MAX_FILE_BYTES}; put it on a file server",
            file.length
        );
        return Err(Problem::new(Code::NotFound, detail));
    }
    Ok(response(state, file, headers))
}

fn response(state: &SiteState, file: SiteFile, headers: &HeaderMap) -> Response {
    let (tag, modified) = (file.tag(), file.modified_text());
    let mut response = if is_known(headers, &tag, modified.as_deref()) {
        let mut response = Response::new(full(""));
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        let media_type = HeaderValue::from_static(file.media_type);
        let mut response = Response::new(abortable(FileBody::new(file, Arc::clone(&state.reads))));
        response.headers_mut().insert(header::CONTENT_TYPE, media_type);
        response
    };
    let headers = response.headers_mut();
    let text = |text: &str| HeaderValue::from_str(text).expect("digits and letters");
    headers.insert(header::ETAG, text(&tag));
    if let Some(modified) = modified {
        headers.insert(header::LAST_MODIFIED, text(&modified));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

/// Whether the client has this version. `If-Modified-Since` counts when it repeats what the client was told: a file may
/// be replaced by an older one.
fn is_known(headers: &HeaderMap, tag: &str, modified: Option<&str>) -> bool {
    if headers.contains_key(header::IF_NONE_MATCH) {
        return names_tag(headers, tag.as_bytes());
    }
    let since = headers.get(header::IF_MODIFIED_SINCE).and_then(|value| value.to_str().ok());
    since.is_some() && since == modified
}

/// 302 to the same directory with a slash, relative, because a proxy may serve the hub below a path of its own.
fn with_slash(uri: &Uri) -> Response {
    let name = uri.path().rsplit('/').next().unwrap_or_default();
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::FOUND;
    let location = HeaderValue::try_from(format!("./{name}/{query}")).expect("a part of a valid URI");
    response.headers_mut().insert(header::LOCATION, location);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests {
    use std::fs;

    use http_body_util::BodyExt;
    use tempfile::TempDir;

    use super::*;

    fn site() -> (TempDir, SiteState) {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().join("site");
        fs::create_dir_all(root.join("sub")).expect("made");
        fs::write(root.join("index.html"), "<p>home").expect("written");
        fs::write(root.join("sub/index.html"), "<p>sub").expect("written");
        fs::write(root.join("big.bin"), vec![7; 200_000]).expect("written");
        let state = SiteState { directory: Some(Arc::new(root)), reads: Arc::default() };
        (directory, state)
    }

    async fn get(state: &SiteState, target: &str, headers: &[(&'static str, &str)]) -> Result<Response, Problem> {
        let value = |text: &str| HeaderValue::from_str(text).expect("valid");
        let headers = headers.iter().map(|(name, text)| (name.parse().expect("a name"), value(text))).collect();
        handle(state, &target.parse().expect("a target"), &headers).await
    }

    async fn body(response: Response) -> Vec<u8> {
        response.into_body().collect().await.expect("whole").to_bytes().into()
    }

    #[tokio::test]
    async fn a_directory_is_its_index_and_has_a_slash() {
        let (_directory, state) = site();
        for (target, want) in [("/site/", "<p>home"), ("/site/index.html", "<p>home"), ("/site/sub/", "<p>sub")] {
            let response = get(&state, target, &[]).await.expect("there");
            assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
            assert_eq!(response.headers()["content-security-policy"], POLICY);
            assert_eq!(body(response).await, want.as_bytes(), "{target}");
        }
        for (target, want) in [("/site", "./site/"), ("/site/sub?x=1", "./sub/?x=1")] {
            let response = get(&state, target, &[]).await.expect("there");
            assert_eq!(
                (response.status(), &response.headers()["location"]),
                (StatusCode::FOUND, &want.parse().unwrap())
            );
        }
    }

    #[tokio::test]
    async fn a_version_that_the_client_has_is_not_sent_again() {
        let (directory, state) = site();
        let first = get(&state, "/site/", &[]).await.expect("there");
        let told = |name: &str| first.headers()[name].to_str().expect("text").to_owned();
        let (tag, modified) = (told("etag"), told("last-modified"));
        let several = format!("\"other\", {tag}");
        let known: [&[(&'static str, &str)]; 4] = [
            &[("if-none-match", &tag)],
            &[("if-none-match", &several)],
            &[("if-none-match", "*")],
            &[("if-modified-since", &modified)],
        ];
        for headers in known {
            let response = get(&state, "/site/", headers).await.expect("there");
            assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{headers:?}");
            assert_eq!(response.headers()["etag"], tag);
            assert_eq!(body(response).await, b"");
        }
        let both = [("if-none-match", "\"other\""), ("if-modified-since", modified.as_str())];
        assert_eq!(get(&state, "/site/", &both).await.expect("there").status(), StatusCode::OK);
        fs::write(directory.path().join("site/index.html"), "<p>changed").expect("written");
        assert_eq!(get(&state, "/site/", &[("if-none-match", &tag)]).await.expect("there").status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn a_file_of_several_chunks_is_whole_and_one_that_shrinks_is_broken_off() {
        let (directory, state) = site();
        let whole = get(&state, "/site/big.bin", &[]).await.expect("there");
        assert_eq!(whole.headers()["content-type"], "application/octet-stream");
        assert_eq!(body(whole).await, vec![7; 200_000]);

        let cut = get(&state, "/site/big.bin", &[]).await.expect("there");
        fs::OpenOptions::new()
            .write(true)
            .open(directory.path().join("site/big.bin"))
            .unwrap()
            .set_len(99_999)
            .unwrap();
        assert!(cut.into_body().collect().await.is_err(), "a client must not take it for the whole");
    }

    #[tokio::test]
    async fn a_file_beyond_the_bound_is_refused_with_the_bound() {
        let (directory, state) = site();
        let file = fs::File::create(directory.path().join("site/huge")).expect("made");
        file.set_len(MAX_FILE_BYTES).expect("sparse");
        assert!(get(&state, "/site/huge", &[]).await.is_ok());
        file.set_len(MAX_FILE_BYTES + 1).expect("sparse");
        let problem = get(&state, "/site/huge", &[]).await.err().expect("refused");
        assert!(problem.detail.contains(&MAX_FILE_BYTES.to_string()), "{problem}");
    }

    #[tokio::test]
    async fn without_a_site_the_answer_says_how_to_have_one() {
        let state = SiteState { directory: None, reads: Arc::default() };
        let problem = get(&state, "/site/", &[]).await.err().expect("refused");
        assert!(problem.code == Code::NotFound && problem.detail.contains("--site"), "{problem}");
    }
}
