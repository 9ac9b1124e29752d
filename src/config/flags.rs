//! The command-line flags, generated from the table of keys. Values stay text here, so that all mistakes can be
//! reported together.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::KEYS;

/// The configuration flags of a command line.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--config FILE`.
    pub(super) file: Option<PathBuf>,
    given: Vec<(String, String)>,
}

impl Flags {
    /// `--data DIR`.
    #[must_use]
    pub fn data(&self) -> Option<&str> {
        self.get("data")
    }

    /// The text of the flag for the key at `path`.
    pub(super) fn get(&self, path: &str) -> Option<&str> {
        self.given.iter().find(|(key, _)| key == path).map(|(_, text)| &**text)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let text = |path: String| matches.get_one::<String>(&path).cloned().map(|text| (path, text));
        Ok(Self {
            file: matches.get_one::<PathBuf>("config").cloned(),
            given: KEYS.iter().filter_map(|key| text(key.path())).collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help_heading("Configuration")
            .help("TOML file to read; `gapless check` prints one");
        KEYS.iter().fold(command.arg(config), |command, key| {
            let arg = Arg::new(key.path())
                .long(key.flag())
                .value_name(key.metavar)
                .help_heading(key.heading.trim())
                .help(key.help());
            command.arg(if key.is_switch {
                arg.num_args(0..=1).require_equals(true).default_missing_value("true")
            } else {
                arg.allow_negative_numbers(true)
            })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}
