//! A token: a chunk of a chat completion, as OpenAI sends it, whose text is its number and the time at which it was sent.

use std::{sync::OnceLock, time::Instant};

use memchr::{memchr, memmem};

/// Nanoseconds of the monotonic clock since its first use in this process.
pub(crate) fn clock() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).expect("not for centuries")
}

/// A token as its reader sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    /// Its number in its run, from 0.
    pub(crate) number: u64,
    /// The [`clock`] when it was sent.
    pub(crate) sent: u64,
}

const BEFORE: &str = concat!(
    r#"{"id":"chatcmpl-CeVtDx7iR2bq0mYkP4nS8wGfLh1Ja","object":"chat.completion.chunk","created":1764180000,"#,
    r#""model":"gpt-4o-mini-2024-07-18","service_tier":"default","system_fingerprint":"fp_560af6e559","#,
    r#""choices":[{"index":0,"delta":{"content":""#
);
const AFTER: &str = r#""},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"tJ7wQ"}"#;

/// Begins a token's text, in every form that a proxy gives the chunk. The number has 6 digits, the time 15.
const MARK: &[u8] = b"\"@";
const NUMBER: usize = 6;
const TIME: usize = 15;
const TEXT: usize = MARK.len() + NUMBER + 1 + TIME;

impl Token {
    /// The chunk's JSON, of the same length for each token.
    pub(crate) fn json(self) -> String {
        format!("{BEFORE}@{:06}-{:015}{AFTER}", self.number, self.sent)
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text.get(MARK.len()..)?).ok()?;
        let (number, sent) = text.split_once('-')?;
        Some(Self { number: number.parse().ok()?, sent: sent.parse().ok()? })
    }
}

/// Finds tokens in the bytes of a chunked response.
#[derive(Default)]
pub(crate) struct TokenScanner {
    chunks: Chunks,
    /// The last bytes of the body: maybe the beginning of a token.
    body: Vec<u8>,
}

/// The framing of a chunked body (RFC 9112, 7.1).
#[derive(Default)]
struct Chunks {
    /// The bytes of the current chunk that are still to come.
    left: usize,
    /// The part of a size line, or of the empty line before it, that has come.
    line: Vec<u8>,
}

impl TokenScanner {
    /// Passes each token in `bytes` to `each`. Returns whether the response ends with them.
    pub(crate) fn scan(&mut self, bytes: &[u8], mut each: impl FnMut(Token)) -> bool {
        let ended = self.chunks.decode(bytes, &mut self.body);
        let mut from = 0;
        while let Some(at) = memmem::find(&self.body[from..], MARK) {
            let Some(text) = self.body.get(from + at..from + at + TEXT) else { break };
            if let Some(token) = Token::parse(text) {
                each(token);
            }
            from += at + TEXT;
        }
        self.body.drain(..from.max(self.body.len().saturating_sub(TEXT)));
        ended
    }
}

impl Chunks {
    /// Appends the body's bytes to `body`. Returns whether the last chunk has come.
    fn decode(&mut self, mut bytes: &[u8], body: &mut Vec<u8>) -> bool {
        while !bytes.is_empty() {
            let taken = self.left.min(bytes.len());
            body.extend_from_slice(&bytes[..taken]);
            (self.left, bytes) = (self.left - taken, &bytes[taken..]);
            let Some(end) = memchr(b'\n', bytes).filter(|_| self.left == 0) else {
                self.line.extend_from_slice(bytes);
                break;
            };
            self.line.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            let line = std::str::from_utf8(&self.line).unwrap_or_default().trim_end();
            if !line.is_empty() {
                self.left = usize::from_str_radix(line, 16).expect("the size of a chunk");
                if self.left == 0 {
                    // The empty line after the last chunk comes with it, or before the next response.
                    self.line.clear();
                    return true;
                }
            }
            self.line.clear();
        }
        false
    }
}
