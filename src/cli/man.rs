//! `gapless man`: manual pages, made of the same definitions as `--help`.
//!
//! The settings of the hub, more than a hundred options, are on the page of `serve` only, by section. The pages of other
//! commands that take them refer to it.

use std::{fs, io::Write, path::PathBuf};

use clap::Command;
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use super::{CliError, output};
use crate::config::KEYS;

/// The page.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Prints a page in the format of man to stdout, or writes one for each command into a directory.

  gapless man | man -l -
  gapless man serve | man -l -
  gapless man --to ~/.local/share/man/man1             then: man gapless-serve")]
pub struct ManArgs {
    /// Command to print the page of [default: gapless itself]
    #[arg(value_name = "COMMAND", conflicts_with = "to")]
    command: Option<String>,
    /// Write gapless.1, gapless-serve.1 and so on into this directory
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

/// Prints a page of the command line `root`, or writes all of them.
///
/// # Errors
/// When there is no such command, or the output cannot be written.
pub fn run(args: &ManArgs, mut root: Command) -> Result<(), CliError> {
    root.build();
    if let Some(dir) = &args.to {
        let failed = |path: &PathBuf, reason| CliError::File { path: path.clone(), reason };
        fs::create_dir_all(dir).map_err(|reason| failed(dir, reason))?;
        for command in std::iter::once(&root).chain(root.get_subcommands()) {
            let path = dir.join(format!("{}.1", page_name(command)));
            fs::write(&path, page(command, &root)).map_err(|reason| failed(&path, reason))?;
        }
        return Ok(());
    }
    let command = match &args.command {
        None => &root,
        Some(name) => root.find_subcommand(name).ok_or_else(|| {
            let names: Vec<&str> = root.get_subcommands().map(Command::get_name).collect();
            CliError::Nothing(format!("there is no command {name:?}; there are {}", names.join(", ")))
        })?,
    };
    output::print(&mut output::stdout(), &page(command, &root))
}

fn page_name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// Whether an option of a command is a setting of the hub.
fn is_setting(arg: &clap::Arg) -> bool {
    KEYS.iter().any(|key| arg.get_id() == &*key.path())
}

/// Names the possible values in the help: `Man` makes an indented list with empty lines of them.
fn with_values_in_help(arg: clap::Arg) -> clap::Arg {
    let values: Vec<String> = arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    match arg.get_help() {
        Some(help) if arg.get_action().takes_values() && !values.is_empty() => {
            let help = format!("{help} [possible values: {}]", values.join(", "));
            arg.help(help).hide_possible_values(true)
        }
        _ => arg,
    }
}

/// The manual page of a command.
fn page(command: &Command, root: &Command) -> Vec<u8> {
    let (name, version) = (page_name(command).to_owned(), root.get_version().unwrap_or_default());
    let has_settings = command.get_arguments().any(is_setting);
    let lists_settings = command.get_name() == "serve";
    let mut shown = command.clone();
    let usage = shown.render_usage().to_string();
    shown = shown.override_usage(usage.trim_start_matches("Usage:").trim().to_owned());
    shown = shown.mut_args(|arg| {
        let is_hidden = has_settings && !lists_settings && is_setting(&arg);
        with_values_in_help(arg).hide(is_hidden)
    });
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let man = Man::new(shown.subcommand_help_heading("COMMANDS"));
    let mut out = Vec::new();
    let render = |out: &mut Vec<u8>| {
        // Not by `Man`, which leaves out an empty date, so that the version takes its place.
        writeln!(out, ".TH {} 1 \"\" \"gapless {version}\" \"gapless manual\"", name.to_uppercase())?;
        man.render_name_section(out)?;
        man.render_synopsis_section(out)?;
        man.render_description_section(out)?;
        prose(&text, out)?;
        if has_settings && !lists_settings {
            refer_to_settings(command.get_name() == "token", out)?;
        }
        man.render_options_section(out)?;
        if command.has_subcommands() {
            man.render_subcommands_section(out)?;
        }
        see_also(command, root, out)
    };
    render(&mut out).expect("memory");
    out
}

/// The text after the help: paragraphs, and examples with their line breaks.
fn prose(text: &str, out: &mut Vec<u8>) -> std::io::Result<()> {
    let mut roff = Roff::new();
    for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        roff.control("PP", []);
        let mut is_example = false;
        for line in paragraph.lines() {
            let indented = line.starts_with("  ");
            if indented != is_example {
                roff.control(if indented { "nf" } else { "fi" }, []);
                is_example = indented;
            }
            roff.text([roman(line)]);
        }
        if is_example {
            roff.control("fi", []);
        }
    }
    roff.to_writer(out)
}

fn refer_to_settings(is_token: bool, out: &mut Vec<u8>) -> std::io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", ["SETTINGS"]);
    roff.text([
        roman("All settings of the hub are accepted, as options, in the environment and in a file: "),
        bold("gapless-serve"),
        roman("(1) lists them."),
    ]);
    if is_token {
        roff.text([roman(" Its "), bold("--relay"), roman(" is "), bold("--relay-dialects"), roman(" here.")]);
    }
    roff.to_writer(out)
}

fn see_also(command: &Command, root: &Command, out: &mut Vec<u8>) -> std::io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in [
        ("0", "success; of the hub: it has drained"),
        ("1", "failure; of check --store: the store is damaged"),
        ("2", "wrong command line"),
        ("3", "check --store could not read all of the store"),
        ("75", "check --store: a hub is using the store"),
        ("78", "wrong configuration"),
        ("129", "a command was ended in order by SIGHUP"),
        ("130", "a command was ended in order by SIGINT, or the hub at once by a second signal"),
    ] {
        roff.control("TP", []);
        roff.text([bold(code)]);
        roff.text([roman(meaning)]);
    }
    roff.control("SH", ["SEE ALSO"]);
    let others = std::iter::once(root).chain(root.get_subcommands());
    let names: Vec<&str> = others.map(page_name).filter(|name| *name != page_name(command)).collect();
    for (index, name) in names.iter().enumerate() {
        roff.text([bold(*name), roman(if index + 1 == names.len() { "(1)" } else { "(1)," })]);
    }
    roff.to_writer(out)
}
