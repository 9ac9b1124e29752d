//! A query string, decoded as browsers' `URLSearchParams` does: pairs in order, keys may repeat, `+` is a space.
//!
//! Unknown keys are ignored, because browsers and proxies add their own. An escape that is not UTF-8 is an error only
//! for strict accessors: an invalid cursor must never stop an EventSource.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::problem::{Code, Problem};

/// A decoded query string. Pairs without escapes are borrowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query<'q>(Vec<QueryPair<'q>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct QueryPair<'q> {
    key: Cow<'q, str>,
    value: Cow<'q, str>,
    /// Whether the value's escapes are UTF-8; if not, `value` has U+FFFD in their place.
    exact: bool,
}

impl<'q> Query<'q> {
    /// Decodes the part of a request's target after the `?`.
    #[must_use]
    pub fn new(text: Option<&'q str>) -> Self {
        let pairs = text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        Self(pairs.map(QueryPair::new).collect())
    }

    /// Every value of `key`, in order.
    ///
    /// # Errors
    /// When one of them is not UTF-8.
    pub fn all<'a, 'k>(&'a self, key: &'k str) -> impl Iterator<Item = Result<&'a str, Problem>> + use<'a, 'k, 'q> {
        self.of(key).map(move |pair| {
            let detail = || format!("the query's '{key}' is not UTF-8; encode it as encodeURIComponent does");
            pair.exact.then_some(&*pair.value).ok_or_else(|| Problem::new(Code::QueryInvalid, detail()))
        })
    }

    /// The only value of `key`, if there is one.
    ///
    /// # Errors
    /// When there are several, or it is not UTF-8.
    pub fn one(&self, key: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.all(key);
        let first = values.next().transpose()?;
        match values.next() {
            None => Ok(first),
            Some(_) => Err(Problem::new(Code::QueryInvalid, format!("the query has several '{key}'; give it once"))),
        }
    }

    /// The first value of `key`; bytes that are not UTF-8 read as U+FFFD.
    #[must_use]
    pub fn lossy(&self, key: &str) -> Option<&str> {
        self.of(key).next().map(|pair| &*pair.value)
    }

    /// The values of all keys that match `is`, in order; decoded as by [`Query::lossy`].
    pub fn lossy_where(&self, is: impl Fn(&str) -> bool) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |pair| is(&pair.key)).map(|pair| &*pair.value)
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|pair| &*pair.key)
    }

    /// The only value of `key` as a boolean: `true`, `false`, `1` or `0`; false when it is absent.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn flag(&self, key: &str) -> Result<bool, Problem> {
        match self.one(key)? {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(_) => Err(Problem::new(Code::QueryInvalid, format!("the query's '{key}' must be true or false"))),
        }
    }

    /// The only value of `key` as a whole number from `least` to `most`, if there is one.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn number(&self, key: &str, least: u64, most: u64) -> Result<Option<u64>, Problem> {
        let Some(text) = self.one(key)? else { return Ok(None) };
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let value = digits.then(|| text.parse().ok()).flatten().filter(|value| (least..=most).contains(value));
        let problem = || {
            let detail = format!("the query's '{key}' must be a whole number from {least} to {most}");
            Problem::new(Code::QueryInvalid, detail)
        };
        value.map(Some).ok_or_else(problem)
    }

    fn of<'a, 'k>(&'a self, key: &'k str) -> impl Iterator<Item = &'a QueryPair<'q>> + use<'a, 'k, 'q> {
        self.0.iter().filter(move |pair| pair.key == key)
    }
}

impl<'q> QueryPair<'q> {
    fn new(text: &'q str) -> Self {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        let (value, exact) = decode(value);
        Self { key: decode(key).0, value, exact }
    }
}

/// Decodes `application/x-www-form-urlencoded`; the flag is whether the bytes were valid UTF-8.
fn decode(text: &str) -> (Cow<'_, str>, bool) {
    if !text.contains(['+', '%']) {
        return (text.into(), true);
    }
    let spaced = text.replace('+', " ");
    let bytes: Cow<'_, [u8]> = percent_decode_str(&spaced).into();
    match String::from_utf8(bytes.into_owned()) {
        Ok(text) => (text.into(), true),
        Err(error) => (String::from_utf8_lossy(error.as_bytes()).into_owned().into(), false),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_query_reads_as_browsers_write_it() {
        let query = Query::new(Some("topic=a+b&topic=%C3%BC%2Fx&&empty=&bare&half=100%&odd=%zz&a=b=c"));
        assert_eq!(query.all("topic").collect::<Result<Vec<_>, _>>(), Ok(vec!["a b", "ü/x"]));
        for (key, value) in [("empty", ""), ("bare", ""), ("half", "100%"), ("odd", "%zz"), ("a", "b=c")] {
            assert_eq!(query.one(key), Ok(Some(value)), "{key}");
        }
        assert_eq!(query.one("none"), Ok(None));
        assert_eq!(Query::new(None), Query::new(Some("")));
    }

    #[test]
    fn a_key_that_must_be_single_is_refused_twice() {
        let problem = Query::new(Some("topic=a&topic=a")).one("topic").unwrap_err();
        assert_eq!(problem.code, Code::QueryInvalid);
    }

    #[test]
    fn escapes_that_are_no_text_are_refused_where_asked_strictly_and_only_there() {
        let query = Query::new(Some("topic=%ff&other=%ff&%ff=x&ok=1"));
        assert_eq!(query.one("topic").unwrap_err().code, Code::QueryInvalid);
        assert_eq!(query.lossy("topic"), Some("\u{fffd}"));
        assert_eq!(query.one("ok"), Ok(Some("1")));
    }

    #[test]
    fn flags_and_numbers_take_nothing_else() {
        let query = Query::new(Some("a=true&b=0&c=yes&n=12&m=-1&o=9999999999999999999999&p=+1"));
        assert_eq!((query.flag("a"), query.flag("b"), query.flag("none")), (Ok(true), Ok(false), Ok(false)));
        assert!(query.flag("c").is_err());
        assert_eq!(query.number("n", 1, 12), Ok(Some(12)));
        assert_eq!(query.number("none", 1, 12), Ok(None));
        for (key, most) in [("n", 11), ("m", 9), ("o", u64::MAX), ("p", 9)] {
            assert!(query.number(key, 0, most).is_err(), "{key}");
        }
    }

    proptest! {
        #[test]
        fn any_value_survives_form_encoding(key in "[a-z]{1,4}", values in prop::collection::vec(any::<String>(), 0..4)) {
            let mut text = form_urlencoded::Serializer::new(String::new());
            text.extend_pairs(values.iter().map(|value| (&key, value)));
            let text = text.finish();
            let query = Query::new(Some(&text));
            let want: Vec<&str> = values.iter().map(String::as_str).collect();
            prop_assert_eq!(query.all(&key).collect::<Result<Vec<_>, _>>(), Ok(want));
        }
    }
}
