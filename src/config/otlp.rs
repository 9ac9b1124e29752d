//! Where traces and metrics are exported: the text forms of the keys in `[otlp]`.

use super::kinds::{ValueKind, problem};
use crate::client::{HttpUrl, InvalidUrl};

/// The URL of an OpenTelemetry collector, to which `/v1/traces` and `/v1/metrics` are added.
#[derive(Debug)]
pub struct CollectorUrl;
/// A share: a number from 0 to 1.
#[derive(Debug)]
pub struct SampledShare;

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

impl ValueKind for SampledShare {
    type Value = f64;
    const METAVAR: &'static str = "SHARE";

    fn parse(text: &str) -> Result<f64, Vec<String>> {
        let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
        share.map_or_else(|| problem("is not a number from 0 to 1"), Ok)
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
        assert_eq!(
            (SampledShare::parse("0"), SampledShare::parse("0.25"), SampledShare::parse("1")),
            (Ok(0.0), Ok(0.25), Ok(1.0))
        );
        for text in ["", "1.1", "-0.1", "NaN", "10%"] {
            SampledShare::parse(text).expect_err(text);
        }
    }
}
