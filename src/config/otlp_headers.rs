//! The headers of an export by OTLP, from their file.

use std::fs;

use super::{errors::ConfigErrors, keys::Otlp, kinds::ValueKind, names::Token};

/// Largest file of headers, in bytes: some tokens.
const MAX_HEADERS_BYTES: usize = 64 << 10;

/// Headers as a file has them, in order. `Debug` shows no value: they are credentials.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ExtraHeaders(pub Vec<(String, String)>);

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
