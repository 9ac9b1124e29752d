//! A search for a text in many names, ASCII letters in either case.

use memchr::memmem::Finder;

/// The search. Its time for a name is linear in the name's length, whatever the text.
pub(super) struct NameSearch {
    finder: Finder<'static>,
    /// A name in lower case.
    lower: Vec<u8>,
}

impl NameSearch {
    /// A search for `text`; an empty one is in every name.
    pub(super) fn new(text: &str) -> Self {
        Self { finder: Finder::new(&text.to_ascii_lowercase()).into_owned(), lower: Vec::new() }
    }

    /// Whether `name` contains the text.
    pub(super) fn finds(&mut self, name: &str) -> bool {
        if self.finder.needle().is_empty() {
            return true;
        }
        self.lower.clear();
        self.lower.extend_from_slice(name.as_bytes());
        self.lower.make_ascii_lowercase();
        self.finder.find(&self.lower).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_anywhere_and_only_ascii_letters_match_in_either_case() {
        for (text, name, want) in [
            ("", "a", true),
            ("jobs", "jobs/1", true),
            ("OBS/4", "jobs/42", true),
            ("42", "jobs/42", true),
            ("jobs", "JOBS", true),
            ("jobs/42/x", "jobs/42", false),
            ("ü", "für", true),
            ("Ü", "für", false),
            ("[", "{", false),
            ("%", "a%b", true),
        ] {
            assert_eq!(NameSearch::new(text).finds(name), want, "{text} in {name}");
        }
        let mut search = NameSearch::new("b");
        assert!(search.finds("abc") && !search.finds("a") && search.finds("B"), "each name by itself");
    }
}
