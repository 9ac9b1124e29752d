//! A value that a source has for a key, and where it is written.

use std::{collections::BTreeMap, fmt};

use super::errors::{TableId, TablePart};

/// A value of a key from one source; another source may override it.
#[derive(Debug)]
pub(super) struct SourceValue {
    /// The value's text, or why it has none.
    pub text: Result<String, &'static str>,
    pub origin: ValueOrigin,
}

/// The source of a value. `Display` says where to change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ValueOrigin {
    Flag(String),
    Environment(String),
    File(Locations),
    Default,
}

/// The lines of a value in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Locations {
    /// `FILE:LINE` of its key.
    pub(super) key: String,
    /// For several tables under one key: the lines of each.
    pub(super) tables: BTreeMap<TableId, TableLines>,
}

/// The lines of a table in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableLines {
    /// `FILE:LINE` of the table.
    pub(super) table: String,
    /// `FILE:LINE` of each of its keys.
    pub(super) keys: BTreeMap<String, String>,
}

impl Locations {
    /// `FILE:LINE` of a part, or of the key.
    pub(super) fn location_of(&self, part: Option<&TablePart>) -> &str {
        let Some((part, lines)) = part.and_then(|part| Some((part, self.tables.get(&part.table)?))) else {
            return &self.key;
        };
        part.key.as_ref().and_then(|key| lines.keys.get(key)).unwrap_or(&lines.table)
    }
}

impl fmt::Display for ValueOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "--{flag}"),
            Self::Environment(name) => f.write_str(name),
            Self::File(locations) => f.write_str(locations.location_of(None)),
            Self::Default => f.write_str("default"),
        }
    }
}
