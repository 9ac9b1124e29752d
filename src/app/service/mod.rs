//! What the hub tells the service manager that started it (systemd, `Type=notify`): that it opens the store, serves,
//! reloads and stops, what it does (`systemctl status`), and that it is alive (`WatchdogSec=`).
//!
//! | module | purpose |
//! |---|---|
//! | this file | what the service manager has passed; what reloading tells it |
//! | `reporter` | the thread that tells it the phases of the process |
//! | `liveness` | what the watchdog proves |
//! | `status_line` | the text of `systemctl status` |
//!
//! Without a service manager nothing here runs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;

use crate::lifecycle::{
    inherited::InheritedSocket,
    notify::{ManagerMessage, NotifySocket, watchdog_time},
};

mod liveness;
mod reporter;
mod status_line;

pub(super) use reporter::Reporter;

/// What the service manager has passed to this process.
#[derive(Debug, Default)]
pub struct ServiceManager {
    /// Where it is told what the hub does.
    pub notify: NotifySocket,
    /// Listening sockets that it has opened.
    pub sockets: Vec<InheritedSocket>,
}

/// What the threads of the hub tell the service manager.
#[derive(Debug, Default)]
pub(super) struct ServiceState {
    notify: NotifySocket,
    /// The time after which it kills a process that is silent.
    watchdog: Option<Duration>,
    /// It was told that the hub serves, and not yet that it stops. Locked while a message that depends on it is sent, so that
    /// no phase is taken back.
    is_serving: Mutex<bool>,
    reload_failed: AtomicBool,
    /// Reloads so far: each has replaced the text of `systemctl status`.
    reloads: AtomicU64,
}

impl ServiceState {
    pub(super) fn new(notify: NotifySocket) -> Arc<Self> {
        Arc::new(Self { notify, watchdog: watchdog_time(), ..Self::default() })
    }

    /// Tells that the configuration is being reloaded, calls `reload`, which returns whether it succeeded, and tells that
    /// the hub serves. A reload that never returns is what the service manager then sees.
    pub(super) fn while_reloading(&self, reload: impl FnOnce() -> bool) {
        // Before the hub serves it is starting, and afterwards stopping: neither may be taken back.
        let tell = |message: ManagerMessage| {
            let is_serving = self.is_serving.lock();
            if *is_serving {
                self.notify.send(&message);
            }
        };
        tell(ManagerMessage::default().reloading().status("reloading the configuration"));
        let reloaded = reload();
        self.reload_failed.store(!reloaded, Relaxed);
        let result = if reloaded { "reloaded the configuration" } else { status_line::RELOAD_FAILED };
        tell(ManagerMessage::default().ready().status(result));
        self.reloads.fetch_add(1, Relaxed);
    }
}
