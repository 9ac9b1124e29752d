//! `gapless publish`: one event, or each line of stdin, or files.
//!
//! | module | idea |
//! |---|---|
//! | this file | publishing one event |
//! | `args` | the arguments |
//! | `lines` | publishes lines as batches, with retries |
//! | `batch`, `bounds` | lines as envelopes, and batches of them; the bounds of a batch |
//! | `close` | closing the topic afterwards |
//! | `ledger` | the outcome of each line |
//! | `pace` | the rate limit of batches |
//! | `files` | the files of `--file`, and the progress of publishing them |
//! | `input` | reads stdin or files on its own thread |

use std::{io, time::Duration};

use bytes::Bytes;
use form_urlencoded::Serializer;
use gapless_client::connection::{HubConnection, HubRequest, HubResponse, RequestBounds, RequestFailure};
use hyper::{
    Method,
    header::{self, HeaderMap, HeaderValue},
};

use super::{
    CliError,
    client::{Dial, HubClient},
    output::{self, print_line},
    progress::{CountedUnit, ProgressLine},
};

mod args;
mod batch;
mod bounds;
pub(super) mod close;
mod files;
mod input;
mod ledger;
mod lines;
mod pace;
#[cfg(test)]
mod tests;

pub use self::args::PublishArgs;
use self::{
    args::PATH,
    files::{EventUnit, InputFiles},
    input::InputLines,
};

/// Timeout of the response to one event: far longer than any commit takes.
const RESPONSE_TIMEOUT: Duration = Duration::from_mins(1);

/// Publishes, and prints the receipts.
///
/// # Errors
/// When the hub cannot be reached or refuses, or when not every line has its receipt.
pub async fn run(args: PublishArgs) -> Result<(), CliError> {
    if args.key.is_some() && args.file.len() > 1 {
        return Err(CliError::KeyOfFiles);
    }
    if args.content_type.is_some() && args.file.len() > 1 {
        return Err(CliError::TypeOfFiles);
    }
    let hub = args.hub.client()?;
    let mut out = output::stdout();
    let unit = if args.lines || args.ndjson { EventUnit::Line } else { EventUnit::File };
    let files = InputFiles::of(&args.file)?;
    let shown = files.progress();
    let _line = shown.as_ref().map(|shown| ProgressLine::start(shown, CountedUnit::Bytes));
    match (unit, args.file.len()) {
        (EventUnit::File, 0) => {
            let data = match args.data.as_deref() {
                None | Some("-") => input::all(io::stdin())?,
                Some(data) => data.to_owned().into(),
            };
            one(&hub, &args, data, &mut out).await
        }
        (EventUnit::File, 1) => one(&hub, &args, input::all(files.open_only()?)?, &mut out).await,
        _ => lines::publish(&hub, &args, InputLines::of_files(files, unit), shown, &mut out).await,
    }
}

/// Publishes one event.
async fn one<D: Dial>(
    hub: &HubClient<D>,
    args: &PublishArgs,
    data: Bytes,
    out: &mut impl io::Write,
) -> Result<(), CliError> {
    let mut query = Serializer::for_suffix(String::from(PATH), PATH.len());
    query.extend_pairs(args.topic.iter().map(|topic| ("topic", topic)));
    query.extend_pairs(args.event.iter().map(|name| ("event", name)));
    query.extend_pairs(args.retry.iter().map(|retry| ("retry", retry.to_string())));
    if args.close {
        query.append_pair("close", "true");
    }
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, args.content_type.clone().unwrap_or(text));
    if let Some(key) = &args.key {
        headers.insert("idempotency-key", key.clone());
    }
    let request = HubRequest { method: Method::POST, target: query.finish(), headers, body: data };
    let bounds = RequestBounds { patience: RESPONSE_TIMEOUT, may_send: &|| true };
    match HubConnection::new(hub).request(&request, &bounds).await {
        Ok(HubResponse::Success { body, .. }) => print_line(out, body.trim_ascii_end()),
        Ok(HubResponse::Refused(problem)) => Err(CliError::Refused(problem)),
        Err(RequestFailure::NotSent(error) | RequestFailure::MaybeSent(error)) => Err(error.into()),
        Err(RequestFailure::TooLate) => unreachable!("it may always be sent"),
    }
}
