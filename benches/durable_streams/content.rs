//! What is appended, and what must therefore be read: message `n` of a stream follows from `n` alone.

/// Digits of a message's number, in hexadecimal.
const DIGITS: usize = 16;

/// Messages of one array.
pub(crate) const ARRAY: u64 = 100;

/// What a stream's messages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Text of one line, one message for each append.
    Text,
    /// JSON, an array of [`ARRAY`] messages for each append.
    Arrays,
}

/// The messages of a stream.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) shape: Shape,
    /// A message, with any number.
    template: Vec<u8>,
    /// Where its number begins.
    digits: usize,
}

/// The body of an append.
#[derive(Debug, Clone)]
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    /// Where the first number is, and how far it is from one to the next.
    first: usize,
    stride: usize,
    /// Numbers in it.
    count: u64,
}

/// Compares what is read with what was appended. Everything must come once and in order.
pub(crate) struct Verifier {
    content: Content,
    /// The message that is expected now.
    expected: Vec<u8>,
    /// The number of it.
    pub(crate) number: u64,
    /// Bytes of it that have come.
    at: usize,
}

impl Content {
    /// Messages of `bytes` each.
    pub(crate) fn new(shape: Shape, bytes: usize) -> Self {
        let (before, after) = match shape {
            Shape::Text => ("", ""),
            Shape::Arrays => ("{\"n\":\"", "\"}"),
        };
        let filled = bytes - before.len() - DIGITS - after.len();
        let filling = "gapless ".repeat(filled.div_ceil(8));
        let template = format!("{before}{:016x}{}{after}", 0, &filling[..filled]).into_bytes();
        Self { shape, template, digits: before.len() }
    }

    /// Messages of one append.
    pub(crate) fn messages(&self) -> u64 {
        if self.shape == Shape::Text { 1 } else { ARRAY }
    }

    /// Bytes of one message.
    pub(crate) fn bytes(&self) -> usize {
        self.template.len()
    }

    pub(crate) fn content_type(&self) -> &'static str {
        if self.shape == Shape::Text { "text/plain" } else { "application/json" }
    }

    /// The body of an append, with any numbers; `around` stands around each message of an array.
    pub(crate) fn body(&self, around: [&str; 2]) -> Body {
        let [before, after] = if self.shape == Shape::Text { ["", ""] } else { around };
        let message = [before.as_bytes(), &self.template, after.as_bytes()].concat();
        let (first, stride) = (before.len() + self.digits, message.len() + 1);
        let count = self.messages();
        match self.shape {
            Shape::Text => Body { bytes: message, first, stride, count },
            Shape::Arrays => {
                let messages = vec![&*message; usize::try_from(ARRAY).expect("small")];
                let bytes = [b"[", &*messages.join(&b","[..]), b"]"].concat();
                Body { bytes, first: first + 1, stride, count }
            }
        }
    }

    pub(crate) fn verifier(&self) -> Verifier {
        Verifier { content: self.clone(), expected: self.template.clone(), number: 0, at: 0 }
    }
}

impl Body {
    /// Writes the numbers of the `n`th append's messages into `bytes`, which end with this body.
    pub(crate) fn number(&self, bytes: &mut [u8], n: u64) {
        let mut at = bytes.len() - self.bytes.len() + self.first;
        for message in n * self.count..(n + 1) * self.count {
            put(&mut bytes[at..], message);
            at += self.stride;
        }
    }
}

impl Verifier {
    /// Takes bytes of the messages; `each` is told of those that are complete.
    ///
    /// # Errors
    /// The first message that is not the expected one.
    pub(crate) fn take(&mut self, mut bytes: &[u8], mut each: impl FnMut(u64)) -> Result<(), String> {
        while !bytes.is_empty() {
            let rest = &self.expected[self.at..];
            let part = rest.len().min(bytes.len());
            if bytes[..part] != rest[..part] {
                let seen = String::from_utf8_lossy(&bytes[..part.min(80)]);
                return Err(format!("message {} is wrong at byte {}: {seen}", self.number, self.at));
            }
            (bytes, self.at) = (&bytes[part..], self.at + part);
            if self.at == self.expected.len() {
                each(self.number);
                (self.number, self.at) = (self.number + 1, 0);
                put(&mut self.expected[self.content.digits..], self.number);
            }
        }
        Ok(())
    }

    /// Takes a part of a response's body: of JSON, an array. `begins`: whether it is the body's first byte.
    ///
    /// # Errors
    /// The first message that is not the expected one.
    pub(crate) fn take_body(&mut self, mut bytes: &[u8], begins: bool) -> Result<(), String> {
        if self.content.shape == Shape::Text {
            return self.take(bytes, |_| {});
        }
        // Between messages stand brackets and commas.
        if begins && !bytes.starts_with(b"[") {
            return Err("an array does not begin".into());
        }
        while let Some(&byte) = bytes.first() {
            if self.at == 0 && matches!(byte, b'[' | b',' | b']') {
                bytes = &bytes[1..];
                continue;
            }
            let part = bytes.len().min(self.expected.len() - self.at);
            self.take(&bytes[..part], |_| {})?;
            bytes = &bytes[part..];
        }
        Ok(())
    }
}

fn put(out: &mut [u8], number: u64) {
    for (digit, place) in out[..DIGITS].iter_mut().zip((0..DIGITS).rev()) {
        *digit = b"0123456789abcdef"[usize::try_from((number >> (4 * place)) & 15).expect("a digit")];
    }
}
