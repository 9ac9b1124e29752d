//! The TOML file, flattened: `keepalive` under `[stream]` is `stream.keepalive`.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, de::IntoDeserializer};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{KEYS, mistakes::Mistakes, table::ROOT, tables::text_of};

/// What a file says about a key.
#[derive(Debug)]
pub(super) struct Entry {
    /// The value's text.
    pub text: String,
    /// `FILE:LINE`.
    pub place: String,
}

/// Reads `path`; what is wrong with it as a file, its syntax and its keys goes to `mistakes`.
pub(super) fn read(path: &Path, mistakes: &mut Mistakes) -> BTreeMap<String, Entry> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&path.display().to_string(), &text, mistakes),
        Err(error) => {
            mistakes.push(path.display(), format_args!("cannot be read: {error}"));
            BTreeMap::new()
        }
    }
}

fn parse(name: &str, text: &str, mistakes: &mut Mistakes) -> BTreeMap<String, Entry> {
    let place = |offset: usize| format!("{name}:{}", text[..offset.min(text.len())].matches('\n').count() + 1);
    let (table, mut errors) = DeTable::parse_recoverable(text);
    errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
    for error in &errors {
        mistakes.push(place(error.span().map_or(0, |span| span.start)), error.message().trim_end());
    }
    if !errors.is_empty() {
        // What was recovered is a guess; judging it would add mistakes that nobody made.
        return BTreeMap::new();
    }
    let mut entries = BTreeMap::new();
    let mut leaf = |path: String, at: usize, value: &Spanned<DeValue<'_>>| {
        if !is_key(&path) {
            return mistakes.push(place(at), unknown(&path));
        }
        match toml::Value::deserialize(value.clone().into_deserializer()) {
            Ok(value) => {
                entries.insert(path, Entry { text: text_of(&value), place: place(at) });
            }
            Err(error) => mistakes.push(place(at), format_args!("{path}: {}", error.message())),
        }
    };
    for (key, value) in table.get_ref() {
        let name = key.get_ref();
        match value.get_ref() {
            // An unknown section without keys would pass unseen.
            DeValue::Table(section) if is_section(name) || (!section.is_empty() && !is_key(name)) => {
                for (key, value) in section {
                    leaf(format!("{name}.{}", key.get_ref()), key.span().start, value);
                }
            }
            _ => leaf(name.to_string(), key.span().start, value),
        }
    }
    entries
}

fn is_section(name: &str) -> bool {
    name != ROOT && KEYS.iter().any(|key| key.section == name)
}

fn is_key(path: &str) -> bool {
    KEYS.iter().any(|key| key.path() == path)
}

/// Says that there is no such key, and which one may have been meant.
fn unknown(path: &str) -> String {
    if is_section(path) {
        return format!("{path} is a section, not a key; write [{path}] and its keys below");
    }
    // Below this likeness (0 to 1) a guess confuses more than it helps; cargo and clap draw the line near it too.
    let near = KEYS.iter().map(|key| (strsim::jaro_winkler(path, &key.path()), key)).filter(|(like, _)| *like > 0.85);
    match near.max_by(|(a, _), (b, _)| a.total_cmp(b)) {
        Some((_, key)) => format!("there is no key {path}; did you mean {}?", key.path()),
        None => format!("there is no key {path}; `gapless check` prints them all"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (BTreeMap<String, Entry>, Vec<String>) {
        let mut mistakes = Mistakes::default();
        let entries = parse("f.toml", text, &mut mistakes);
        (entries, mistakes.all().iter().map(|mistake| format!("{}: {}", mistake.place, mistake.problem)).collect())
    }

    #[test]
    fn a_key_is_known_by_its_path_and_line() {
        let (entries, mistakes) =
            parsed("shards = 4\n\n[stream]\nkeepalive = \"20s\"\n[[retention.rules]]\ntopics = \"a\"\n");
        assert_eq!(mistakes, [""; 0]);
        assert_eq!(entries["shards"].text, "4");
        assert_eq!((&*entries["stream.keepalive"].text, &*entries["stream.keepalive"].place), ("20s", "f.toml:4"));
        assert_eq!(entries["retention.rules"].text, r#"[{ topics = "a" }]"#);
    }

    #[test]
    fn an_unknown_key_is_told_with_its_line_and_a_guess() {
        let (_, mistakes) =
            parsed("lisen = \"x\"\nlog = \"debug\"\n[stream]\nkeep_alive = 1\nzzz = 2\n[hub]\nlisten = 1\n");
        assert_eq!(mistakes.len(), 5, "{mistakes:#?}");
        for want in [
            "f.toml:1: there is no key lisen; did you mean listen?",
            "f.toml:2: log is a section, not a key; write [log] and its keys below",
            "f.toml:4: there is no key stream.keep_alive; did you mean stream.keepalive?",
            "f.toml:5: there is no key stream.zzz",
            "f.toml:7: there is no key hub.listen",
        ] {
            assert!(mistakes.iter().any(|mistake| mistake.starts_with(want)), "{want}: {mistakes:#?}");
        }
    }

    #[test]
    fn an_unknown_section_is_told_even_when_it_is_empty() {
        let (_, mistakes) = parsed("[strem]\n[hub]\n[stream]\n");
        assert_eq!(mistakes.len(), 2, "{mistakes:#?}");
        for want in ["f.toml:1: there is no key strem; did you mean", "f.toml:2: there is no key hub"] {
            assert!(mistakes.iter().any(|mistake| mistake.starts_with(want)), "{want}: {mistakes:#?}");
        }
    }

    #[test]
    fn a_number_too_large_for_toml_is_a_mistake() {
        let (_, mistakes) = parsed("\nshards = 99999999999999999999\n");
        assert!(mistakes.len() == 1 && mistakes[0].starts_with("f.toml:2: shards: "), "{mistakes:#?}");
    }

    #[test]
    fn broken_syntax_is_told_with_its_line() {
        let (_, mistakes) = parsed("shards = 4\nlisten = \n[stream\n");
        assert!(mistakes[0].starts_with("f.toml:2: "), "{mistakes:#?}");
        assert!(mistakes.iter().any(|mistake| mistake.starts_with("f.toml:3: ")), "{mistakes:#?}");
    }
}
