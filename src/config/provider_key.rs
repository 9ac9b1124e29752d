//! Where the key of a provider is, and reading it.

use std::{
    ffi::OsString,
    fmt,
    io::Read as _,
    path::{Path, PathBuf},
};

use super::kinds::{ValueKind, problem};

/// Where the key of a provider is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderKey {
    /// In the first of these environment variables that is set and not empty.
    Variables(Vec<String>),
    /// In a file.
    File(PathBuf),
    /// It needs none.
    None,
}

/// A secret. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

/// The name of an environment variable in upper case. A lower-case one is refused: it may be a key that was written in
/// place of the name, and names are printed.
#[derive(Debug)]
pub struct VariableName;

/// Longest key. Those of providers have up to 200 bytes; a JWT used as one has more.
const MAX_KEY_BYTES: usize = 8192;

impl ProviderKey {
    /// Reads the key, from the environment of this process or from its file. `None` when none is needed.
    ///
    /// # Errors
    /// Why there is none, without any text of the variable or the file.
    pub fn read(&self) -> Result<Option<SecretText>, String> {
        self.read_with(|name| std::env::var_os(name))
    }

    fn read_with(&self, variable: impl Fn(&str) -> Option<OsString>) -> Result<Option<SecretText>, String> {
        let (text, place) = match self {
            Self::None => return Ok(None),
            Self::Variables(names) => {
                let set = |name: &String| Some((variable(name).filter(|value| !value.is_empty())?, name.clone()));
                let Some((value, name)) = names.iter().find_map(set) else {
                    let names = names.join(" or ");
                    return Err(format!("the key is missing: set the environment variable {names}"));
                };
                (value.into_encoded_bytes(), name)
            }
            Self::File(path) => {
                let text = read_file(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
                (text, path.display().to_string())
            }
        };
        // Editors and `echo` end a file with a line break.
        let key = str::from_utf8(text.trim_ascii()).ok().filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic()));
        let key = key.filter(|key| (1..=MAX_KEY_BYTES).contains(&key.len()));
        let key = key.ok_or_else(|| {
            format!("{place} has no key: a key is one word of 1 to {MAX_KEY_BYTES} visible ASCII characters")
        })?;
        Ok(Some(SecretText(key.into())))
    }
}

/// The bytes of a file, up to one more than a key with a line break can have: a device may have no end.
fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_KEY_BYTES as u64 + 3).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl SecretText {
    /// The secret.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(hidden)")
    }
}

impl ValueKind for VariableName {
    type Value = String;
    const METAVAR: &'static str = "VARIABLE";

    fn parse(text: &str) -> Result<String, Vec<String>> {
        let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        if text.is_empty() || text.starts_with(|c: char| c.is_ascii_digit()) || !text.bytes().all(plain) {
            return problem("is not the name of a variable in upper case, as in OPENAI_API_KEY");
        }
        Ok(text.into())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn read(key: &ProviderKey, environment: &[(&str, &str)]) -> Result<Option<String>, String> {
        let variable = |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into());
        key.read_with(variable).map(|key| key.map(|key| key.expose().to_owned()))
    }

    #[test]
    fn a_key_is_in_the_first_variable_that_is_set() {
        let key = ProviderKey::Variables(vec!["ONE".into(), "TWO".into()]);
        assert_eq!(read(&key, &[("TWO", "2"), ("ONE", "1")]), Ok(Some("1".into())));
        assert_eq!(read(&key, &[("TWO", " 2\n"), ("ONE", "")]), Ok(Some("2".into())));
        let error = read(&key, &[("THREE", "3")]).expect_err("missing");
        assert_eq!(error, "the key is missing: set the environment variable ONE or TWO");
        assert_eq!(read(&ProviderKey::None, &[]), Ok(None));
    }

    #[test]
    fn a_key_is_a_file_without_its_line_break_and_is_never_shown() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(b"sk-hunter2\r\n").expect("written");
        let key = ProviderKey::File(file.path().into());
        assert_eq!(read(&key, &[]), Ok(Some("sk-hunter2".into())));
        let secret = key.read().expect("a key").expect("one");
        assert!(!format!("{secret:?}").contains("hunter2"), "{secret:?}");
        file.write_all(b"hunter3").expect("written");
        let error = read(&key, &[]).expect_err("two words");
        assert!(error.contains("has no key") && !error.contains("hunter"), "{error}");
        for (path, want) in [("/no/such/key", "/no/such/key cannot be read"), ("/dev/zero", "has no key")] {
            let error = read(&ProviderKey::File(path.into()), &[]).expect_err(path);
            assert!(error.contains(want), "{error}");
        }
        let error =
            read(&ProviderKey::Variables(vec!["A".into()]), &[("A", "hunter2 hunter3")]).expect_err("two words");
        assert!(error.starts_with("A has no key") && !error.contains("hunter"), "{error}");
    }
}
