//! `gapless health`: asks the hub of this machine whether it is alive, or ready. For the health checks of containers, which
//! have no other program.
//!
//! | module | idea |
//! |---|---|
//! | this file | the command: one request, and the exit code |
//! | `place` | which listener of the configuration is asked, and how |

use std::time::Duration;

use clap::value_parser;
use hyper::{StatusCode, header};

use super::{CliError, output, problem::HubProblem};
use crate::{
    client::{
        Connector,
        exchange::{ExchangeBounds, ExchangeError, MIN_HEAD_BYTES, exchange, get},
    },
    config::{Config, Flags},
};

mod place;

use place::{HealthPlace, HealthQuestion};

/// Longest response that is read: a problem has a few hundred bytes.
const MAX_BODY: u64 = 64 << 10;

/// How the hub answers a request without TLS where it speaks TLS.
const SPEAKS_TLS: &[u8] = b"This port speaks TLS";

/// What to ask.
#[derive(Debug, clap::Args)]
#[command(
    max_term_width = 140,
    after_help = "\
Asks the hub that has this configuration, from the same flags, environment and file as `gapless
serve`, at its first listener without TLS, else with TLS at the first one, where it trusts the
certificate of tls.cert; if the hub has another one loaded, it learns only that the hub is alive.
It asks /healthz, which answers as long as the process responds, or with
--ready /readyz: whether a durable publish would be accepted.

Exit codes: 0 it is, 1 it is not, or does not answer in time, 2 wrong command line, 78 wrong
configuration.

  gapless health
  gapless health --ready --config /etc/gapless/gapless.toml
  gapless health --url unix:/run/gapless/hub.sock"
)]
pub struct HealthArgs {
    /// Ask whether publishes are accepted, not only whether the hub responds
    #[arg(long)]
    ready: bool,
    /// Ask the hub at this URL instead: http://, https://, or unix:/ and the path of its socket
    #[arg(long)]
    url: Option<String>,
    /// Longest wait for the answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = value_parser!(u16).range(1..=600))]
    timeout: u16,
    #[command(flatten)]
    flags: Flags,
}

impl HealthArgs {
    /// The configuration flags.
    #[must_use]
    pub fn flags(&self) -> &Flags {
        &self.flags
    }

    /// Whether the configuration is needed.
    #[must_use]
    pub fn needs_configuration(&self) -> bool {
        self.url.is_none()
    }
}

/// Asks the hub that is configured, or without `config` that of `--url`. Prints `ok`. Cancel safe.
///
/// # Errors
/// Why it is not healthy, or not known to be.
pub async fn run(args: &HealthArgs, config: Option<&Config>) -> Result<(), CliError> {
    let place = match (&args.url, config) {
        (Some(url), _) => HealthPlace::of_url(url)?,
        (None, Some(config)) => HealthPlace::of_config(config)?,
        (None, None) => unreachable!("without a URL the configuration is read"),
    };
    let time = Duration::from_secs(args.timeout.into());
    let target = format!("{}/{}", place.base, if args.ready { "readyz" } else { "healthz" });
    let (mut asked, mut answer) = (place.asked, ask(&place.connector, &target, time).await);
    // The hub keeps the certificate that it has loaded while the file has one that it could not load.
    if let (Err(_), Some(connector), false) = (&answer, &place.without_tls, args.ready)
        && let Ok(alive) = ask(connector, &target, time).await
    {
        (asked, answer) = (HealthQuestion::Liveness, Ok(alive));
    }
    let (status, body) = answer.map_err(|error| place.unreachable(error))?;
    let healthy = match asked {
        HealthQuestion::Whole => status == StatusCode::OK,
        HealthQuestion::Liveness if args.ready => return Err(place.cannot_ask_ready()),
        HealthQuestion::Liveness => status == StatusCode::BAD_REQUEST && body.starts_with(SPEAKS_TLS),
    };
    if healthy {
        output::print(&mut output::stdout(), b"ok\n")
    } else {
        Err(CliError::Refused(HubProblem::from_body(status, &body)))
    }
}

async fn ask(connector: &Connector, target: &str, time: Duration) -> Result<(StatusCode, Vec<u8>), ExchangeError> {
    let bounds = ExchangeBounds {
        connect: time,
        head: time,
        total: Some(time),
        head_bytes: MIN_HEAD_BYTES,
        body_bytes: MAX_BODY,
    };
    let mut request = get(target, "*/*")?;
    request.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    let response = exchange(connector, request, &bounds).await?;
    let status = response.status();
    Ok((status, response.into_body().read_to_end().await?))
}
