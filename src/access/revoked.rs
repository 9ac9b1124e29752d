//! The list of revoked credentials: a file with one entry a line.
//!
//! | line | refuses |
//! |---|---|
//! | `jti:ID` | JWTs with this claim `jti` |
//! | `sub:NAME` | JWTs with this claim `sub` |
//! | `token:NAME` | the static token of that name |
//! | `sha256:HEX` | the static token with that hash, or the JWT whose text before its last dot has that hash |
//!
//! The hash leaves a JWT's signature out, because ECDSA signatures are malleable: the holder could change the hash of
//! the whole token without invalidating it. Empty lines are ignored, and so is the text after a `#` that begins a line
//! or follows a space.

use std::{collections::HashSet, path::Path};

/// Most lines of the file. They take some 10 MB; with so many revoked tokens it is better to change the issuer's key.
const MAX_LINES: usize = 100_000;
/// Largest file, in bytes: [`MAX_LINES`] of a hundred bytes each.
const MAX_BYTES: u64 = 10 << 20;

/// The revoked credentials.
#[derive(Debug, Default)]
pub(super) struct Revoked {
    ids: HashSet<Box<str>>,
    subjects: HashSet<Box<str>>,
    names: HashSet<Box<str>>,
    hashes: HashSet<[u8; 32]>,
}

impl Revoked {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// Each invalid line, by its number.
    pub(super) fn read(path: &Path) -> Result<Self, Vec<String>> {
        let text = super::read_file(path, MAX_BYTES).map_err(|problem| vec![problem])?;
        let text = String::from_utf8(text).map_err(|_| vec![format!("{} is not UTF-8", path.display())])?;
        Self::parse(&text)
            .map_err(|problems| problems.iter().map(|problem| format!("{}:{problem}", path.display())).collect())
    }

    fn parse(text: &str) -> Result<Self, Vec<String>> {
        let (mut list, mut problems) = (Self::default(), Vec::new());
        for (index, line) in text.lines().enumerate() {
            if index == MAX_LINES {
                return Err(vec![format!(
                    "{}: the file has more than {MAX_LINES} lines; change the issuer's key instead",
                    index + 1
                )]);
            }
            let entry = if line.starts_with('#') { "" } else { line.split_once(" #").map_or(line, |(entry, _)| entry) };
            let entry = entry.trim();
            if !entry.is_empty() && !list.add(entry) {
                problems.push(format!(
                    "{}: the line must be jti:ID, sub:NAME, token:NAME or sha256:HEX (64 digits)",
                    index + 1
                ));
            }
        }
        if problems.is_empty() { Ok(list) } else { Err(problems) }
    }

    /// Adds an entry. False when it is invalid.
    fn add(&mut self, entry: &str) -> bool {
        let Some((kind, value)) = entry.split_once(':').filter(|(_, value)| !value.is_empty()) else { return false };
        match kind {
            "jti" => self.ids.insert(value.into()),
            "sub" => self.subjects.insert(value.into()),
            "token" => self.names.insert(value.into()),
            "sha256" => match super::from_hex(value) {
                Some(hash) => self.hashes.insert(hash),
                None => return false,
            },
            _ => return false,
        };
        true
    }

    /// Whether the static token with this name or hash is revoked.
    pub(super) fn token(&self, name: Option<&str>, sha256: &[u8; 32]) -> bool {
        self.hashes.contains(sha256) || name.is_some_and(|name| self.names.contains(name))
    }

    /// Whether a JWT is revoked, by the hash of its signed text, its `jti` or its `sub`.
    pub(super) fn jwt(&self, sha256: &[u8; 32], id: Option<&str>, subject: Option<&str>) -> bool {
        self.hashes.contains(sha256)
            || id.is_some_and(|id| self.ids.contains(id))
            || subject.is_some_and(|subject| self.subjects.contains(subject))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_is_read() {
        let hash = "ab".repeat(32);
        let text =
            format!("# leavers\n\njti:a:b # with a colon\nsub:ann@example #1\ntoken:ci\r\n  sha256:{hash}\nsub:x#y\n");
        let list = Revoked::parse(&text).expect("sound");
        assert!(list.jwt(&[0; 32], Some("a:b"), None) && list.jwt(&[0; 32], None, Some("ann@example")));
        assert!(list.jwt(&[0xab; 32], None, None) && list.token(None, &[0xab; 32]) && list.token(Some("ci"), &[0; 32]));
        assert!(list.jwt(&[0; 32], None, Some("x#y")), "a # inside is no comment");
        assert!(!list.jwt(&[0; 32], Some("ann@example"), Some("ci")) && !list.token(Some("a:b"), &[0; 32]));
    }

    #[test]
    fn an_invalid_line_is_reported_with_its_number() {
        for line in ["ann", "sub:", "Sub:ann", "jti", "sha256:ab", &format!("sha256:{}", "zz".repeat(32)), "user:ann"] {
            let problems = Revoked::parse(&format!("sub:a\n{line}\n")).expect_err(line);
            assert!(problems.len() == 1 && problems[0].starts_with("2: "), "{line}: {problems:?}");
        }
    }

    #[test]
    fn the_list_is_bounded() {
        assert!(Revoked::parse(&"sub:a\n".repeat(MAX_LINES)).is_ok());
        assert!(Revoked::parse(&"sub:a\n".repeat(MAX_LINES + 1)).is_err());
    }
}
