//! The TOML file, as a map from paths to values: `keepalive` under `[stream]` is `stream.keepalive`.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, de::IntoDeserializer};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    KEYS,
    errors::{ConfigErrors, TableId},
    origin::{Locations, TableLines},
    table::{ConfigKey, ROOT},
    tables::text_of,
};

/// The value of a key in the file.
#[derive(Debug)]
pub(super) struct FileEntry {
    /// The value's text.
    pub text: String,
    /// Where it is written.
    pub locations: Locations,
}

/// Reads the file at `path`. Adds mistakes to `errors`: those of the file, of its syntax, and unknown keys.
pub(super) fn read(path: &Path, errors: &mut ConfigErrors) -> BTreeMap<String, FileEntry> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&path.display().to_string(), &text, errors),
        Err(error) => {
            errors.push(path.display(), format_args!("cannot be read: {error}"));
            BTreeMap::new()
        }
    }
}

fn parse(name: &str, text: &str, errors: &mut ConfigErrors) -> BTreeMap<String, FileEntry> {
    let location = |offset: usize| format!("{name}:{}", text[..offset.min(text.len())].matches('\n').count() + 1);
    let (table, mut syntax_errors) = DeTable::parse_recoverable(text);
    syntax_errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
    for error in &syntax_errors {
        errors.push(location(error.span().map_or(0, |span| span.start)), error.message().trim_end());
    }
    if !syntax_errors.is_empty() {
        // The parser recovers by guessing; checking its guesses would report mistakes that are not in the file.
        return BTreeMap::new();
    }
    let mut entries = BTreeMap::new();
    let mut leaf = |path: String, at: usize, spanned: &Spanned<DeValue<'_>>| {
        if !is_key(&path) {
            return errors.push(location(at), unknown(&path));
        }
        match toml::Value::deserialize(spanned.clone().into_deserializer()) {
            Ok(value) => {
                let locations = Locations { key: location(at), tables: tables(spanned, &location) };
                entries.insert(path, FileEntry { text: text_of(&value), locations });
            }
            Err(error) => errors.push(location(at), format_args!("{path}: {}", error.message())),
        }
    };
    let mut section_mistakes = Vec::new();
    for (key, value) in table.get_ref() {
        let name = key.get_ref();
        match value.get_ref() {
            DeValue::Table(_) if !is_section(name) && !is_key(name) => {
                section_mistakes.push((key.span().start, unknown_section(name)));
            }
            DeValue::Table(section) if is_section(name) => {
                for (key, value) in section {
                    leaf(format!("{name}.{}", key.get_ref()), key.span().start, value);
                }
            }
            _ => leaf(name.to_string(), key.span().start, value),
        }
    }
    for (at, problem) in section_mistakes {
        errors.push(location(at), problem);
    }
    entries
}

/// The lines of the tables of a list, and of a table of tables. The line of a `[[table]]` is that of its first key.
fn tables(value: &Spanned<DeValue<'_>>, location: &dyn Fn(usize) -> String) -> BTreeMap<TableId, TableLines> {
    let lines = |at: usize, table: &Spanned<DeValue<'_>>| {
        let keys = match table.get_ref() {
            DeValue::Table(table) => {
                table.keys().map(|key| (key.get_ref().to_string(), location(key.span().start))).collect()
            }
            _ => BTreeMap::new(),
        };
        TableLines { table: location(at), keys }
    };
    match value.get_ref() {
        DeValue::Array(items) => {
            let items = items.iter().enumerate();
            items.map(|(index, item)| (TableId::Index(index), lines(item.span().start, item))).collect()
        }
        DeValue::Table(items) => {
            let named = items.iter();
            named
                .map(|(name, item)| (TableId::Name(name.get_ref().to_string()), lines(name.span().start, item)))
                .collect()
        }
        _ => BTreeMap::new(),
    }
}

fn is_section(name: &str) -> bool {
    name != ROOT && KEYS.iter().any(|key| key.section == name)
}

fn is_key(path: &str) -> bool {
    KEYS.iter().any(|key| key.path() == path)
}

/// The message for an unknown key, with the key that may have been meant.
fn unknown(path: &str) -> String {
    if is_section(path) {
        return format!("{path} is a section, not a key; write [{path}] and its keys below");
    }
    match nearest(path, KEYS.iter().map(ConfigKey::path)) {
        Some(key) => format!("there is no key {path}; did you mean {key}?"),
        None => format!("there is no key {path}; `gapless check` prints all of them"),
    }
}

/// The message for an unknown section. Its keys are not reported one by one, because only the section's name may be
/// wrong.
fn unknown_section(name: &str) -> String {
    if name == ROOT {
        return format!("there is no section [{name}]; write its keys at the top of the file");
    }
    match nearest(name, KEYS.iter().map(|key| key.section.to_owned())) {
        Some(section) => format!("there is no section [{name}]; did you mean [{section}]?"),
        None => format!("there is no section [{name}]; `gapless check` prints all of them"),
    }
}

