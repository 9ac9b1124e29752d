//! The primitive encodings of the store's records: varints, byte strings, checksums.
//!
//! Every record ends with a CRC-32 of the bytes before it: sled verifies its log messages but not that a page pointer
//! leads to the right one, and nothing else verifies the files of our own.

/// Size of the longest varint in bytes.
pub(super) const MAX_NUMBER_BYTES: usize = 10;

/// Appends a varint: seven bits in each byte, low bits first.
pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(low_bits(number) | 0x80);
        number >>= 7;
    }
    out.push(low_bits(number));
}

fn low_bits(number: u64) -> u8 {
    number.to_le_bytes()[0] & 0x7f
}

/// Appends the length as a varint, then the bytes.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends the checksum of `salt` and all of `out`. The salt is the record's key or file name, so that a record under
/// the wrong key counts as damaged.
pub(super) fn seal(out: &mut Vec<u8>, salt: &[u8]) {
    seal_from(out, 0, salt);
}

/// Like [`seal`], for a record that begins at offset `start`.
pub(super) fn seal_from(out: &mut Vec<u8>, start: usize, salt: &[u8]) {
    let sum = checksum(&out[start..], salt);
    out.extend_from_slice(&sum.to_be_bytes());
}

/// Verifies the checksum and returns the record without it. `None` when it does not match.
pub(super) fn unseal<'a>(record: &'a [u8], salt: &[u8]) -> Option<&'a [u8]> {
    let (body, sum) = record.split_last_chunk::<4>()?;
    (checksum(body, salt) == u32::from_be_bytes(*sum)).then_some(body)
}

fn checksum(body: &[u8], salt: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(salt);
    hasher.update(body);
    hasher.finalize()
}

/// Mixes a number's bits (the finalizer of SplitMix64), so that sums over different sets of numbers differ.
pub(super) fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Parses a record. Every method returns `None` beyond the end of the bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct ByteReader<'a> {
    whole: &'a [u8],
    at: usize,
}

impl<'a> ByteReader<'a> {
    pub(super) fn new(whole: &'a [u8]) -> Self {
        Self { whole, at: 0 }
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let byte = *self.whole.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// A length, then that many bytes: their range.
    pub(super) fn range(&mut self) -> Option<std::ops::Range<usize>> {
        let len = usize::try_from(self.number()?).ok()?;
        let end = self.at.checked_add(len).filter(|&end| end <= self.whole.len())?;
        let start = std::mem::replace(&mut self.at, end);
        Some(start..end)
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        self.range().map(|range| &self.whole[range])
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let array = *self.whole.get(self.at..)?.first_chunk::<N>()?;
        self.at += N;
        Some(array)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// Skips this many bytes.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// Number of bytes consumed.
    pub(super) fn position(&self) -> usize {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_their_encoding() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            put_number(&mut out, number);
            assert_eq!(ByteReader::new(&out).number(), Some(number));
        }
    }

    #[test]
    fn a_record_under_the_wrong_key_is_damaged() {
        let mut record = b"abc".to_vec();
        seal(&mut record, b"here");
        assert_eq!(unseal(&record, b"here"), Some(&b"abc"[..]));
        assert_eq!(unseal(&record, b"there"), None);
        record[1] ^= 1;
        assert_eq!(unseal(&record, b"here"), None);
    }

    #[test]
    fn a_length_beyond_the_end_is_rejected() {
        assert_eq!(ByteReader::new(&[200, 1, 7]).bytes(), None);
        assert_eq!(ByteReader::new(&[0xff; 9]).number(), None);
    }
}
