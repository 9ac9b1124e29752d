//! The `gapless` binary: command dispatch and exit codes.
//!
//! Exit codes: 0 success, or the drain is complete · 1 failure, or the checked store or stream is damaged · 2 invalid command
//! line · 3 the store, the stream or the backup could not be checked · 75 a hub is using the store that was to be checked, or another
//! backup is being made · 78 invalid configuration ·
//! 130 a second stop signal came before the drain was over, or a check was interrupted; 129, 130 SIGHUP or SIGINT ended a
//! command in order.

use std::{fmt::Display, io::Write, path::Path, process::ExitCode, sync::Arc};

use gapless::{
    app::{
        self, AppError, Reload, RunningHub,
        import::ImportCommandError,
        jetstream::{self, InitWishes, StreamCommandError, hub_permissions},
        service::ServiceManager,
        store_check::{self, CheckError, ScratchDir},
    },
    cli::{
        self, Cli, CliError, Command,
        check::{CheckArgs, CheckTarget},
        import::{ImportArgs, ImportTarget},
        jetstream::{EpochArgs, InitArgs, JetStreamCommand},
        print_error,
        progress::{self, CountedUnit, ProgressLine},
        restore::RestoreArgs,
        verify::VerifyArgs,
    },
    config::{self, Config, Effective, Flags, kinds::EngineKind},
    lifecycle::{
        Drain,
        inherited::{self, InheritedSocket},
        notify::NotifySocket,
        signals,
    },
    progress::WorkProgress,
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
        // First, because it changes the environment, which is safe only before there are other threads.
        Command::Serve(flags) => match inherited::take() {
            Ok(sockets) => configured(&flags, |config, effective| serve(&config, effective, &flags, sockets)),
            Err(error) => misconfigured(error),
        },
        // A token needs neither the hub's certificate nor its providers.
        Command::Token(args) => match config::load(args.flags()) {
            Ok((config, _)) => finish(cli::token::run(&args, config.access_settings())),
            Err(errors) => misconfigured(errors),
        },
        Command::Check(args) => match args.target() {
            CheckTarget::Configuration => configured(args.flags(), |config, effective| {
                if config.hub.engine == EngineKind::JetStream && !args.offline() {
                    return check_stream(&args, &config);
                }
                if args.json() {
                    print_error("--json is for --store and for the engine jetstream");
                    return ExitCode::from(2);
                }
                let clock = app::clock_state(&config);
                finish(cli::check::run(&effective, clock.ahead, clock.leapt))
            }),
            CheckTarget::Store(dir) => check_store(&args, &dir),
            CheckTarget::ConfiguredStore => match config::load(args.flags()) {
                Ok((config, _)) if config.hub.engine == EngineKind::JetStream => check_stream(&args, &config),
                Ok((config, _)) => match store_check::configured_dir(&config) {
                    Ok(dir) => check_store(&args, &dir),
                    Err(error) => not_checked(&error),
                },
                Err(errors) => misconfigured(errors),
            },
        },
        Command::Health(args) if args.needs_configuration() => match config::load(args.flags()) {
            Ok((config, _)) => finish(block_on(cli::health::run(&args, Some(&config)))),
            Err(errors) => misconfigured(errors),
        },
        Command::Health(args) => finish(block_on(cli::health::run(&args, None))),
        Command::JetStream(args) => match args.command {
            JetStreamCommand::Init(args) => init_stream(&args),
            JetStreamCommand::Epoch(args) => stream_epoch(&args),
        },
        Command::Export(args) => finish(block_on(cli::export::run(args))),
        Command::Import(args) => match args.target() {
            ImportTarget::Stream => import_store(&args),
            ImportTarget::Store(data) => import_export(&args.from, data),
            ImportTarget::Hub => finish(block_on(cli::import::to_hub(args))),
        },
        Command::Backup(args) => finish(block_on(cli::backup::run(args, Arc::new(app::backup::check_part)))),
        Command::Verify(args) => verify_backup(&args),
        Command::Restore(args) => restore_backup(&args),
        Command::Completions(args) => finish(cli::completions::run(&args, Cli::definition())),
        Command::Man(args) => finish(cli::man::run(&args, Cli::definition())),
        Command::Publish(args) => finish(block_on(cli::publish::run(args))),
        Command::Tail(args) => finish(block_on(cli::tail::run(args))),
        Command::Top(args) => finish(block_on(cli::top::run(args))),
        Command::Remove(args) => finish(block_on(cli::remove::run(args))),
        Command::Bench(args) => finish(block_on(cli::bench::run(args))),
    }
}

