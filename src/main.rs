//! The `gapless` binary: the life of a process.
//!
//! Exit codes: 0 done, or drained in order · 1 failed · 2 wrong command line · 78 wrong configuration ·
//! 130 told to stop twice.

use std::{io::Write, process::ExitCode};

use clap::Parser;
use gapless::{
    app::{self, AppError, Reload, Running},
    cli::{self, Cli, CliError, Command, complain},
    config::{self, Config, Effective, Flags},
    lifecycle::{Drain, descriptors, signals},
    telemetry,
};

/// The system's allocator keeps what a closed segment of the store has freed: after 20 reads here and there of a store of a
/// million topics the process holds 466 MB for ever, with this one 185 MB a minute later (`benches/topics.rs`).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let Cli { command, flags } = Cli::parse();
    match command.unwrap_or(Command::Serve(flags)) {
        Command::Serve(flags) => configured(&flags, |config, effective| serve(&config, &effective, &flags)),
        Command::Token(args) => {
            configured(&args.flags().clone(), |config, _| finish(cli::token::run(&args, config.credentials())))
        }
        Command::Check(flags) => configured(&flags, |_, effective| finish(cli::check::run(&effective))),
        Command::Publish(args) => finish(block_on(cli::publish::run(args))),
        Command::Tail(args) => finish(block_on(cli::tail::run(args))),
        Command::Bench(args) => finish(block_on(cli::bench::run(args))),
    }
}

/// The hub: configuration, log, room for connections, signals, and then the app until it has drained.
fn serve(config: &Config, effective: &Effective, flags: &Flags) -> ExitCode {
    telemetry::init(&config.log);
    for variable in &effective.ignored {
        tracing::warn!(variable, "no setting has this name; it is ignored");
    }
    if let Some(fits) = descriptors::make_room(config.http.connections) {
        let wanted = config.http.connections;
        tracing::warn!(
            connections.fit = fits,
            connections.wanted = wanted,
            "raise the limit on open files (ulimit -n)"
        );
    }
    let drain = Drain::new();
    let asked = match signals::listen(drain.clone(), config.hub.drain) {
        Ok(hangups) => hangups,
        Err(error) => {
            complain(format_args!("cannot listen for signals: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let reload = Reload { asked, before: effective, read: &|| config::load(flags) };
    match app::serve(config, &drain, &reload, |hub| greet(config, hub)) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            let wrong = matches!(error, AppError::Access(_));
            complain(error);
            if wrong { ExitCode::from(config::EXIT_CODE) } else { ExitCode::FAILURE }
        }
    }
}

/// Where to look, for whoever has just started a hub for the first time.
fn greet(config: &Config, hub: &Running) {
    let scheme = if config.speaks_tls() { "https" } else { "http" };
    let address = hub.address;
    // What anyone may do needs no token, and what nobody may do without one is worth a word.
    let token = if config.has_credentials() { "-H 'Authorization: Bearer TOKEN' " } else { "" };
    let mut out = std::io::stdout().lock();
    // Nobody reading is no reason not to serve.
    let _ = writeln!(
        out,
        "gapless listening on {scheme}://{address}\n\n\
         \x20 page       {scheme}://{address}/\n\
         \x20 publish    curl {token}-d 'Hello' '{scheme}://{address}/publish?topic=demo'\n\
         \x20 subscribe  curl {token}-N '{scheme}://{address}/events?topic=demo&from=earliest'"
    );
    if let Some(operators) = hub.operators {
        // Alone on the loopback they speak no TLS.
        let scheme = if operators.ip().to_canonical().is_loopback() { "http" } else { scheme };
        let _ = writeln!(out, "  figures    {scheme}://{operators}/admin/stats");
    }
    let _ = out.flush();
}

fn configured(flags: &Flags, next: impl FnOnce(Config, Effective) -> ExitCode) -> ExitCode {
    match config::load(flags) {
        Ok((config, effective)) => match app::check(&config) {
            Ok(()) => next(config, effective),
            Err(error) => {
                complain(error);
                ExitCode::from(config::EXIT_CODE)
            }
        },
        Err(mistakes) => {
            complain(mistakes);
            ExitCode::from(config::EXIT_CODE)
        }
    }
}

/// A client needs no more than this thread.
fn block_on(command: impl Future<Output = Result<(), CliError>>) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a fresh process has an event queue to spare").block_on(command)
}

fn finish(outcome: Result<(), CliError>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if error.exit_code() != 0 {
                complain(&error);
            }
            ExitCode::from(error.exit_code())
        }
    }
}
