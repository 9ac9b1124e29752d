//! URI templates (RFC 6570) as selectors: does a text come from the template, with any values of its variables?
//!
//! A template becomes one regular expression, which is matched in linear time. Values are texts, as in level 3 of the RFC;
//! lists (`{x*}`) and prefixes (`{x:3}`) are taken as well. A variable may have no value, as in the RFC.

use std::fmt::Write;

use regex::bytes::{Regex, RegexBuilder};

/// Bytes of a compiled expression at most, of a template as of a part of a URL pattern. A template of twenty ordinary
/// variables takes a third of it.
pub const MAX_COMPILED_BYTES: usize = 128 << 10;

/// Variables of one expression at most: what it compiles to grows with their square.
const MAX_VARIABLES: usize = 8;

/// Characters of a value that are not escaped: unreserved ones, and those of IRIs, which a topic may have as they are.
const UNRESERVED: &str = r"(?:[A-Za-z0-9\-._~]|%[0-9A-Fa-f]{2}|[\xC0-\xFF][\x80-\xBF]*)";

/// The same, and the reserved ones, for `{+x}` and `{#x}`.
const RESERVED: &str = r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2}|[\xC0-\xFF][\x80-\xBF]*)";

/// A compiled template.
#[derive(Debug)]
pub struct UriTemplate(Regex);

/// How an expression's operator writes values: RFC 6570, appendix A.
struct Operator {
    first: &'static str,
    separator: &'static str,
    named: bool,
    reserved: bool,
}

impl Operator {
    fn of(c: char) -> Option<Self> {
        let (first, separator, named, reserved) = match c {
            '+' => ("", ",", false, true),
            '#' => ("#", ",", false, true),
            '.' => (".", ".", false, false),
            '/' => ("/", "/", false, false),
            ';' => (";", ";", true, false),
            '?' => ("?", "&", true, false),
            '&' => ("&", "&", true, false),
            _ => return None,
        };
        Some(Self { first, separator, named, reserved })
    }
}

/// A variable of an expression.
struct Variable<'t> {
    name: &'t str,
    /// Characters at most.
    prefix: Option<u16>,
    /// Whether it may be a list.
    exploded: bool,
}

impl UriTemplate {
    /// Compiles `text`; `None` when it has no expression, or is no template that can be matched.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        if !text.contains('{') {
            return None;
        }
        let mut regex = String::from(r"\A(?:");
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once('{') {
            push_literal(&mut regex, literal)?;
            let (expression, after) = after.split_once('}')?;
            push_expression(&mut regex, expression)?;
            rest = after;
        }
        push_literal(&mut regex, rest)?;
        regex.push_str(r")\z");
        // By bytes: the classes of Unicode would make it a hundred times as large.
        RegexBuilder::new(&regex).unicode(false).size_limit(MAX_COMPILED_BYTES).build().ok().map(Self)
    }

    /// Whether some values of the variables make this text.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text.as_bytes())
    }
}

fn push_literal(regex: &mut String, literal: &str) -> Option<()> {
    regex.push_str(&regex::escape(literal));
    (!literal.contains('}')).then_some(())
}

fn push_expression(regex: &mut String, expression: &str) -> Option<()> {
    let operator = expression.chars().next().and_then(Operator::of);
    let list = if operator.is_some() { &expression[1..] } else { expression };
    let operator = operator.unwrap_or(Operator { first: "", separator: ",", named: false, reserved: false });
    let variables: Vec<Variable<'_>> = list.split(',').map(Variable::new).collect::<Option<_>>()?;
    if variables.len() > MAX_VARIABLES {
        return None;
    }
    let (first, separator) = (regex::escape(operator.first), regex::escape(operator.separator));
    regex.push_str("(?:");
    // Variables without a value are left out, so any of them may be the first one.
    for from in 0..variables.len() {
        regex.push_str(if from > 0 { "|" } else { "" });
        regex.push_str(&first);
        variables[from].push(regex, &operator);
        for variable in &variables[from + 1..] {
            write!(regex, "(?:{separator}").expect("memory");
            variable.push(regex, &operator);
            regex.push_str(")?");
        }
    }
    regex.push_str(")?");
    Some(())
}

