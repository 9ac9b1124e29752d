//! Reload of the configuration, on a thread of its own: it may read a file that never ends, or a disk that does not
//! respond, and neither may delay the drain.

use std::{
    io,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
};

use tokio::{runtime, time::interval};

use super::{policy, relay, service::ServiceState};
use crate::{
    config::{Config, ConfigErrors, Effective, listen::Listen},
    http::{api::state::AppState, net::tls::TlsServer},
    lifecycle::signals::Hangups,
};

/// Reloads the configuration of a running hub.
pub struct Reload {
    /// Triggers a reload.
    pub hangups: Hangups,
    /// The configuration at the start.
    pub before: Effective,
    /// Reads the configuration again.
    pub read: Box<dyn Fn() -> Result<(Config, Effective), ConfigErrors> + Send>,
}

impl Reload {
    /// Reloads the access policy, quotas, certificate and request log of `app`, which listens on `addresses`, at each SIGHUP,
    /// and tells the service manager. The thread ends with the process.
    ///
    /// # Errors
    /// When the system refuses the thread.
    pub(super) fn start(
        self,
        app: Arc<AppState>,
        addresses: Vec<Listen>,
        service: Arc<ServiceState>,
    ) -> io::Result<()> {
        let runtime = runtime::Builder::new_current_thread().enable_time().build()?;
        let work = async move {
            let mut retries = interval(super::RETRY_INTERVAL);
            loop {
                tokio::select! {
                    () = self.hangups.next() => service.while_reloading(|| self.reload(&app, &addresses)),
                    // No effect for issuers whose keys are being fetched already.
                    _ = retries.tick() => policy::watch(&app.auth.policies),
                }
            }
        };
        thread::Builder::new().name("reload".into()).spawn(move || runtime.block_on(work))?;
        Ok(())
    }

    /// Returns whether the configuration was reloaded; an invalid one changes nothing.
    fn reload(&self, app: &AppState, addresses: &[Listen]) -> bool {
        let (config, effective) = match (self.read)() {
            Ok(read) => read,
            Err(errors) => {
                for error in errors.all() {
                    tracing::error!(place = error.place, problem = error.problem, "configuration not reloaded");
                }
                return false;
            }
        };
        // The addresses in use, whatever the new configuration says of them: they need a restart to change.
        let exposed: Vec<String> = addresses.iter().filter_map(|address| config.exposed(address)).collect();
        if !exposed.is_empty() {
            for problem in exposed {
                tracing::error!(problem, "configuration not reloaded");
            }
            return false;
        }
        match policy::policy(&config) {
            Ok(policy) => {
                app.auth.quotas.configure(&policy::quota_config(&config));
                policy::replace(&app.auth.policies, policy);
                app.log_requests.store(config.log.requests, Relaxed);
                if let Some(relay) = &app.relay {
                    relay::reload_keys(relay, &config);
                }
            }
            Err(error) => {
                tracing::error!(error = %error, "configuration not reloaded");
                return false;
            }
        }
        // On failure it logs the problem and keeps the old certificate.
        let _logged = app.net.tls.as_ref().is_none_or(TlsServer::reload);
        let unapplied = effective.needs_restart(&self.before);
        if !unapplied.is_empty() {
            tracing::warn!(keys = unapplied.join(", "), "these settings have changed and need a restart");
        }
        tracing::info!("configuration reloaded");
        true
    }
}
