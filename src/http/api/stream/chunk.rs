//! Bytes of a stream inside the framing of an HTTP/1.1 chunk (RFC 9112, section 7.1). Connections that were taken over
//! from hyper send them as they are, all others the slice inside. So one buffer serves every kind of connection.

use std::io::Write;

use bytes::Bytes;

/// Longest head of a chunk, in bytes: eight digits and a line break. A stream writes far less than 4 GiB at once.
const HEAD: usize = 10;

/// The line break after a chunk's data.
const TAIL: &[u8] = b"\r\n";

/// The chunk that ends a body.
pub const LAST: Bytes = Bytes::from_static(b"0\r\n\r\n");

/// One or more whole events, notices or comments.
#[derive(Debug, Clone)]
pub struct Chunk(Bytes);

impl Chunk {
    /// The bytes that `write` writes, about `capacity` of them.
    ///
    /// # Panics
    /// When `write` writes nothing: an empty chunk would end the body.
    #[must_use]
    pub fn write(capacity: usize, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut out = Vec::with_capacity(HEAD + capacity + TAIL.len());
        out.resize(HEAD, 0);
        write(&mut out);
        let size = out.len() - HEAD;
        assert!(size > 0, "an empty chunk ends the body");
        out.extend_from_slice(TAIL);
        let mut digits = [0; HEAD];
        let mut rest = &mut digits[..];
        write!(rest, "{size:x}\r\n").expect("far below 4 GiB");
        let head = HEAD - rest.len();
        out[HEAD - head..HEAD].copy_from_slice(&digits[..head]);
        Self(Bytes::from(out).slice(HEAD - head..))
    }

    /// A chunk made of the bytes that [`Chunk::framed`] returned.
    #[must_use]
    pub fn shared(framed: &Bytes) -> Self {
        Self(framed.clone())
    }

    /// The bytes with their framing.
    #[must_use]
    pub fn framed(self) -> Bytes {
        self.0
    }

    /// The bytes without their framing.
    #[must_use]
    pub fn bare(&self) -> Bytes {
        let head = self.0.iter().position(|&byte| byte == b'\n').expect("a chunk's head is a line") + 1;
        self.0.slice(head..self.0.len() - TAIL.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_frames_its_bytes() {
        for size in [1, 9, 15, 16, 255, 256, 70_000] {
            let text = "x".repeat(size);
            let chunk = Chunk::write(0, |out| out.extend_from_slice(text.as_bytes()));
            assert_eq!(chunk.bare(), text);
            assert_eq!(chunk.framed(), format!("{size:x}\r\n{text}\r\n"));
        }
    }
}