/// Checks the store in `dir`, and prints what was found.
fn check_store(args: &CheckArgs, dir: &Path) -> ExitCode {
    let scratch = match ScratchDir::new(&args.scratch(), dir) {
        Ok(scratch) => scratch,
        Err(error) => return not_checked(&error),
    };
    cli::check::announce_copies(scratch.path(), store_check::check_scratch_bytes(dir));
    let progress = Arc::new(WorkProgress::default());
    let line = ProgressLine::start(&progress, CountedUnit::Bytes);
    let checked = store_check::check(dir, &scratch, &progress);
    drop((line, scratch));
    match checked {
        Ok(report) => match args.print(&report) {
            Ok(()) => ExitCode::from(report.verdict.exit_code()),
            failed => finish(failed),
        },
        Err(error) => not_checked(&error),
    }
}

/// Checks the configured servers and their stream, and prints what was found.
fn check_stream(args: &CheckArgs, config: &Config) -> ExitCode {
    match jetstream::check(config) {
        Ok(report) => match args.print(&report) {
            Ok(()) => ExitCode::from(report.verdict.exit_code()),
            failed => finish(failed),
        },
        Err(error) => stream_failed(&error),
    }
}

/// Makes the stream, or prints the permissions of a hub.
fn init_stream(args: &InitArgs) -> ExitCode {
    let config = match config::load(&args.flags) {
        Ok((config, _)) => config,
        Err(errors) => return misconfigured(errors),
    };
    if args.permissions {
        return finish(cli::jetstream::print(hub_permissions(&config.nats.stream, &config.nats.prefix)));
    }
    let wishes = InitWishes { replicas: args.replicas, max_bytes: args.max_bytes, dry_run: args.dry_run };
    match jetstream::init(&config, &wishes) {
        Ok(report) => finish(cli::jetstream::print(report)),
        Err(error) => stream_failed(&error),
    }
}

