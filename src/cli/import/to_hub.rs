//! Publishes an export to a hub, batch after batch. Each batch has a key that follows from its events, so that it is published
//! once, also when the import is started again.

use std::{fs::File, io::BufReader, path::Path, sync::Arc};

use gapless_client::connection::HubConnection;
use hyper::Method;
use serde::Deserialize;

use super::{
    ImportArgs,
    batch::{BatchReader, ExportBatch},
    ids::IdsFile,
};
use crate::{
    cli::{
        CliError,
        client::Dial,
        output::print_error,
        patient::JsonRequest,
        progress::{CountedUnit, ProgressLine},
        publish::close,
    },
    event::TopicName,
    export::{ExportError, reader::ExportReader},
    progress::WorkProgress,
};

/// The response to a batch.
#[derive(Deserialize)]
struct ImportReceipts {
    events: Vec<ImportReceipt>,
}

#[derive(Deserialize)]
struct ImportReceipt {
    id: String,
}

/// Publishes the export, and tells on stderr what was done.
///
/// # Errors
/// When the export is not valid, the hub refuses, or the file of ids cannot be written. What was published stays, and the import
/// may be repeated.
pub async fn to_hub(args: ImportArgs) -> Result<(), CliError> {
    let hub = args.hub.client()?;
    let (file, length) = open(&args.from)?;
    let reader = ExportReader::open(BufReader::new(file))?;
    let mut ids = IdsFile::open(&args.ids())?;
    let progress = Arc::new(WorkProgress::default());
    let line = ProgressLine::start(&progress, CountedUnit::Bytes);
    progress.begin("importing", length);
    if ids.last().is_some_and(|last| last.epoch != reader.through().epoch || last.seq > reader.through().seq) {
        return Err(CliError::NotImported(format!(
            "{} has the ids of another export; name another file with --ids",
            args.ids().display()
        )));
    }
    let mut batches = BatchReader::new(reader);
    let mut connection = HubConnection::new(&hub);
    let before = ids.count();
    loop {
        let at = batches.bytes();
        let batch = batches.read()?;
        if batch.events.is_empty() {
            break;
        }
        if !ids.has(&batch) {
            publish(&mut connection, batch, &mut ids).await?;
        }
        progress.add(batches.bytes() - at);
    }
    progress.step("closing topics");
    for topic in &batches.closed {
        closed(&mut connection, topic).await?;
    }
    drop(line);
    let mut report = format!("{} events imported", ids.count() - before);
    if before > 0 {
        report = format!("{report}, {before} before");
    }
    if batches.left_out > 0 {
        let left_out = batches.left_out;
        report = format!(
            "{report}; {left_out} left out, which are removed or tell of the relay's runs: no publisher can send them"
        );
    }
    if batches.without_metadata > 0 {
        let count = batches.without_metadata;
        report = format!("{report}; {count} without what another protocol kept with them: no publisher can send it");
    }
    if batches.gaps > 0 {
        report = format!("{report}; {} gaps in the export", batches.gaps);
    }
    print_error(report);
    Ok(())
}

fn open(path: &Path) -> Result<(File, u64), CliError> {
    let opened = File::open(path).and_then(|file| file.metadata().map(|metadata| (file, metadata.len())));
    opened.map_err(|reason| ExportError::Io { path: path.into(), reason }.into())
}

/// Publishes a batch, in halves of halves if the hub takes less at once, and records the ids.
async fn publish<D: Dial>(
    connection: &mut HubConnection<'_, D>,
    batch: ExportBatch,
    ids: &mut IdsFile,
) -> Result<(), CliError> {
    let mut parts = vec![batch];
    while let Some(part) = parts.pop() {
        let request =
            JsonRequest { method: Method::POST, target: "/publish".into(), body: part.body(), key: Some(part.key()) };
        match request.send(connection).await {
            Ok(response) => record(&part, &response, ids)?,
            Err(CliError::Refused(problem)) if problem.code() == Some("too-large") && part.events.len() > 1 => {
                let (first, second) = part.halves();
                parts.extend([second, first]);
            }
            Err(error) => return Err(not_confirmed(&part, &error)),
        }
    }
    Ok(())
}

/// Records the ids of a batch that was published.
fn record(batch: &ExportBatch, response: &[u8], ids: &mut IdsFile) -> Result<(), CliError> {
    let receipts: ImportReceipts = serde_json::from_slice(response)
        .map_err(|error| CliError::NotAHub(format!("its response to a batch is not a list of receipts: {error}")))?;
    if receipts.events.len() != batch.events.len() {
        let (sent, got) = (batch.events.len(), receipts.events.len());
        return Err(CliError::NotAHub(format!("it returned {got} receipts for {sent} events")));
    }
    let published = batch.events.iter().zip(&receipts.events);
    Ok(ids.add(published.map(|((old, event), receipt)| (*old, &*receipt.id, event.new.topic.as_str())))?)
}

/// The error of a batch that the hub has refused, or has not confirmed.
fn not_confirmed(batch: &ExportBatch, error: &CliError) -> CliError {
    let (Some((first, _)), Some((last, _))) = (batch.events.first(), batch.events.last()) else { unreachable!() };
    CliError::NotImported(format!(
        "the events {first} to {last} are not confirmed: {error}; those before are imported, and the same import goes on with these"
    ))
}

async fn closed<D: Dial>(connection: &mut HubConnection<'_, D>, topic: &TopicName) -> Result<(), CliError> {
    let (method, key) = (Method::PUT, None);
    let request = JsonRequest { method, target: close::target(topic.as_str()), body: close::BODY, key };
    request.send(connection).await.map(drop).map_err(|error| {
        CliError::NotImported(format!(
            "all events are imported, but the topic {topic} is not closed: {error}; import again with a token that has admin, \
             which imports nothing twice"
        ))
    })
}
