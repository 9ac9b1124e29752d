//! The list of credentials that are good no more, a file with one a line.
//!
//! | line | what is refused |
//! |---|---|
//! | `jti:ID` | JWTs with this claim |
//! | `sub:NAME` | JWTs with this one |
//! | `token:NAME` | the static token of that name |
//! | `sha256:HEX` | a static token of that hash, or the JWT whose part before its last dot has it |
//!
//! Not the hash of a whole JWT: who holds one signed with ECDSA can write its signature in another way that is good, too.
//! Empty lines, and what follows a `#` at the beginning of a line or after a space, mean nothing.

use std::{collections::HashSet, path::Path};

/// Lines of the file at most: a hundred thousand take some 10 MB, and a key is better changed before that.
const MAX_LINES: usize = 100_000;
/// Bytes of the file at most, for as many lines of a hundred.
const MAX_BYTES: u64 = 10 << 20;

/// The list.
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
    /// Every line that is no entry, by its number.
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
                    "{}: is beyond {MAX_LINES} lines; change the issuer's key instead",
                    index + 1
                )]);
            }
            let entry = if line.starts_with('#') { "" } else { line.split_once(" #").map_or(line, |(entry, _)| entry) };
            let entry = entry.trim();
            if !entry.is_empty() && !list.add(entry) {
                problems
                    .push(format!("{}: is none of jti:ID, sub:NAME, token:NAME and sha256:HEX (64 digits)", index + 1));
            }
        }
        if problems.is_empty() { Ok(list) } else { Err(problems) }
    }

    /// Whether it was an entry.
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

    /// Whether a static token is on it.
    pub(super) fn token(&self, name: Option<&str>, sha256: &[u8; 32]) -> bool {
        self.hashes.contains(sha256) || name.is_some_and(|name| self.names.contains(name))
    }

    /// Whether a JWT is on it: the hash of its message, its `jti`, its `sub`.
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
    fn a_line_that_is_no_entry_is_a_mistake_with_its_number() {
        for line in ["ann", "sub:", "Sub:ann", "jti", "sha256:ab", &format!("sha256:{}", "zz".repeat(32)), "user:ann"] {
            let told = Revoked::parse(&format!("sub:a\n{line}\n")).expect_err(line);
            assert!(told.len() == 1 && told[0].starts_with("2: "), "{line}: {told:?}");
        }
    }

    #[test]
    fn the_list_has_an_end() {
        assert!(Revoked::parse(&"sub:a\n".repeat(MAX_LINES)).is_ok());
        assert!(Revoked::parse(&"sub:a\n".repeat(MAX_LINES + 1)).is_err());
    }
}
