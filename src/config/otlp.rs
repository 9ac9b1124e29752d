//! Where traces and metrics are exported: the text forms of the keys in `[otlp]`, and the file of headers.

use std::fs;

use super::{
    errors::ConfigErrors,
    keys::Otlp,
    kinds::{ValueKind, problem},
    names::Token,
};
use crate::client::{HttpUrl, InvalidUrl};

/// The URL of an OpenTelemetry collector, to which `/v1/traces` and `/v1/metrics` are added.
#[derive(Debug)]
pub struct CollectorUrl;
/// A share: a number from 0 to 1.
#[derive(Debug)]
pub struct Share;

/// Largest file of headers, in bytes: some tokens.
const MAX_HEADERS_BYTES: usize = 64 << 10;

/// Headers as a file has them, in order. `Debug` shows no value: they are credentials.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ExtraHeaders(pub Vec<(String, String)>);

impl ValueKind for CollectorUrl {
    type Value = HttpUrl;
    const METAVAR: &'static str = "URL";

    fn parse(text: &str) -> Result<HttpUrl, Vec<String>> {
        match HttpUrl::parse(text) {
            Err(InvalidUrl::UserInfo) => {
                problem("has a user name or a secret; put it into the file of otlp.headers_file")
            }
            Ok(url) if url.query.is_some() || text.contains('#') => {
                problem("has a query or a fragment; paths are added to the URL, so it ends with a path or without one")
            }
            Ok(url)
                if ["/v1/traces", "/v1/metrics"].iter().any(|path| url.path.trim_end_matches('/').ends_with(path)) =>
            {
                problem("has the path of one signal; /v1/traces and /v1/metrics are added to the URL, so leave it out")
            }
            Ok(url) => Ok(url),
            Err(_) => problem("is not the URL of a collector; write it like http://127.0.0.1:4318"),
        }
    }
}

impl ValueKind for Share {
    type Value = f64;
    const METAVAR: &'static str = "SHARE";

    fn parse(text: &str) -> Result<f64, Vec<String>> {
        let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
        share.map_or_else(|| problem("is not a number from 0 to 1"), Ok)
    }
}

impl Otlp {
    /// The headers of `headers_file`: a line `Name: value` for each. Blank lines and lines that begin with `#` are skipped.
    ///
    /// # Errors
    /// When the file cannot be read, or has a line that is no header. No error shows a value.
    pub fn headers(&self) -> Result<ExtraHeaders, ConfigErrors> {
        let mut errors = ConfigErrors::default();
        let mut headers = ExtraHeaders::default();
        let key = "otlp.headers_file";
        let Some(path) = &self.headers_file else { return Ok(headers) };
        match fs::read_to_string(path) {
            Err(error) => errors.push(key, format_args!("{} cannot be read: {error}", path.display())),
            Ok(text) if text.len() > MAX_HEADERS_BYTES => {
                errors.push(key, format_args!("{} has more than {MAX_HEADERS_BYTES} bytes", path.display()));
            }
            Ok(text) => {
                for (line, number) in text.lines().zip(1..) {
                    match header(line) {
                        Ok(header) => headers.0.extend(header),
                        Err(problem) => errors.push(key, format_args!("{} line {number}: {problem}", path.display())),
                    }
                }
            }
        }
        errors.into_result(headers)
    }
}

/// The header of a line; `None` for a line without one.
fn header(line: &str) -> Result<Option<(String, String)>, &'static str> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (name, value) = line.split_once(':').ok_or("no header; write it like Name: value")?;
    let (name, value) = (name.trim(), value.trim());
    if Token::parse(name).is_err() {
        return Err("the name is not one of a header");
    }
    // The hub's own: they say how the body is to be read.
    if ["content-type", "content-length", "content-encoding", "transfer-encoding", "host", "connection"]
        .contains(&&*name.to_ascii_lowercase())
    {
        return Err("the hub sets this header itself");
    }
    if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err("the value has other characters than printable ASCII");
    }
    Ok(Some((name.into(), value.into())))
}

impl std::fmt::Debug for ExtraHeaders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_url_without_a_query_and_without_the_path_of_a_signal() {
        for (text, path) in [("http://127.0.0.1:4318", "/"), ("https://otlp.example/a/b/", "/a/b/")] {
            assert_eq!(CollectorUrl::parse(text).expect(text).path, path);
        }
        for (text, why) in [
            ("127.0.0.1:4318", "http://127.0.0.1:4318"),
            ("grpc://127.0.0.1:4317", "http://127.0.0.1:4318"),
            ("http://me:secret@a", "headers_file"),
            ("http://a/?key=1", "query"),
            ("http://a/v1/traces", "leave it out"),
        ] {
            let problems = CollectorUrl::parse(text).expect_err(text);
            assert!(problems[0].contains(why), "{text}: {problems:?}");
        }
    }

    #[test]
    fn a_share_is_from_0_to_1() {
        assert_eq!((Share::parse("0"), Share::parse("0.25"), Share::parse("1")), (Ok(0.0), Ok(0.25), Ok(1.0)));
        for text in ["", "1.1", "-0.1", "NaN", "10%"] {
            Share::parse(text).expect_err(text);
        }
    }

    #[test]
    fn headers_are_lines_and_a_value_is_never_shown() {
        assert_eq!(header("Authorization:  Bearer a:b "), Ok(Some(("Authorization".into(), "Bearer a:b".into()))));
        assert_eq!((header("  "), header("# x: y")), (Ok(None), Ok(None)));
        for line in ["secret", "a b: secret", ": secret", "x: sécret", "Content-Type: secret", "Host: secret"] {
            let problem = header(line).expect_err(line);
            assert!(!problem.contains("secret"), "{problem}");
        }
        let headers = ExtraHeaders(vec![("x".into(), "secret".into())]);
        assert_eq!(format!("{headers:?}"), "[\"x\"]");
    }
}
