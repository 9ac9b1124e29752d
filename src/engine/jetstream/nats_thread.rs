//! The thread of the connection to NATS.

use std::{io, thread};

use tokio::{runtime::Handle, sync::oneshot};

/// The thread of the connection, the feed and forwarding. It ends when this is dropped.
pub(super) struct NatsThread {
    pub(super) handle: Handle,
    _running: oneshot::Sender<()>,
}

impl NatsThread {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (running, ended) = oneshot::channel();
        let handle = runtime.handle().clone();
        let run = move || drop(runtime.block_on(ended));
        thread::Builder::new().name("gapless-nats".into()).spawn(run)?;
        Ok(Self { handle, _running: running })
    }
}
