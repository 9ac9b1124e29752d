//! A mistake in a value, and all mistakes of a configuration, reported together.

use std::fmt;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Its source: a flag, a variable, or a line of the file.
    pub place: String,
    /// What is wrong, and what to write instead.
    pub problem: String,
}

/// A mistake in a value; in a value of several tables, with the part that it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueProblem {
    /// In words that follow the value's text.
    pub text: String,
    /// The part that is wrong; `None` for the whole value.
    pub part: Option<TablePart>,
}

/// A part of a value of several tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablePart {
    /// The table.
    pub table: TableId,
    /// The key; `None` for the table as a whole.
    pub key: Option<String>,
}

/// One of several tables.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TableId {
    /// Its index in a list, from 0.
    Index(usize),
    /// Its name in a table of tables.
    Name(String),
}

impl From<String> for ValueProblem {
    fn from(text: String) -> Self {
        Self { text, part: None }
    }
}

/// All mistakes of a configuration. Not empty when returned as an error. `Display` has a line for each mistake.
#[derive(Debug, Default)]
pub struct ConfigErrors(Vec<Mistake>);

impl ConfigErrors {
    /// Adds a mistake.
    pub fn push(&mut self, place: impl fmt::Display, problem: impl fmt::Display) {
        self.0.push(Mistake { place: place.to_string(), problem: problem.to_string() });
    }

    /// All mistakes, in the order in which they were found.
    #[must_use]
    pub fn all(&self) -> &[Mistake] {
        &self.0
    }

    /// `value`, if there are no mistakes.
    ///
    /// # Errors
    /// All mistakes.
    pub(super) fn into_result<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            [one] => write!(f, "the configuration has a mistake: {}: {}", one.place, one.problem),
            all => {
                write!(f, "the configuration has {} mistakes:", all.len())?;
                all.iter().try_for_each(|mistake| write!(f, "\n  {}: {}", mistake.place, mistake.problem))
            }
        }
    }
}

impl std::error::Error for ConfigErrors {}
