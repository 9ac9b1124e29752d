//! The configuration in force as a TOML file that says of each value where it comes from.

use std::fmt;

use super::{
    resolve::{Origin, Setting},
    table::ROOT,
};

/// Every key with its value in force. `Display` is a file that gives the same configuration again.
#[derive(Debug)]
pub struct Effective(pub(super) Vec<Setting>);

impl Effective {
    /// The keys that need a restart and have another value here than in `before`.
    #[must_use]
    pub fn needs_restart(&self, before: &Self) -> Vec<String> {
        let pairs = self.0.iter().zip(&before.0);
        pairs.filter(|(new, old)| !new.key.reloads() && new.text != old.text).map(|(new, _)| new.key.path()).collect()
    }
}

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut section = ROOT;
        for Setting { key, text, origin } in &self.0 {
            if key.section != section {
                section = key.section;
                writeln!(f, "\n[{section}]")?;
            }
            let value =
                if key.is_toml || is_bare(text) { text.clone() } else { toml::Value::from(&**text).to_string() };
            let line = format!("{} = {value}", key.name);
            match origin {
                Origin::Default => writeln!(f, "{line}")?,
                // Aligned at a column that most lines stay left of.
                origin => writeln!(f, "{line:<40} # {origin}")?,
            }
        }
        Ok(())
    }
}

/// Whether TOML reads `text` as a number or truth whose text is `text` again.
fn is_bare(text: &str) -> bool {
    text == "true" || text == "false" || text.parse::<u32>().is_ok_and(|number| number.to_string() == text)
}
