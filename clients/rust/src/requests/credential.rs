//! The token, and its sources. It is sent only in the `Authorization` header, and never in a URL, a log or a message.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
};

use hyper::header::HeaderValue;
use parking_lot::Mutex;

use crate::{BoxError, ClientError};

/// Longest token, in bytes: a hub accepts no longer one.
pub const MAX_TOKEN_BYTES: usize = 8192;

/// Why a caller's function got no token.
#[derive(Debug)]
pub enum TokenFailure {
    /// It is called again later, as after a failure of the network.
    Later(BoxError),
    /// What needs the token ends with this error.
    Final(BoxError),
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for TokenFailure {
    /// An error is final, unless the function says otherwise.
    fn from(error: E) -> Self {
        Self::Final(error.into())
    }
}

/// What a token function returns, in a box.
pub(crate) type TokenFuture = Pin<Box<dyn Future<Output = Result<String, TokenFailure>> + Send>>;

/// A token function.
pub(crate) type TokenFunction = Arc<dyn Fn() -> TokenFuture + Send + Sync>;

/// The credential that is sent with each request.
pub struct Credential {
    source: CredentialSource,
    /// The value that was sent last.
    last_sent: Mutex<Option<HeaderValue>>,
}

enum CredentialSource {
    Nothing,
    /// A constant token.
    Fixed(HeaderValue),
    /// A file that is read each time, because it may be replaced while a client runs.
    File(PathBuf),
    /// A function that is called for the first request, and again after a refusal.
    Function(TokenFunction),
}

impl Credential {
    /// No credential.
    #[must_use]
    pub fn none() -> Self {
        Self::new(CredentialSource::Nothing)
    }

    /// The token `token`. `from` is its source, for the message.
    ///
    /// # Errors
    /// When it is not a valid token, so that a mistake is reported before anything is sent.
    pub fn fixed(from: &str, token: &[u8]) -> Result<Self, ClientError> {
        Ok(Self::new(CredentialSource::Fixed(header(from, token)?)))
    }

    /// The token in a file, which is read for each request. That of a pipe, such as a shell's `<(…)`, is read once.
    ///
    /// # Errors
    /// When it cannot be read, or has no valid token.
    pub fn file(path: &Path) -> Result<Self, ClientError> {
        let token = read(path)?;
        Ok(Self::new(if path.is_file() { CredentialSource::File(path.into()) } else { CredentialSource::Fixed(token) }))
    }

    pub(crate) fn function(function: TokenFunction) -> Self {
        Self::new(CredentialSource::Function(function))
    }

    fn new(source: CredentialSource) -> Self {
        Self { source, last_sent: Mutex::default() }
    }

    /// Whether there is one.
    #[must_use]
    pub fn is_some(&self) -> bool {
        !matches!(self.source, CredentialSource::Nothing)
    }

    /// The value of `Authorization`, if there is a token. Cancel safe: a function is then called again.
    ///
    /// # Errors
    /// When the file cannot be read any more, or has no valid token; or the function's failure.
    pub async fn authorization(&self) -> Result<Option<HeaderValue>, ClientError> {
        let now = match &self.source {
            CredentialSource::Function(function) => {
                let kept = self.last_sent.lock().clone();
                match kept {
                    Some(token) => Some(token),
                    None => Some(ask(function).await?),
                }
            }
            source => source.now()?,
        };
        self.last_sent.lock().clone_from(&now);
        Ok(now)
    }

    /// After a refusal (401): whether the next [`authorization`](Self::authorization) may be another one. That is so when the
    /// file has been replaced since, and always with a function, which is called again.
    pub fn renew(&self) -> bool {
        match &self.source {
            CredentialSource::Function(_) => {
                *self.last_sent.lock() = None;
                true
            }
            source => source.now().is_ok_and(|now| now != *self.last_sent.lock()),
        }
    }
}

impl CredentialSource {
    fn now(&self) -> Result<Option<HeaderValue>, ClientError> {
        match self {
            Self::Nothing | Self::Function(_) => Ok(None),
            Self::Fixed(token) => Ok(Some(token.clone())),
            Self::File(path) => read(path).map(Some),
        }
    }
}

async fn ask(function: &TokenFunction) -> Result<HeaderValue, ClientError> {
    match function().await {
        Ok(token) => header("the function", token.as_bytes())
            .map_err(|error| ClientError::TokenFunction(error.to_string().into())),
        Err(TokenFailure::Later(error)) => Err(ClientError::TokenLater(error)),
        Err(TokenFailure::Final(error)) => Err(ClientError::TokenFunction(error)),
    }
}

impl fmt::Debug for Credential {
    /// Its source, without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.source {
            CredentialSource::Nothing => "nothing",
            CredentialSource::Fixed(_) => "a token",
            CredentialSource::File(_) => "a file",
            CredentialSource::Function(_) => "a function",
        };
        f.debug_tuple("Credential").field(&source).finish()
    }
}

/// Reads the token in a file, with or without a line break at its end.
fn read(path: &Path) -> Result<HeaderValue, ClientError> {
    let from = path.display().to_string();
    let mut bytes = Vec::new();
    // A little more than the longest token, for the line break, and so that a longer file is refused as too long.
    let max = MAX_TOKEN_BYTES as u64 + 16;
    let unreadable =
        |error: io::Error| ClientError::Token { from: from.clone(), problem: format!("it cannot be read: {error}") };
    File::open(path).and_then(|file| file.take(max).read_to_end(&mut bytes)).map_err(unreadable)?;
    header(&from, &bytes)
}

/// The header value `Bearer TOKEN`, marked as sensitive. Errors do not repeat the token.
fn header(from: &str, token: &[u8]) -> Result<HeaderValue, ClientError> {
    let token = token.trim_ascii();
    let wrong = |problem: &str| Err(ClientError::Token { from: from.into(), problem: problem.into() });
    if token.is_empty() {
        return wrong("it is empty");
    }
    if token.len() > MAX_TOKEN_BYTES {
        return wrong(&format!("it has more than {MAX_TOKEN_BYTES} bytes, the most that a hub accepts"));
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
