//! `gapless backup`: copies a hub's log while the hub goes on.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, body::Incoming, header::HeaderMap};
use serde::Serialize;
use tokio::time::timeout;

use super::{
    CliError,
    client::HubArgs,
    output,
    problem::HubProblem,
    progress::{CountedUnit, ProgressLine},
};
use crate::{
    backup::{
        BackupError, archive,
        directory::BackupDirectory,
        frame::FrameDecoder,
        part_checker::CheckPart,
        receive::{BackupReceiver, ReceivedBackup},
        removal::Removed,
    },
    event::{Millis, byte_size},
    progress::WorkProgress,
};

/// Longest wait for the next bytes. The hub may have to open a segment on a slow disk, which it gives up after 20 s.
const SILENCE: Duration = Duration::from_mins(2);

/// The arguments of `gapless backup`.
#[derive(Debug, clap::Args)]
#[command(
    max_term_width = 140,
    after_help = "\
The hub goes on meanwhile. The backup has everything up to the hub's newest id at its start. A
directory keeps any number of backups: what has not changed since an earlier one is not sent,
and not stored again. Every byte is checked before a backup counts; one that is cut short leaves
those before it as they are. Removed events are in no later backup.

Needs a token with admin that may subscribe to **.

  gapless backup --to /backup/gapless --keep 7
  gapless backup --to gapless.tar.zst --url https://hub.example --token-file token
  gapless verify /backup/gapless
  gapless restore --from /backup/gapless --data /var/lib/gapless

docs/OPERATIONS.md, \"Backups\", has the recovery drill."
)]
pub struct BackupArgs {
    /// A directory of backups, which is made if it is missing, or an archive that ends in .tar.zst
    #[arg(long, value_name = "DIR|FILE.tar.zst")]
    to: PathBuf,
    /// Remove all but the newest N backups of the directory afterwards
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    hub: HubArgs,
}

/// What was done.
#[derive(Serialize)]
struct BackupReport {
    name: String,
    id: String,
    events: u64,
    bytes: u64,
    sent_bytes: u64,
    reused_bytes: u64,
    removed_backups: usize,
    removed_bytes: u64,
    warnings: Vec<String>,
}

/// Makes a backup, and prints what was done. `check` reads a part that was written, and checks its records.
///
/// # Errors
/// When the hub cannot be reached or refuses, or the backup cannot be written. The backups before it are as they were.
pub async fn run(args: BackupArgs, check: CheckPart) -> Result<(), CliError> {
    let is_archive = args.to.to_string_lossy().ends_with(archive::ENDING) && !args.to.is_dir();
    if is_archive && args.keep.is_some() {
        return Err(CliError::KeepOfArchive);
    }
    let work = if is_archive { parts_beside(&args.to) } else { args.to.clone() };
    let directory = BackupDirectory::create(&work)?;
    if is_archive {
        archive::write::remove_half(&args.to)?;
    }
    // What an earlier try has left takes space that this one needs. If it cannot be removed now, it is told at the end.
    directory.remove_unused()?;
    let received = match receive(&args.hub, &directory, check).await {
        Err(error) => {
            let _still_there = directory.remove_halves();
            return Err(error);
        }
        received => received?,
    };
    let removed = if is_archive {
        pack(directory, &received, &args.to)?;
        Removed::default()
    } else {
        remove_old(&directory, &received, args.keep)
    };
    let warnings = [received.warnings, removed.warnings].concat();
    for warning in &warnings {
        output::print_error(format!("warning: {warning}"));
    }
    let id = received.manifest.head().map(|head| head.to_string());
    let report = BackupReport {
        name: received.manifest.name(),
        id: id.unwrap_or_default(),
        events: received.manifest.events(),
        bytes: received.manifest.bytes(),
        sent_bytes: received.received,
        reused_bytes: received.reused,
        removed_backups: removed.backups,
        removed_bytes: removed.bytes,
        warnings,
    };
    output::print(&mut output::stdout(), report.text(args.json).as_bytes())
}

