//! The data in Server-Sent Events, of both doors. The messages have no line breaks, so a line of data is a part of them.

/// Finds the data of events, and passes over those about the stream itself: `control`, and `hub.…` of the hub.
#[derive(Default)]
pub(crate) struct SseData {
    /// The beginning of a line that has not ended.
    line: Vec<u8>,
    /// The event is one about the stream.
    is_notice: bool,
}

impl SseData {
    /// Takes bytes of the stream, and passes the data in them to `each`.
    pub(crate) fn take(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            if self.line.is_empty() {
                Self::line(&mut self.is_notice, &bytes[..end], &mut each)?;
            } else {
                self.line.extend_from_slice(&bytes[..end]);
                Self::line(&mut self.is_notice, &self.line, &mut each)?;
                self.line.clear();
            }
            bytes = &bytes[end + 1..];
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn line(
        is_notice: &mut bool,
        line: &[u8],
        each: &mut impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            *is_notice = false;
        } else if let Some(name) = line.strip_prefix(b"event:") {
            let name = name.trim_ascii();
            if name == b"hub.gap" || name == b"hub.end" {
                return Err(format!("the stream has {}", String::from_utf8_lossy(name)));
            }
            *is_notice = name == b"control" || name.starts_with(b"hub.");
        } else if let Some(data) = line.strip_prefix(b"data:")
            && !*is_notice
        {
            return each(data.strip_prefix(b" ").unwrap_or(data));
        }
        Ok(())
    }
}
