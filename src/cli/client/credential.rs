//! The token, and its sources. It is sent only in the `Authorization` header, and never in a URL, a log or a message.

use std::{
    cell::RefCell,
    ffi::OsString,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use hyper::header::HeaderValue;

use super::args::{HubArgs, Secret};
use crate::{access::MAX_CREDENTIAL_BYTES, cli::CliError};

/// The environment variable of the token.
pub(super) const VARIABLE: &str = "GAPLESS_TOKEN";

/// The credential that is sent with each request.
#[derive(Debug)]
pub(in crate::cli) struct ClientCredential {
    source: CredentialSource,
    /// The value that was sent last.
    last_sent: RefCell<Option<HeaderValue>>,
}

#[derive(Debug)]
enum CredentialSource {
    Nothing,
    /// A constant token.
    Fixed(HeaderValue),
    /// A file that is read each time, because it may be replaced while a client runs.
    File(PathBuf),
}

impl ClientCredential {
    /// No credential.
    pub(super) fn none() -> Self {
        Self { source: CredentialSource::Nothing, last_sent: RefCell::default() }
    }

    /// The token of the command line, else of the `environment`.
    ///
    /// # Errors
    /// When it is not a valid token, so that a mistake is reported before anything is sent.
    pub(super) fn find(args: &HubArgs, environment: Option<OsString>) -> Result<Self, CliError> {
        let source = match (&args.token, &args.token_file, environment) {
            (Some(Secret(token)), ..) => CredentialSource::Fixed(header("--token", token.as_bytes())?),
            (None, Some(path), _) => CredentialSource::of_file(path)?,
            (None, None, Some(token)) => CredentialSource::Fixed(header(VARIABLE, token.as_encoded_bytes())?),
            (None, None, None) => CredentialSource::Nothing,
        };
        Ok(Self { source, last_sent: RefCell::default() })
    }

    /// Whether there is one.
    pub(super) fn is_some(&self) -> bool {
        !matches!(self.source, CredentialSource::Nothing)
    }

    /// The value of `Authorization`, if there is a token.
    ///
    /// # Errors
    /// When the file cannot be read any more, or has no valid token.
    pub(in crate::cli) fn authorization(&self) -> Result<Option<HeaderValue>, CliError> {
        let now = self.source.now()?;
        self.last_sent.borrow_mut().clone_from(&now);
        Ok(now)
    }

    /// Whether the file contains another token than the one that was sent last.
    pub(in crate::cli) fn has_changed(&self) -> bool {
        self.source.now().is_ok_and(|now| now != *self.last_sent.borrow())
    }
}

impl CredentialSource {
    fn of_file(path: &Path) -> Result<Self, CliError> {
        let token = read(path)?;
        // A pipe, such as a shell's <(…), can be read only once.
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

/// Reads the token in a file, with or without a line break at its end.
fn read(path: &Path) -> Result<HeaderValue, CliError> {
    let from = path.display().to_string();
    let mut bytes = Vec::new();
    // A little more than the longest token, for the line break, and so that a longer file is refused as too long.
    let max = MAX_CREDENTIAL_BYTES as u64 + 16;
    let unreadable =
        |error: io::Error| CliError::Token { from: from.clone(), problem: format!("it cannot be read: {error}") };
    File::open(path).and_then(|file| file.take(max).read_to_end(&mut bytes)).map_err(unreadable)?;
    header(&from, &bytes)
}

/// The header value `Bearer TOKEN`, marked as sensitive. Errors do not repeat the token.
fn header(from: &str, token: &[u8]) -> Result<HeaderValue, CliError> {
    let token = token.trim_ascii();
    let wrong = |problem: &str| Err(CliError::Token { from: from.into(), problem: problem.into() });
    if token.is_empty() {
        return wrong("it is empty");
    }
    if token.len() > MAX_CREDENTIAL_BYTES {
        return wrong(&format!("it has more than {MAX_CREDENTIAL_BYTES} bytes, the most that a hub accepts"));
    }
    if token.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"bearer ")) {
        return wrong("give the token alone, without Bearer");
    }
    if let Some(at) = token.iter().position(|byte| !byte.is_ascii_graphic()) {
        let what = match token[at] {
            byte if byte.is_ascii_whitespace() => "a space or a line break",
            byte if byte.is_ascii() => "a control character",
            _ => "a character that is not ASCII",
        };
        return wrong(&format!("it contains {what} after {at} bytes"));
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
        let authorization = ClientCredential::find(&args(line), environment.map(Into::into))?.authorization()?;
        Ok(authorization.map(|value| value.to_str().expect("ASCII").into()))
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
    fn an_invalid_token_is_refused_and_not_repeated() {
        let long = "x".repeat(MAX_CREDENTIAL_BYTES + 1);
        for (token, want) in [
            ("", "empty"),
            (" \n", "empty"),
            ("sec ret", "a space"),
            ("sec\nret", "a line break"),
            ("sec\u{7f}ret", "a control character"),
            ("sec\u{fc}ret", "not ASCII"),
            ("bearer secret", "without Bearer"),
            (&long, "8192 bytes"),
        ] {
            let message = found(&[], Some(token)).expect_err(want).to_string();
            assert!(message.contains(want) && message.contains(VARIABLE), "{message}");
            assert!(!message.contains("sec") && !message.contains("ret") && !message.contains("xx"), "{message}");
        }
        assert!(found(&[], Some(&long[1..])).is_ok(), "the longest");
        let message = found(&["--token-file", "/no/such/file"], None).expect_err("no file").to_string();
        assert!(message.contains("/no/such/file") && message.contains("cannot be read"), "{message}");
        // Reading is bounded: this file is endless.
        let message = found(&["--token-file", "/dev/zero"], None).expect_err("endless").to_string();
        assert!(message.contains("8192 bytes"), "{message}");
    }

    #[test]
    fn a_replaced_token_file_is_noticed() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("token");
        fs::write(&path, "old\n").expect("written");
        let credential =
            ClientCredential::find(&args(&["--token-file", path.to_str().expect("UTF-8")]), None).expect("old");
        credential.authorization().expect("shown");
        assert!(!credential.has_changed());
        fs::write(&path, "new\n").expect("written");
        assert!(credential.has_changed());
        assert_eq!(credential.authorization().expect("shown").expect("a token"), "Bearer new");
        assert!(!credential.has_changed());
        fs::remove_file(&path).expect("ours");
        assert!(!credential.has_changed() && credential.authorization().is_err(), "a missing token is not a change");
    }

    #[test]
    fn a_pipe_is_read_once() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        writer.write_all(b"piped").expect("written");
        drop(writer);
        let path = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
        let credential = ClientCredential::find(&args(&["--token-file", &path]), None).expect("a token");
        for _ in 0..2 {
            assert_eq!(credential.authorization().expect("kept").expect("a token"), "Bearer piped");
        }
    }

    #[test]
    fn debug_output_never_shows_a_token() {
        let credential = ClientCredential::find(&args(&["--token", "secret"]), None).expect("a token");
        let _authorization = credential.authorization();
        assert!(!format!("{credential:?}").contains("secret"), "{credential:?}");
    }
}
