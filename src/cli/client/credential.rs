//! A token, and where it comes from. It goes into one header and nowhere else: no URL, no log, no message.

use std::{
    cell::RefCell,
    ffi::OsString,
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use hyper::header::HeaderValue;

use super::HubArgs;
use crate::{access::MAX_CREDENTIAL_BYTES, cli::CliError};

/// The environment's token.
pub(super) const VARIABLE: &str = "GAPLESS_TOKEN";

/// A token as it was typed, kept from being printed.
#[derive(Clone)]
pub(super) struct Secret(String);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// What the hub is shown with each request.
#[derive(Debug)]
pub(in crate::cli) struct ClientCredential {
    source: CredentialSource,
    /// What it was shown last.
    shown: RefCell<Option<HeaderValue>>,
}

#[derive(Debug)]
enum CredentialSource {
    Nothing,
    /// It does not change.
    Fixed(HeaderValue),
    /// Read anew each time: whoever mints tokens for a client that stays replaces the file.
    File(PathBuf),
}

impl ClientCredential {
    /// None.
    pub(super) fn none() -> Self {
        Self { source: CredentialSource::Nothing, shown: RefCell::default() }
    }

    /// The one of the command line, else of the `environment`.
    ///
    /// # Errors
    /// When it can be none, so that a mistake is told before anything is sent.
    pub(super) fn find(args: &HubArgs, environment: Option<OsString>) -> Result<Self, CliError> {
        let source = match (&args.token, &args.token_file, environment) {
            (Some(Secret(token)), ..) => CredentialSource::Fixed(header("--token", token.as_bytes())?),
            (None, Some(path), _) => CredentialSource::of_file(path)?,
            (None, None, Some(token)) => CredentialSource::Fixed(header(VARIABLE, token.as_encoded_bytes())?),
            (None, None, None) => CredentialSource::Nothing,
        };
        Ok(Self { source, shown: RefCell::default() })
    }

    /// Whether there is one.
    pub(super) fn is_some(&self) -> bool {
        !matches!(self.source, CredentialSource::Nothing)
    }

    /// The value of `Authorization`, if there is one.
    ///
    /// # Errors
    /// When the file cannot be read any more, or holds no token.
    pub(in crate::cli) fn show(&self) -> Result<Option<HeaderValue>, CliError> {
        let now = self.source.now()?;
        self.shown.borrow_mut().clone_from(&now);
        Ok(now)
    }

    /// Whether the file holds another token than the one that was shown last.
    pub(in crate::cli) fn is_renewed(&self) -> bool {
        self.source.now().is_ok_and(|now| now != *self.shown.borrow())
    }
}

impl CredentialSource {
    fn of_file(path: &Path) -> Result<Self, CliError> {
        let token = read(path)?;
        // A pipe, as a shell's <(…), gives its token once.
        Ok(if path.is_file() { Self::File(path.into()) } else { Self::Fixed(token) })
    }

    fn now(&self) -> Result<Option<HeaderValue>, CliError> {
        match self {
            Self::Nothing => Ok(None),
            Self::Fixed(token) => Ok(Some(token.clone())),
            Self::File(path) => read(path).map(Some),
        }
    }
}

/// The token in a file, with or without a line's end.
fn read(path: &Path) -> Result<HeaderValue, CliError> {
    let from = path.display().to_string();
    let mut bytes = Vec::new();
    // Some more for the line's end. A file that is longer than any token is told as such.
    let most = MAX_CREDENTIAL_BYTES as u64 + 16;
    let told =
        |error: io::Error| CliError::Token { from: from.clone(), problem: format!("it cannot be read: {error}") };
    File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)).map_err(told)?;
    header(&from, &bytes)
}

