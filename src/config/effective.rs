//! The effective configuration as a TOML file, with the source of each value.

use std::fmt;

use serde::Deserialize;

use super::{
    kinds::{EngineKind, ValueKind as _},
    origin::ValueOrigin,
    resolve::Setting,
    table::{ConfigKey, ROOT},
};

/// Every key with its effective value. `Display` is a file that results in the same configuration, except that the
/// inline keys of issuers, which are secrets, are hidden; the line says so.
#[derive(Debug)]
pub struct Effective {
    pub(super) settings: Vec<Setting>,
    /// Environment variables that begin with `GAPLESS_` and are not settings.
    pub ignored: Vec<String>,
    /// The configured engine.
    engine: &'static str,
}

/// Keys that only the engine sled has a use for.
const SLED_ONLY: [&str; 4] = ["data", "store.rotate_bytes", "store.rotate_age", "store.reserve_bytes"];

impl Effective {
    pub(super) fn new(settings: Vec<Setting>, ignored: Vec<String>) -> Self {
        let engine = settings.iter().find(|setting| setting.key.path() == "engine");
        let engine = engine.and_then(|setting| EngineKind::parse(&setting.text).ok()).map_or("", EngineKind::name);
        Self { settings, ignored, engine }
    }

    /// Whether the key of this path is set, to whatever value.
    #[must_use]
    pub fn is_set(&self, path: &str) -> bool {
        self.settings
            .iter()
            .any(|setting| setting.key.path() == path && !matches!(setting.origin, ValueOrigin::Default))
    }

    /// The configured engine, and the keys that are set and have no effect with it.
    #[must_use]
    pub fn without_effect(&self) -> (&'static str, Vec<String>) {
        let set = self.settings.iter().filter(|setting| !matches!(setting.origin, ValueOrigin::Default));
        let keys = set.filter(|setting| !self.has_effect(setting.key)).map(|setting| setting.key.path());
        (self.engine, keys.collect())
    }

    fn has_effect(&self, key: &ConfigKey) -> bool {
        match self.engine {
            "sled" => key.section != "nats",
            "jetstream" => !SLED_ONLY.contains(&&*key.path()),
            _ => key.section != "nats" && !SLED_ONLY.contains(&&*key.path()),
        }
    }

    /// The keys whose value differs from `before` and takes effect only after a restart.
    #[must_use]
    pub fn needs_restart(&self, before: &Self) -> Vec<String> {
        let pairs = self.settings.iter().zip(&before.settings);
        pairs.filter(|(new, old)| !new.key.reloads() && new.text != old.text).map(|(new, _)| new.key.path()).collect()
    }
}

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut section = ROOT;
        for name in &self.ignored {
            writeln!(f, "# {name} is not a setting; it is ignored")?;
        }
        for Setting { key, text, origin } in &self.settings {
            if key.section != section {
                section = key.section;
                writeln!(f, "\n[{section}]")?;
            }
            let hidden = hide(text).filter(|_| key.is_toml);
            let note = match hidden {
                Some(_) => "; replace the hidden keys by the real ones".to_owned(),
                None if self.has_effect(key) => String::new(),
                None => format!("; has no effect with the engine {}", self.engine),
            };
            let value = match hidden {
                Some(text) => text,
                None if key.is_toml || is_bare(text) => text.clone(),
                None => toml::Value::from(&**text).to_string(),
            };
            let line = format!("{} = {value}", key.name);
            match origin {
                ValueOrigin::Default => writeln!(f, "{line}")?,
                // Comments are aligned at a column that most values do not reach.
                origin => writeln!(f, "{line:<40} # {origin}{note}")?,
            }
        }
        Ok(())
    }
}

/// Replaces a secret. It is too short to be a valid one, so that a file with it is refused.
const HIDDEN: &str = "hidden";

/// The list of tables in `text` with the value of each `key` (an issuer's secret or private key) hidden; `None` if
/// there is no such key.
fn hide(text: &str) -> Option<String> {
    let value = toml::de::ValueDeserializer::parse(text).and_then(toml::Value::deserialize).ok()?;
    let toml::Value::Array(mut list) = value else { return None };
    let mut found = false;
    for table in list.iter_mut().filter_map(toml::Value::as_table_mut) {
        if let Some(secret) = table.get_mut("key") {
            *secret = HIDDEN.into();
            found = true;
        }
    }
    found.then(|| toml::Value::from(list).to_string())
}

/// Whether `text` can be written without quotes: as a TOML boolean, or as an integer whose text is exactly `text`.
fn is_bare(text: &str) -> bool {
    text == "true" || text == "false" || text.parse::<u32>().is_ok_and(|number| number.to_string() == text)
}