/// The one of `names` that is most similar to `name`, if it is similar enough.
pub(super) fn nearest(name: &str, names: impl Iterator<Item = String>) -> Option<String> {
    // Similarity from 0 to 1. Below 0.85 a guess confuses more than it helps; cargo and clap use similar thresholds.
    let near = names.map(|known| (strsim::jaro_winkler(name, &known), known)).filter(|(like, _)| *like > 0.85);
    near.max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::{super::errors::TablePart, *};

    fn parsed(text: &str) -> (BTreeMap<String, FileEntry>, Vec<String>) {
        let mut found = ConfigErrors::default();
        let entries = parse("f.toml", text, &mut found);
        (entries, found.all().iter().map(|mistake| format!("{}: {}", mistake.place, mistake.problem)).collect())
    }

    #[test]
    fn a_key_is_known_by_its_path_and_line() {
        let (entries, found) =
            parsed("shards = 4\n\n[stream]\nkeepalive = \"20s\"\n[[retention.rules]]\ntopics = \"a\"\n");
        assert_eq!(found, [""; 0]);
        assert_eq!(entries["shards"].text, "4");
        let keepalive = &entries["stream.keepalive"];
        assert_eq!((&*keepalive.text, keepalive.locations.location_of(None)), ("20s", "f.toml:4"));
        assert_eq!(entries["retention.rules"].text, r#"[{ topics = "a" }]"#);
    }

    #[test]
    fn an_unknown_key_is_reported_with_its_line_and_a_guess() {
        let (_, found) = parsed("lisen = \"x\"\nlog = \"debug\"\n[stream]\nkeep_alive = 1\nzzz = 2\n");
        assert_eq!(found.len(), 4, "{found:#?}");
        for want in [
            "f.toml:1: there is no key lisen; did you mean listen?",
            "f.toml:2: log is a section, not a key; write [log] and its keys below",
            "f.toml:4: there is no key stream.keep_alive; did you mean stream.keepalive?",
            "f.toml:5: there is no key stream.zzz",
        ] {
            assert!(found.iter().any(|mistake| mistake.starts_with(want)), "{want}: {found:#?}");
        }
    }

    #[test]
    fn an_unknown_section_is_reported_once_with_a_guess() {
        let (_, found) =
            parsed("[strem]\n[hub]\nlisten = 1\n[stream]\n[accesss]\nissuers = []\nanyone = 1\n[zzz.a]\nb = 1\n");
        let want = [
            "f.toml:1: there is no section [strem]; did you mean [stream]?",
            "f.toml:2: there is no section [hub]; write its keys at the top of the file",
            "f.toml:5: there is no section [accesss]; did you mean [access]?",
            "f.toml:8: there is no section [zzz]; `gapless check` prints all of them",
        ];
        for want in want {
            assert!(found.iter().any(|mistake| mistake == want), "{want}: {found:#?}");
        }
        assert_eq!(found.len(), want.len(), "{found:#?}");
    }

    #[test]
    fn each_table_of_a_list_and_each_of_its_keys_has_a_line() {
        let (entries, _) = parsed(
            "[[retention.rules]]\ntopics = \"a\"\nmax_age = \"1d\"\n\n[[retention.rules]]\nmax_age = \"2d\"\n[access]\ntokens = [\n  { name = \"x\" },\n  7,\n]\n",
        );
        let line = |path: &str, table, key: Option<&str>| {
            let part = TablePart { table: TableId::Index(table), key: key.map(Into::into) };
            entries[path].locations.location_of(Some(&part)).to_owned()
        };
        assert_eq!(line("retention.rules", 0, Some("max_age")), "f.toml:3");
        assert_eq!(line("retention.rules", 1, Some("max_age")), "f.toml:6");
        assert_eq!(line("retention.rules", 1, None), "f.toml:5");
        assert_eq!(line("retention.rules", 1, Some("topics")), "f.toml:5", "it has none");
        assert_eq!(line("access.tokens", 0, Some("name")), "f.toml:9");
        assert_eq!(line("access.tokens", 1, None), "f.toml:10");
    }

    #[test]
    fn a_number_too_large_for_toml_is_a_mistake() {
        let (_, found) = parsed("\nshards = 99999999999999999999\n");
        assert!(found.len() == 1 && found[0].starts_with("f.toml:2: shards: "), "{found:#?}");
    }

    #[test]
    fn broken_syntax_is_reported_with_its_line() {
        let (_, found) = parsed("shards = 4\nlisten = \n[stream\n");
        assert!(found[0].starts_with("f.toml:2: "), "{found:#?}");
        assert!(found.iter().any(|mistake| mistake.starts_with("f.toml:3: ")), "{found:#?}");
    }
}