/// `Bearer` and the token, marked as nothing to print. Says what is wrong with it without repeating it.
fn header(from: &str, token: &[u8]) -> Result<HeaderValue, CliError> {
    let token = token.trim_ascii();
    let wrong = |problem: &str| Err(CliError::Token { from: from.into(), problem: problem.into() });
    if token.is_empty() {
        return wrong("it is empty");
    }
    if token.len() > MAX_CREDENTIAL_BYTES {
        return wrong(&format!("it has more than {MAX_CREDENTIAL_BYTES} bytes, which no hub takes"));
    }
    if token.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"bearer ")) {
        return wrong("it is the token alone, without Bearer");
    }
    if let Some(at) = token.iter().position(|byte| !byte.is_ascii_graphic()) {
        let what = match token[at] {
            byte if byte.is_ascii_whitespace() => "a space or a line's end",
            byte if byte.is_ascii() => "a control character",
            _ => "a character that is not ASCII",
        };
        return wrong(&format!("there is {what} in it, after {at} bytes; no token has that"));
    }
    let mut value = HeaderValue::from_bytes(&[b"Bearer ", token].concat()).expect("visible ASCII");
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use super::{super::tests::args, *};

    fn found(line: &[&str], environment: Option<&str>) -> Result<Option<String>, CliError> {
        let shown = ClientCredential::find(&args(line), environment.map(Into::into))?.show()?;
        Ok(shown.map(|value| value.to_str().expect("ASCII").into()))
    }

    #[test]
    fn a_flag_beats_the_environment() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        writeln!(file, "filed").expect("written");
        let path = file.path().to_str().expect("UTF-8");
        for (line, environment, want) in [
            (&["--token", "typed"][..], Some("set"), Some("Bearer typed")),
            (&["--token-file", path], Some("set"), Some("Bearer filed")),
            (&[], Some("set\n"), Some("Bearer set")),
            (&[], None, None),
        ] {
            assert_eq!(found(line, environment).expect("a token").as_deref(), want, "{line:?}");
        }
    }

    #[test]
    fn what_is_no_token_is_told_and_not_repeated() {
        let long = "x".repeat(MAX_CREDENTIAL_BYTES + 1);
        for (token, want) in [
            ("", "empty"),
            (" \n", "empty"),
            ("sec ret", "a space"),
            ("sec\nret", "a line's end"),
            ("sec\u{7f}ret", "a control character"),
            ("sec\u{fc}ret", "not ASCII"),
            ("bearer secret", "without Bearer"),
            (&long, "8192 bytes"),
        ] {
            let told = found(&[], Some(token)).expect_err(want).to_string();
            assert!(told.contains(want) && told.contains(VARIABLE), "{told}");
            assert!(!told.contains("sec") && !told.contains("ret") && !told.contains("xx"), "{told}");
        }
        assert!(found(&[], Some(&long[1..])).is_ok(), "the longest");
        let told = found(&["--token-file", "/no/such/file"], None).expect_err("no file").to_string();
        assert!(told.contains("/no/such/file") && told.contains("cannot be read"), "{told}");
        // No more is read of a file than a token may have: this one has no end.
        let told = found(&["--token-file", "/dev/zero"], None).expect_err("endless").to_string();
        assert!(told.contains("8192 bytes"), "{told}");
    }

    #[test]
    fn a_file_is_read_anew_and_a_replaced_token_is_noticed() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("token");
        fs::write(&path, "old\n").expect("written");
        let credential =
            ClientCredential::find(&args(&["--token-file", path.to_str().expect("UTF-8")]), None).expect("old");
        credential.show().expect("shown");
        assert!(!credential.is_renewed());
        fs::write(&path, "new\n").expect("written");
        assert!(credential.is_renewed());
        assert_eq!(credential.show().expect("shown").expect("a token"), "Bearer new");
        assert!(!credential.is_renewed());
        fs::remove_file(&path).expect("ours");
        assert!(!credential.is_renewed() && credential.show().is_err(), "no token is no new token");
    }

    #[test]
    fn a_pipe_is_read_once() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        writer.write_all(b"piped").expect("written");
        drop(writer);
        let path = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
        let credential = ClientCredential::find(&args(&["--token-file", &path]), None).expect("a token");
        for _ in 0..2 {
            assert_eq!(credential.show().expect("kept").expect("a token"), "Bearer piped");
        }
    }

    #[test]
    fn a_token_is_not_printed_by_accident() {
        let credential = ClientCredential::find(&args(&["--token", "secret"]), None).expect("a token");
        let _shown = credential.show();
        assert!(!format!("{credential:?}").contains("secret"), "{credential:?}");
    }
}
