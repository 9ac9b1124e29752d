//! Export to an OpenTelemetry collector by OTLP, over HTTP with protobuf. Off unless a collector is configured.
//!
//! The messages are the generated ones of `opentelemetry-proto`. The SDK is not used: it would define every metric a second
//! time, and its exporters bring an HTTP client of their own.
//!
//! **A collector that is slow, gone or hostile costs the hub a bounded amount, and delays no request.** Requests put their
//! spans into a bounded queue and never wait for it; one thread sends, each attempt within a timeout; the exit waits for it
//! no longer than [`LAST_EXPORT`].
//!
//! | module | idea |
//! |---|---|
//! | this file | starting it, and its end |
//! | [`settings`] | what is exported where |
//! | [`tracer`] | which requests get a span; the queue of those that have ended |
//! | [`span`] | a request as a span |
//! | `export` | the thread: when what is sent |
//! | `collector` | one attempt, and what its answer means |
//! | `messages` | spans and metrics as messages |
//! | [`stats`] | what was exported and what was not |

use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    thread,
};

use tokio::{
    runtime,
    sync::{mpsc, watch},
};

use self::{
    export::Exporter,
    settings::{Gathering, LAST_EXPORT, OtlpSettings},
    span::Span,
    stats::OtlpStats,
    tracer::Tracer,
};

mod collector;
mod export;
mod messages;
pub mod settings;
pub mod span;
pub mod stats;
pub mod tracer;

/// Ended spans that wait for the exporter, at most: the default of OpenTelemetry's own SDKs. A span takes up to 2 KiB with
/// the longest path, so they take 4 MiB.
const QUEUE_SPANS: usize = 2048;

/// Blocking threads of the exporter: what gathers the metrics asks the disk for its free space.
const BLOCKING_THREADS: usize = 2;

/// Export that is configured, and has not begun.
pub struct Otlp {
    settings: OtlpSettings,
    spans: mpsc::Receiver<Span>,
    tracer: Option<Arc<Tracer>>,
    stats: Arc<OtlpStats>,
}

/// Export that runs. Dropping it ends the thread without a last export.
pub struct RunningExport {
    ending: watch::Sender<bool>,
    ended: Receiver<()>,
}

impl Otlp {
    /// Export with these settings.
    #[must_use]
    pub fn new(settings: OtlpSettings) -> Self {
        let (sender, spans) = mpsc::channel(QUEUE_SPANS);
        let stats = Arc::<OtlpStats>::default();
        let tracer = settings.traces.then(|| Arc::new(Tracer::new(sender, settings.sample, Arc::clone(&stats))));
        Self { settings, spans, tracer, stats }
    }

    /// What begins the spans of requests; `None` when no traces are exported.
    #[must_use]
    pub fn tracer(&self) -> Option<Arc<Tracer>> {
        self.tracer.clone()
    }

    /// What is counted of the export.
    #[must_use]
    pub fn stats(&self) -> Arc<OtlpStats> {
        Arc::clone(&self.stats)
    }

    /// Starts the thread that exports. It calls `gather` for the metrics, in a tokio runtime of its own.
    ///
    /// # Errors
    /// When the system refuses the thread or its runtime.
    pub fn start(self, gather: impl Fn() -> Gathering + Send + 'static) -> io::Result<RunningExport> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name("otlp-disk")
            .build()?;
        let ((ending, ends), (done, ended)) = (watch::channel(false), sync_channel(1));
        thread::Builder::new().name("otlp".into()).spawn(move || {
            let Self { settings, spans, stats, .. } = self;
            let exporter = Exporter::new(&settings, &stats, ends);
            runtime.block_on(async { tokio::join!(exporter.traces(spans), exporter.metrics(gather)) });
            // Not waited for: a read of a disk that does not answer.
            runtime.shutdown_background();
            let _nobody_waits = done.send(());
        })?;
        Ok(RunningExport { ending, ended })
    }
}

impl RunningExport {
    /// Exports what there is, and ends the thread; waits for it for [`LAST_EXPORT`] at most.
    pub fn finish(self) {
        self.ending.send_replace(true);
        let _late = self.ended.recv_timeout(LAST_EXPORT);
    }
}
