//! The configuration in force as a TOML file that says of each value where it comes from.

use std::fmt;

use serde::Deserialize;

use super::{
    resolve::{Setting, ValueOrigin},
    table::ROOT,
};

/// Every key with its value in force. `Display` is a file that gives the same configuration again, but for secrets: an issuer's
/// inline key is left out, and the line says so.
#[derive(Debug)]
pub struct Effective {
    pub(super) settings: Vec<Setting>,
    /// Variables of the environment that look like the hub's and are no settings.
    pub ignored: Vec<String>,
}

impl Effective {
    /// The keys that need a restart and have another value here than in `before`.
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
            writeln!(f, "# {name} is no setting; it is ignored")?;
        }
        for Setting { key, text, origin } in &self.settings {
            if key.section != section {
                section = key.section;
                writeln!(f, "\n[{section}]")?;
            }
            let hidden = hide(text).filter(|_| key.is_toml);
            let note = if hidden.is_some() { "; write the hidden keys in again" } else { "" };
            let value = match hidden {
                Some(text) => text,
                None if key.is_toml || is_bare(text) => text.clone(),
                None => toml::Value::from(&**text).to_string(),
            };
            let line = format!("{} = {value}", key.name);
            match origin {
                ValueOrigin::Default => writeln!(f, "{line}")?,
                // Aligned at a column that most lines stay left of.
                origin => writeln!(f, "{line:<40} # {origin}{note}")?,
            }
        }
        Ok(())
    }
}

/// What stands for a secret. As one it is too short, so that a file with it is refused, and never in force.
const HIDDEN: &str = "hidden";

/// The list of tables in `text` with every value called `key` hidden, when there is one: an issuer's secret, or its private key.
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

/// Whether TOML reads `text` as a number or truth whose text is `text` again.
fn is_bare(text: &str) -> bool {
    text == "true" || text == "false" || text.parse::<u32>().is_ok_and(|number| number.to_string() == text)
}
