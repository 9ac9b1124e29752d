//! The `gapless` binary: command dispatch and exit codes.
//!
//! Exit codes: 0 success, or the drain is complete · 1 failure · 2 invalid command line · 78 invalid configuration ·
//! 130 a second stop signal came before the drain was over; 129, 130 SIGHUP or SIGINT ended a command in order.

use std::{fmt::Display, io::Write, process::ExitCode};

use gapless::{
    app::{self, AppError, Reload, RunningHub},
    cli::{self, Cli, CliError, Command, print_error},
    config::{self, Config, Effective, Flags},
    lifecycle::{Drain, signals},
    telemetry,
};

/// The system's allocator keeps what a closed segment of the store has freed: after 20 scattered reads of a store of a
/// million topics the process holds 466 MB permanently, with jemalloc 185 MB a minute later (measured by
/// `benches/topics.rs`).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let Cli { command, flags } = Cli::of_process();
    match command.unwrap_or(Command::Serve(flags)) {
        Command::Serve(flags) => configured(&flags, |config, effective| serve(&config, effective, &flags)),
        // A token needs neither the hub's certificate nor its providers.
        Command::Token(args) => match config::load(args.flags()) {
            Ok((config, _)) => finish(cli::token::run(&args, config.access_settings())),
            Err(errors) => misconfigured(errors),
        },
        Command::Check(flags) => configured(&flags, |config, effective| {
            let clock = app::clock_state(&config);
            finish(cli::check::run(&effective, clock.ahead, clock.leapt))
        }),
        Command::Publish(args) => finish(block_on(cli::publish::run(args))),
        Command::Tail(args) => finish(block_on(cli::tail::run(args))),
        Command::Top(args) => finish(block_on(cli::top::run(args))),
        Command::Remove(args) => finish(block_on(cli::remove::run(args))),
        Command::Bench(args) => finish(block_on(cli::bench::run(args))),
    }
}

/// Runs the hub until it has drained, and flushes the log.
fn serve(config: &Config, effective: Effective, flags: &Flags) -> ExitCode {
    let code = serve_until_drained(config, effective, flags);
    telemetry::flush();
    code
}

fn serve_until_drained(config: &Config, effective: Effective, flags: &Flags) -> ExitCode {
    if let Err(error) = telemetry::init(&config.log) {
        print_error(format_args!("cannot start: {error}"));
        return ExitCode::FAILURE;
    }
    for variable in &effective.ignored {
        tracing::warn!(variable, "no setting has this name; the variable is ignored");
    }
    let drain = Drain::new();
    let hangups = match signals::listen(drain.clone(), config.hub.drain, telemetry::flush) {
        Ok(hangups) => hangups,
        Err(error) => {
            report(format_args!("cannot install the signal handlers: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let flags = flags.clone();
    let reload = Reload { hangups, before: effective, read: Box::new(move || config::load(&flags)) };
    match app::serve(config, &drain, reload, |hub| greet(config, hub)) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            let invalid_config = matches!(error, AppError::Config(_));
            report(error);
            if invalid_config { ExitCode::from(config::EXIT_CODE) } else { ExitCode::FAILURE }
        }
    }
}

/// Writes to stderr why the hub ends, without blocking on the reader of stderr.
fn report(what: impl Display) {
    telemetry::say(format!("gapless: {what}\n"));
}

/// Prints the addresses and example commands to stdout.
fn greet(config: &Config, hub: &RunningHub) {
    let text = app::greeting::text(config, &hub.places, &hub.operators);
    let print = move || {
        let mut out = std::io::stdout().lock();
        // A closed stdout is no reason not to serve.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    };
    // On a thread of its own: a full pipe may block it for ever.
    let _detached = std::thread::Builder::new().name("greeting".into()).spawn(print);
}

fn configured(flags: &Flags, next: impl FnOnce(Config, Effective) -> ExitCode) -> ExitCode {
    match config::load(flags) {
        Ok((config, effective)) => match app::check(&config) {
            Ok(()) => next(config, effective),
            Err(error) => misconfigured(error),
        },
        Err(errors) => misconfigured(errors),
    }
}

fn misconfigured(error: impl Display) -> ExitCode {
    print_error(error);
    ExitCode::from(config::EXIT_CODE)
}

/// Runs a client command on a single-threaded runtime.
fn block_on(command: impl Future<Output = Result<(), CliError>>) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a fresh process has an event queue to spare").block_on(command)
}

fn finish(outcome: Result<(), CliError>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is_quiet() {
                print_error(&error);
            }
            ExitCode::from(error.exit_code())
        }
    }
}
