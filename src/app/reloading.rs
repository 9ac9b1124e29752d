//! Reading the configuration again, on a thread of its own: it may name a file that never ends, or a disk that does not answer,
//! and neither may keep the process from draining.

use std::{io, sync::Arc, thread};

use tokio::{runtime, time::interval};

use super::policy;
use crate::{
    config::{Config, ConfigErrors, Effective},
    http::{AppState, tls::TlsServer},
    lifecycle::signals::Hangups,
};

/// How a running hub is told to read its configuration again, and how it does.
pub struct Reload {
    /// Tells when.
    pub asked: Hangups,
    /// The configuration that it runs with.
    pub before: Effective,
    /// Reads it.
    pub read: Box<dyn Fn() -> Result<(Config, Effective), ConfigErrors> + Send>,
}

impl Reload {
    /// Reloads what `app` lets in whenever it is asked to. The thread ends with the process.
    ///
    /// # Errors
    /// When the system refuses the thread.
    pub(super) fn start(self, app: Arc<AppState>) -> io::Result<()> {
        let runtime = runtime::Builder::new_current_thread().enable_time().build()?;
        let work = async move {
            let mut looks = interval(super::LOOK);
            loop {
                tokio::select! {
                    () = self.asked.next() => self.reload(&app),
                    // Does nothing for those that are watched.
                    _ = looks.tick() => policy::watch(&app.policies),
                }
            }
        };
        thread::Builder::new().name("reload".into()).spawn(move || runtime.block_on(work))?;
        Ok(())
    }

    /// With a mistake in it everything stays as it was.
    fn reload(&self, app: &AppState) {
        let (config, effective) = match (self.read)() {
            Ok(read) => read,
            Err(errors) => {
                for mistake in errors.all() {
                    tracing::error!(place = mistake.place, problem = mistake.problem, "nothing was reloaded");
                }
                return;
            }
        };
        match policy::policy(&config) {
            Ok(policy) => {
                app.quotas.configure(&policy::allowances(&config));
                policy::replace(&app.policies, policy);
            }
            Err(error) => return tracing::error!(error = %error, "nothing was reloaded"),
        }
        // What is wrong with a certificate it has told, and the old one stays.
        let _told = app.tls.as_ref().is_none_or(TlsServer::reload);
        let left = effective.needs_restart(&self.before);
        if !left.is_empty() {
            tracing::warn!(keys = left.join(", "), "these have changed, too, and need a restart");
        }
        tracing::info!("reloaded who may do what");
    }
}
