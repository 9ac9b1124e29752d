//! The thread that tells the service manager the phases of the process, what it does, and that it is alive.

use std::{
    io,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use tokio::{
    runtime,
    sync::oneshot,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{ServiceState, liveness::HubLiveness, status_line};
use crate::{
    app::store_waits::MIN_CLOSE_TIME,
    http::api::state::AppState,
    lifecycle::{Drain, DrainPhase, notify::ManagerMessage},
    progress::WorkProgress,
};

/// How often the text is renewed. Each renewal asks the engine for its state, which takes microseconds, or up to 2 s of
/// waiting where the disk does not answer.
const STATUS_INTERVAL: Duration = Duration::from_secs(5);

/// How often it is looked whether all cores have their listeners, which takes them a moment.
const READY_INTERVAL: Duration = Duration::from_millis(10);

/// By how much a start that goes on is extended with each message: several of them may be late.
const START_EXTENSION: Duration = Duration::from_mins(1);

/// What the end of the process takes beyond the drain and the closing of the store: joining threads, flushing the log.
const EXIT_TIME: Duration = Duration::from_secs(3);

/// Tells the service manager that the hub serves, from when [`Reporter::serving`] is called.
pub(in crate::app) struct Reporter(Option<oneshot::Sender<Arc<AppState>>>);

impl Reporter {
    /// Starts the thread, which ends with the process, or when this is dropped before the hub serves. Without a service
    /// manager no thread is started. `watches_writer`: see [`HubLiveness`].
    ///
    /// # Errors
    /// When the system refuses the thread.
    pub(in crate::app) fn start(
        service: &Arc<ServiceState>,
        drain: &Drain,
        opening: &Arc<WorkProgress>,
        watches_writer: bool,
    ) -> io::Result<Self> {
        if !service.notify.is_connected() {
            return Ok(Self(None));
        }
        let (sender, serving) = oneshot::channel();
        let runtime = runtime::Builder::new_current_thread().enable_time().build()?;
        let (drain, opening) = (drain.clone(), Arc::clone(opening));
        let task = Task { service: Arc::clone(service), drain, watches_writer };
        let work = move || runtime.block_on(task.run(serving, &opening));
        thread::Builder::new().name("service-manager".into()).spawn(work)?;
        Ok(Self(Some(sender)))
    }

    /// The hub listens.
    pub(in crate::app) fn serving(self, app: &Arc<AppState>) {
        if let Some(sender) = self.0 {
            // The thread ends only with the process.
            let _gone = sender.send(Arc::clone(app));
        }
    }
}

struct Task {
    service: Arc<ServiceState>,
    drain: Drain,
    watches_writer: bool,
}

impl Task {
    async fn run(self, serving: oneshot::Receiver<Arc<AppState>>, opening: &WorkProgress) {
        let app = tokio::select! {
            biased;
            app = serving => app,
            () = self.open(opening) => unreachable!("it never ends"),
        };
        // Else the start has failed, and the process ends.
        let Ok(app) = app else { return };
        tokio::select! {
            biased;
            () = self.drain.begun() => {}
            () = self.serve(&app) => unreachable!("it never ends"),
        }
        self.stop(&app).await;
    }

    fn send(&self, message: &ManagerMessage) {
        self.service.notify.send(message);
    }

    /// Tells how far the opening of the store is, for ever. The store waits for a disk that does not answer, and so does
    /// the service manager: a restart would begin anew.
    async fn open(&self, opening: &WorkProgress) {
        let mut ticks = interval(STATUS_INTERVAL);
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    let text = status_line::opening(&opening.state());
                    self.send(&ManagerMessage::default().status(&text).extend(START_EXTENSION));
                }
                () = self.drain.begun() => {
                    self.send(&self.stopping().status("stopping before the store is open"));
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// Tells that the hub serves once every core has its listeners, then what it does and that it is alive, for ever.
    async fn serve(&self, app: &AppState) {
        while app.heartbeats.longest_silence().is_none() {
            sleep(READY_INTERVAL).await;
        }
        let watchdog = self.service.watchdog;
        let mut liveness = HubLiveness::new(watchdog.unwrap_or(Duration::MAX), self.watches_writer);
        // A quarter, so that one late message is none too few.
        let period = watchdog.map_or(STATUS_INTERVAL, |time| (time / 4).min(STATUS_INTERVAL));
        let mut ticks = interval(period.max(READY_INTERVAL));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut told, mut hangs, mut reloads) = (String::new(), false, 0);
        loop {
            ticks.tick().await;
            let status = app.hub.status().await;
            let counters = app.hub.stats();
            let streams = counters.live.get() + counters.replaying.get() + counters.lagged.get();
            let refusing = status.refusing.as_ref().map(ToString::to_string);
            let reload_failed = self.service.reload_failed.load(Relaxed);
            let text = status_line::serving(streams, status.topics, refusing.as_deref(), reload_failed);
            let mut message = ManagerMessage::default();
            match liveness.look(Instant::now(), app.heartbeats.longest_silence(), &status) {
                _ if watchdog.is_none() => {}
                Ok(()) => {
                    hangs = false;
                    message = message.alive();
                }
                Err(hang) => {
                    if !hangs {
                        tracing::error!(reason = %hang, "the hub hangs; the service manager's watchdog will restart it");
                    }
                    hangs = true;
                }
            }
            let reloaded = self.service.reloads.load(Relaxed);
            if text != told || reloaded != reloads {
                message = message.status(&text);
                (told, reloads) = (text, reloaded);
            }
            let mut is_serving = self.service.is_serving.lock();
            if !std::mem::replace(&mut *is_serving, true) {
                message = message.ready();
            }
            if !message.is_empty() {
                self.send(&message);
            }
        }
    }

    /// Tells that the hub stops, and how many connections are left, for ever. The hub is alive meanwhile, because the stop
    /// has a bound of its own.
    async fn stop(&self, app: &AppState) {
        {
            let mut is_serving = self.service.is_serving.lock();
            *is_serving = false;
            self.send(&self.stopping().status(&status_line::draining(app.net.open())));
        }
        let mut ticks = interval(Duration::from_secs(1));
        loop {
            ticks.tick().await;
            let text = match self.drain.phase() {
                DrainPhase::Ended => "closing the store".into(),
                _ => status_line::draining(app.net.open()),
            };
            self.send(&ManagerMessage::default().alive().status(&text));
        }
    }

    /// The stop takes the rest of the drain, and the closing of the store, also where the unit's `TimeoutStopSec=` is
    /// shorter.
    fn stopping(&self) -> ManagerMessage {
        let left = match self.drain.phase() {
            DrainPhase::Draining { deadline } => deadline.saturating_duration_since(tokio::time::Instant::now()),
            DrainPhase::Running | DrainPhase::Ended => Duration::ZERO,
        };
        ManagerMessage::default().stopping().extend(left + MIN_CLOSE_TIME + EXIT_TIME)
    }
}
