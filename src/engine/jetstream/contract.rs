//! The [contract of every engine](crate::engine::contract) over a cluster of three NATS servers.
//!
//! All tests of the contract are one test here, with one cluster; a few run at a time, each with a stream of its own.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    JetStreamConfig, JetStreamEngine, JetStreamError, NatsConfig, NatsCredentials,
    nats::{Nats, Outgoing, StreamSettings},
    nats_cluster::NatsCluster,
    nats_thread::NatsThread,
    wire::{EpochRecord, StreamSubjects},
};
use crate::{
    engine::{
        Engine, Observer,
        contract::{
            EngineFactory,
            numbered::{EventNumbers, NumberedEngine, NumberedObserver},
        },
        log::{LogConfig, contract::StoreFactory},
    },
    event::{Epoch, EventId, Seq, TopicName},
};

/// Tests of the contract at a time: each waits most of its time for the disks of three servers.
const AT_ONCE: usize = 6;

/// Opens the engine over one stream, again and again. With `HUBS` 2, one hub leads and appends, and another one, which
/// follows, is read and observed.
pub(crate) struct JetStreamFactory<const HUBS: usize> {
    _cluster: Arc<NatsCluster>,
    config: JetStreamConfig,
    numbers: EventNumbers,
}

/// Observes nothing.
pub(super) struct NoObserver;

impl Observer for NoObserver {
    fn committed(&self, _: &[Arc<crate::event::Event>]) {}
    fn skipped(&self, _: Seq) {}
    fn removed(&self, _: &TopicName, _: Seq) {}
    fn lifecycle_changed(&self, _: &TopicName, _: crate::engine::LifecycleChange) {}
    fn epoch_changed(&self, _: EventId) {}
}

impl<const HUBS: usize> EngineFactory for JetStreamFactory<HUBS> {
    fn new() -> Self {
        StoreFactory::new()
    }

    fn open(&mut self, observer: Arc<dyn Observer>) -> Arc<dyn Engine> {
        let log = LogConfig { reclaim_every: Duration::from_millis(100), ..LogConfig::fixture() };
        StoreFactory::open(self, log, observer)
    }

    fn position(&self, seq: Seq) -> Seq {
        self.numbers.position(seq)
    }
}

impl<const HUBS: usize> StoreFactory for JetStreamFactory<HUBS> {
    fn new() -> Self {
        static STREAMS: AtomicUsize = AtomicUsize::new(0);
        let cluster = NatsCluster::shared();
        let number = STREAMS.fetch_add(1, Ordering::Relaxed);
        let nats = NatsConfig {
            servers: cluster.urls(),
            credentials: NatsCredentials::None,
            roots: None,
            client_name: "contract".into(),
            stream: format!("CONTRACT{number}").into(),
            prefix: format!("contract{number}").into(),
        };
        make_stream(&nats);
        let config = JetStreamConfig { nats, hub: "hub".into(), address: "".into(), max_batch: 1000 };
        Self { _cluster: cluster, config, numbers: EventNumbers::default() }
    }

    fn open(&mut self, log: LogConfig, observer: Arc<dyn Observer>) -> Arc<dyn Engine> {
        let numbered = Arc::new(NumberedObserver::new(self.numbers.clone(), observer));
        let open = |observer| opened(&self.config, &log, &observer).expect("a stream in order");
        let (writer, reader) = if HUBS == 1 {
            let engine = open(numbered as _);
            (Arc::clone(&engine), engine)
        } else {
            let writer = open(Arc::new(NoObserver) as _);
            until("the first hub leads", || writer.leads());
            (writer, open(numbered as _))
        };
        until("a hub leads", || writer.leads());
        // A hub that leads has applied and reported what it acknowledges.
        let (from, to) = (Arc::clone(&writer), Arc::clone(&reader));
        let has_all = move || {
            Arc::ptr_eq(&from, &to) || to.leads() || *to.link.applied.borrow() >= from.link.shared().store.last()
        };
        Arc::new(NumberedEngine::new(self.numbers.clone(), writer, reader, has_all))
    }

    fn position(&self, seq: Seq) -> Seq {
        self.numbers.position(seq)
    }
}

/// Makes a stream with an epoch, as `gapless jetstream init` does.
pub(super) fn make_stream(config: &NatsConfig) {
    let thread = NatsThread::start().expect("a thread");
    thread.handle.block_on(async {
        let nats = Nats::connect(config).await.expect("a cluster");
        let settings = StreamSettings { replicas: 3, max_bytes: None };
        let mut created = nats.create_stream(&settings).await;
        // On a busy machine the servers may be late. Made twice it is the same stream.
        for _ in 0..4 {
            if created.is_ok() {
                break;
            }
            created = nats.create_stream(&settings).await;
        }
        let state = created.expect("created");
        let epoch = Epoch::from_random(fastrand::u64(..));
        let headers = EpochRecord { epoch, created: state.created.into() }.headers();
        let subject = StreamSubjects::new(&config.prefix).epoch();
        let message = Outgoing { subject, headers, payload: Bytes::new() };
        let mut written = nats.write(vec![message.clone()], 0, Duration::from_secs(5)).await;
        // The stream's leader may not be known everywhere yet.
        for _ in 0..20 {
            if written.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            written = nats.write(vec![message.clone()], 0, Duration::from_secs(5)).await;
        }
        written.expect("written");
    });
}

/// Opens a hub as the program does: again when the servers do not answer, as those of a new stream may not at first.
pub(super) fn opened(
    config: &JetStreamConfig,
    log: &LogConfig,
    observer: &Arc<dyn Observer>,
) -> Result<Arc<JetStreamEngine>, JetStreamError> {
    let began = Instant::now();
    loop {
        match JetStreamEngine::open(config, log.clone(), Arc::clone(observer)) {
            Err(JetStreamError::NotNow(_)) if began.elapsed() < Duration::from_secs(20) => {
                thread::sleep(Duration::from_millis(100));
            }
            opened => return opened,
        }
    }
}

pub(super) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(20), "never came true: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Runs tests, some at a time, and names those that fail.
fn run_all(tests: &[(&'static str, fn())]) {
    let _cluster = NatsCluster::shared();
    let next = AtomicUsize::new(0);
    let failed = parking_lot::Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((name, test)) = tests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if std::env::var("GAPLESS_CONTRACT").is_ok_and(|only| !name.contains(&only)) {
                        continue;
                    }
                    let began = Instant::now();
                    let passed = catch_unwind(AssertUnwindSafe(test)).is_ok();
                    eprintln!("{} {name} {:?}", if passed { "ok" } else { "FAILED" }, began.elapsed());
                    if !passed {
                        failed.lock().push(*name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner();
    assert!(failed.is_empty(), "{} of {} failed: {failed:?}", failed.len(), tests.len());
}

#[test]
fn one_hub_keeps_the_contract() {
    use crate::engine::contract::*;
    run_all(all_tests!(JetStreamFactory<1>));
}

#[test]
fn a_hub_that_follows_keeps_the_contract() {
    use crate::engine::contract::*;
    run_all(all_tests!(JetStreamFactory<2>));
}

/// What the log engine promises beyond it, with its clocks and its configuration.
#[test]
fn the_hub_that_leads_keeps_the_contract_of_the_log_engine() {
    use crate::engine::log::contract::*;
    run_all(all_log_tests!(JetStreamFactory<1>));
}
