//! The `gapless` binary: the life of a process.
//!
//! Exit codes: 0 done, or drained in order · 1 failed · 2 wrong command line · 78 wrong configuration ·
//! 130 told to stop twice.

use std::{fmt::Display, io::Write, process::ExitCode};

use gapless::{
    app::{self, AppError, Reload, RunningHub},
    cli::{self, Cli, CliError, Command, complain},
    config::{self, Config, Effective, Flags},
    lifecycle::{Drain, signals},
    telemetry,
};

/// The system's allocator keeps what a closed segment of the store has freed: after 20 reads here and there of a store of a
/// million topics the process holds 466 MB for ever, with this one 185 MB a minute later (`benches/topics.rs`).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let Cli { command, flags } = Cli::of_process();
    match command.unwrap_or(Command::Serve(flags)) {
        Command::Serve(flags) => configured(&flags, |config, effective| serve(&config, effective, &flags)),
        Command::Token(args) => {
            configured(&args.flags().clone(), |config, _| finish(cli::token::run(&args, config.access_settings())))
        }
        Command::Check(flags) => configured(&flags, |config, effective| {
            let clock = app::clock_state(&config);
            finish(cli::check::run(&effective, clock.ahead, clock.leapt))
        }),
        Command::Publish(args) => finish(block_on(cli::publish::run(args))),
        Command::Tail(args) => finish(block_on(cli::tail::run(args))),
        Command::Remove(args) => finish(block_on(cli::remove::run(args))),
        Command::Bench(args) => finish(block_on(cli::bench::run(args))),
    }
}

/// The hub: configuration, log, signals, and then the app until it has drained.
fn serve(config: &Config, effective: Effective, flags: &Flags) -> ExitCode {
    let code = serve_until_drained(config, effective, flags);
    telemetry::flush();
    code
}

fn serve_until_drained(config: &Config, effective: Effective, flags: &Flags) -> ExitCode {
    if let Err(error) = telemetry::init(&config.log) {
        complain(format_args!("cannot start: {error}"));
        return ExitCode::FAILURE;
    }
    for variable in &effective.ignored {
        tracing::warn!(variable, "no setting has this name; it is ignored");
    }
    let drain = Drain::new();
    let asked = match signals::listen(drain.clone(), config.hub.drain, telemetry::flush) {
        Ok(hangups) => hangups,
        Err(error) => {
            tell(format_args!("cannot listen for signals: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let flags = flags.clone();
    let reload = Reload { asked, before: effective, read: Box::new(move || config::load(&flags)) };
    match app::serve(config, &drain, reload, |hub| greet(config, hub)) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            let wrong = matches!(error, AppError::Access(_));
            tell(error);
            if wrong { ExitCode::from(config::EXIT_CODE) } else { ExitCode::FAILURE }
        }
    }
}

/// Says on stderr why the hub does not go on, without waiting for whoever reads there.
fn tell(what: impl Display) {
    telemetry::say(format!("gapless: {what}\n"));
}

/// Where to look, for whoever has just started a hub for the first time.
fn greet(config: &Config, hub: &RunningHub) {
    let text = app::greeting::text(config, &hub.places, &hub.operators);
    let print = move || {
        let mut out = std::io::stdout().lock();
        // Nobody reading is no reason not to serve.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    };
    // Nor is somebody who has stopped reading: this thread may wait for ever.
    let _unheard = std::thread::Builder::new().name("greeting".into()).spawn(print);
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
        Err(errors) => {
            complain(errors);
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
