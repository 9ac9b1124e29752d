//! A backup of the log, by a thread of its own: publishers wait for none of it, and it ends with its reader.

use std::{ops::ControlFlow, sync::Arc};

use tokio::sync::mpsc;

use super::{shared::LogShared, store::Store};
use crate::{
    engine::{BackupItem, BackupRequest, BackupStream, ReadError, backup::WAITING_ITEMS},
    sync::thread,
};

/// Begins a backup; `None` when the store has none.
pub(super) fn begin<S: Store>(shared: &Arc<LogShared<S>>, request: BackupRequest) -> Option<BackupStream> {
    if !shared.store.has_backups() {
        return None;
    }
    let (items, stream) = mpsc::channel(WAITING_ITEMS);
    let (shared, refused) = (Arc::clone(shared), items.clone());
    let work = move || {
        let mut send = |item: BackupItem| match items.blocking_send(Ok(item)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        };
        if let Err(error) = shared.store.backup(&request, &*shared, &mut send) {
            let _gone = items.blocking_send(Err(ReadError { reason: error.to_string().into() }));
        }
    };
    // It ends with the stream. At the exit of the process it is not waited for: a backup without its end is none.
    if let Err(error) = thread::Builder::new().name("gapless-backup".into()).spawn(work) {
        let reason = format!("cannot start a thread: {error}").into();
        let _full = refused.try_send(Err(ReadError { reason }));
    }
    Some(stream)
}