impl<'t> Variable<'t> {
    fn new(text: &'t str) -> Option<Self> {
        let (text, exploded) = text.strip_suffix('*').map_or((text, false), |text| (text, true));
        let (name, prefix) = match text.split_once(':') {
            Some((name, digits)) => {
                let number = (1..=4).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
                (name, Some(digits.parse().ok().filter(|length| number && *length > 0)?))
            }
            None => (text, None),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '%');
        let valid = !name.is_empty() && name.chars().all(plain) && !(exploded && prefix.is_some());
        valid.then_some(Self { name, prefix, exploded })
    }

    /// One value, or those of a list.
    fn push(&self, regex: &mut String, operator: &Operator) {
        let characters = if operator.reserved { RESERVED } else { UNRESERVED };
        let count = self.prefix.map_or_else(|| "*".to_owned(), |most| format!("{{0,{most}}}"));
        let value = if operator.named {
            format!("{}(?:={characters}{count})?", regex::escape(self.name))
        } else {
            format!("{characters}{count}")
        };
        regex.push_str(&value);
        if self.exploded {
            write!(regex, "(?:{}{value})*", regex::escape(operator.separator)).expect("memory");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(template: &str, text: &str) -> bool {
        UriTemplate::new(template).expect(template).matches(text)
    }

    #[test]
    fn each_operator_takes_what_it_would_write_and_nothing_else() {
        for (template, yes, no) in [
            (
                "https://example.com/books/{id}",
                &["https://example.com/books/1", "https://example.com/books/é"][..],
                &[
                    "https://example.com/books/1/x",
                    "https://example.com/books",
                    "xhttps://example.com/books/1",
                    "https://example.com/books/1\n",
                ][..],
            ),
            ("/{+path}", &["/a/b?c#d", "/"], &["a", "/a b"]),
            ("/x{#part}", &["/x#a/b", "/x"], &["/xa"]),
            ("file{.ext}", &["file.txt", "file"], &["file.a/b"]),
            ("{/a,b}", &["/1/2", "/1", ""], &["/1/2/3", "1"]),
            ("/x{;a,b}", &["/x;a=1;b=2", "/x;a", "/x;b=2"], &["/x;b=2;a=1", "/x;c=1"]),
            ("/x{?q,n}", &["/x?q=a&n=1", "/x?n=1", "/x", "/x?q="], &["/x?n=1&q=a", "/x?z=1", "/xq=1"]),
            ("/x?a=1{&b}", &["/x?a=1&b=2", "/x?a=1"], &["/x?a=1?b=2"]),
            ("{a,b}", &["1,2", "1", ""], &["1,2,3", "1/2"]),
            ("/t/{x*}", &["/t/1,2,3", "/t/1"], &["/t/1/2"]),
            ("{/list*}", &["/a/b/c/d"], &["a/b"]),
            ("/u/{name:3}", &["/u/abc", "/u/", "/u/éàü"], &["/u/abcd", "/u/éàüx"]),
            ("a.b{x}", &["a.b1"], &["aXb1"]),
        ] {
            for text in yes {
                assert!(matches(template, text), "{template} {text}");
            }
            for text in no {
                assert!(!matches(template, text), "{template} {text}");
            }
        }
    }

    #[test]
    fn what_is_no_template_is_none() {
        for text in
            ["plain", "{", "}", "a{b", "a}b{c}", "{}", "{a b}", "{=a}", "{a:0}", "{a:12345}", "{a:3*}", "{{a}}", "{a,}"]
        {
            assert!(UriTemplate::new(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_template_is_bounded_in_size() {
        let variables = |count| format!("{{?{}}}", vec!["a"; count].join(","));
        assert!(UriTemplate::new(&variables(MAX_VARIABLES)).is_some());
        assert!(UriTemplate::new(&variables(MAX_VARIABLES + 1)).is_none());
        assert!(UriTemplate::new(&"{x:9999}".repeat(500)).is_none(), "it would compile to megabytes");
    }

    #[test]
    fn a_hostile_template_is_matched_in_linear_time() {
        let template = UriTemplate::new(&"{a}{b}{c}".repeat(20)).expect("a template");
        assert!(!template.matches(&format!("{}/", "a".repeat(200_000))));
    }
}