/// Moves a store into the stream, and prints what was done.
fn import_store(args: &ImportArgs) -> ExitCode {
    let config = match config::load(&args.flags) {
        Ok((config, _)) => config,
        Err(errors) => return misconfigured(errors),
    };
    let scratch = args.scratch.clone().unwrap_or_else(std::env::temp_dir);
    let scratch = match ScratchDir::new(&scratch, &args.from) {
        Ok(scratch) => scratch,
        Err(error) => return not_checked(&error),
    };
    let progress = Arc::new(WorkProgress::default());
    let line = ProgressLine::start(&progress, CountedUnit::Items);
    let imported = app::import::import(&config, &args.from, &scratch, &progress);
    drop((line, scratch));
    match imported {
        Ok(report) => finish(cli::jetstream::print(report)),
        Err(ImportCommandError::Config(errors)) => misconfigured(errors),
        Err(error) => {
            print_error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Makes a store of an export, and prints what was done.
fn import_export(from: &Path, data: &Path) -> ExitCode {
    let progress = Arc::new(WorkProgress::default());
    let line = ProgressLine::start(&progress, CountedUnit::Bytes);
    let imported = app::export_import::import_export(from, data, &progress);
    drop(line);
    match imported {
        Ok(report) => finish(cli::restore::print(report)),
        Err(error) => {
            print_error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Reads all of a backup, and prints what was found.
fn verify_backup(args: &VerifyArgs) -> ExitCode {
    let progress = Arc::new(WorkProgress::default());
    let line = ProgressLine::start(&progress, CountedUnit::Bytes);
    let verified = app::backup::verify::verify(&args.path, &progress);
    drop(line);
    match verified {
        Ok(report) => match args.print(&report) {
            Ok(()) => ExitCode::from(report.exit_code()),
            failed => finish(failed),
        },
        Err(error) => {
            print_error(&error);
            ExitCode::from(app::backup::verify::EXIT_UNCHECKED)
        }
    }
}

/// Makes a store of a backup, and prints what was done.
fn restore_backup(args: &RestoreArgs) -> ExitCode {
    if let refused @ Err(_) = args.check() {
        return finish(refused);
    }
    let progress = Arc::new(WorkProgress::default());
    let line = ProgressLine::start(&progress, CountedUnit::Bytes);
    let restored = app::backup::restore::restore(&args.from, args.at.as_deref(), &args.data, &progress);
    drop(line);
    match restored {
        Ok(report) => finish(cli::restore::print(report)),
        Err(error) => {
            print_error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Prints the epoch of the stream, or renews it once that is confirmed.
fn stream_epoch(args: &EpochArgs) -> ExitCode {
    let config = match config::load(&args.flags) {
        Ok((config, _)) => config,
        Err(errors) => return misconfigured(errors),
    };
    let view = match args.confirm {
        Some(current) => jetstream::renew_epoch(&config, current),
        None => jetstream::epoch(&config),
    };
    match view {
        Ok(view) if args.renew && args.confirm.is_none() => {
            print_error(format_args!(
                "the epoch is {epoch}; a new one makes every client that returns start with a gap `unknown`. Stop the hubs, \
                 then confirm with: gapless jetstream epoch --renew --confirm {epoch}",
                epoch = view.epoch.as_str()
            ));
            ExitCode::FAILURE
        }
        Ok(view) => finish(cli::jetstream::print(view)),
        Err(error) => stream_failed(&error),
    }
}

fn stream_failed(error: &StreamCommandError) -> ExitCode {
    print_error(error);
    ExitCode::from(error.exit_code())
}

fn not_checked(error: &CheckError) -> ExitCode {
    print_error(error);
    ExitCode::from(error.exit_code())
}

/// Runs the hub until it has drained, and flushes the log.
fn serve(config: &Config, effective: Effective, flags: &Flags, sockets: Vec<InheritedSocket>) -> ExitCode {
    let code = serve_until_drained(config, effective, flags, sockets);
    telemetry::flush();
    code
}

fn serve_until_drained(
    config: &Config,
    effective: Effective,
    flags: &Flags,
    sockets: Vec<InheritedSocket>,
) -> ExitCode {
    if let Err(error) = telemetry::init(&config.log, progress::stderr()) {
        print_error(format_args!("cannot start: {error}"));
        return ExitCode::FAILURE;
    }
    for variable in &effective.ignored {
        tracing::warn!(variable, "no setting has this name; the variable is ignored");
    }
    let (engine, unused) = effective.without_effect();
    for key in unused {
        tracing::warn!(key, engine, "this setting has no effect with the configured engine");
    }
    // A process started from a shell of a service may inherit a socket that is gone.
    let notify = NotifySocket::of_process().unwrap_or_else(|error| {
        tracing::warn!(error = %error, "the service manager is not notified");
        NotifySocket::default()
    });
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
    let opening = Arc::new(WorkProgress::default());
    let line = ProgressLine::start(&opening, CountedUnit::Items);
    let ready = |hub: &RunningHub| {
        drop(line);
        greet(hub);
    };
    match app::serve(config, &drain, reload, ServiceManager { notify, sockets }, &opening, ready) {
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
fn greet(hub: &RunningHub) {
    let text = app::greeting::text(&hub.config, &hub.places, &hub.operators);
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