/// Removes what is not to be kept. The backup is there, whatever comes of this.
fn remove_old(directory: &BackupDirectory, received: &ReceivedBackup, keep: Option<u32>) -> Removed {
    let removed = match keep {
        Some(keep) => directory.remove_old(&received.manifest, keep as usize),
        None => directory.remove_unused(),
    };
    removed.unwrap_or_else(|error| Removed {
        warnings: vec![format!("the backup is there, but not all that is old was removed: {error}")],
        ..Removed::default()
    })
}

/// Makes the archive `to` of what was received into `directory`, which is removed.
fn pack(directory: BackupDirectory, received: &ReceivedBackup, to: &Path) -> Result<(), BackupError> {
    // What an earlier try has received, and this one has not used, takes the archive's space.
    directory.remove_old(&received.manifest, 1)?;
    archive::write::write_file(&directory, &received.manifest, to)?;
    let work = directory.root().to_owned();
    drop(directory);
    std::fs::remove_dir_all(&work).map_err(|source| BackupError::Io { path: work, source })
}

/// The directory in which an archive's parts are collected: beside it, on the same file system.
fn parts_beside(archive: &Path) -> PathBuf {
    let mut name = archive.as_os_str().to_owned();
    name.push(".parts");
    name.into()
}

async fn receive(hub: &HubArgs, directory: &BackupDirectory, check: CheckPart) -> Result<ReceivedBackup, CliError> {
    let mut receiver = BackupReceiver::new(directory, check)?;
    let hub = hub.client()?;
    let request = Full::<Bytes>::from(receiver.request());
    let asked = hub.send(Method::POST, "/backup", HeaderMap::new(), request);
    let response = timeout(SILENCE, asked).await.map_err(|_| silent())??;
    if !response.status().is_success() {
        return Err(CliError::Refused(HubProblem::read(response).await));
    }
    let progress = Arc::new(WorkProgress::default());
    let _line = ProgressLine::start(&progress, CountedUnit::Bytes);
    take(response.into_body(), &mut receiver, &progress).await?;
    progress.step("checking what was received");
    Ok(receiver.finish(Millis::from(SystemTime::now()))?)
}

/// Passes the frames of the stream to `receiver`.
async fn take(mut body: Incoming, receiver: &mut BackupReceiver<'_>, progress: &WorkProgress) -> Result<(), CliError> {
    let mut decoder = FrameDecoder::default();
    loop {
        let frame = timeout(SILENCE, body.frame()).await.map_err(|_| silent())?;
        let Some(frame) = frame else { return Ok(()) };
        // The hub breaks the connection off when it cannot go on.
        let Ok(frame) = frame else { return Err(BackupError::BrokenOff.into()) };
        let Ok(data) = frame.into_data() else { continue };
        decoder.push(&data);
        while let Some((frame, bytes)) = decoder.next_frame().map_err(BackupError::from)? {
            let is_first = receiver.head().is_none();
            let added = receiver.take(frame, &bytes)?;
            if let Some(head) = receiver.head().filter(|_| is_first) {
                progress.begin("making a backup", head.bytes);
            }
            progress.add(added);
        }
    }
}

fn silent() -> CliError {
    CliError::Broken(format!("nothing has come for {} s; make the backup again", SILENCE.as_secs()))
}

impl BackupReport {
    fn text(&self, json: bool) -> String {
        if json {
            return serde_json::to_string(self).expect("numbers and text") + "\n";
        }
        let Self { name, id, events, bytes, sent_bytes, reused_bytes, removed_backups, removed_bytes, .. } = self;
        let spell = |bytes: &u64| byte_size::spell(*bytes);
        let mut lines = vec![format!(
            "backup {name}: {events} events up to {id}, {}; {} sent, {} were there\n",
            spell(bytes),
            spell(sent_bytes),
            spell(reused_bytes)
        )];
        if *removed_backups > 0 {
            lines.push(format!("removed {removed_backups} older backups, {}\n", spell(removed_bytes)));
        }
        lines.concat()
    }
}
