//! The stores that the log engine is tested over, and its configuration.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    engine::{
        Engine, Observer,
        contract::{EngineFactory, Fixture},
        log::{LogConfig, LogEngine},
        memory::MemoryStore,
        sled::{SledConfig, SledStore},
    },
    event::{Millis, Retention, Seq, retention::Rules},
};

/// Opens a log engine over the same stored data, again and again.
pub(crate) trait StoreFactory {
    fn new() -> Self;
    fn open(&mut self, config: LogConfig, observer: Arc<dyn Observer>) -> Arc<dyn Engine>;
    /// See [`EngineFactory::position`].
    fn position(&self, seq: Seq) -> Seq {
        seq
    }
}

/// A log engine over a store, with injected clocks.
pub(crate) struct LogFactory<S> {
    pub(crate) store: S,
    pub(crate) config: LogConfig,
    pub(crate) clock: Arc<AtomicU64>,
    uptime: Arc<AtomicU64>,
}

/// A fixture of the log engine.
pub(crate) type LogFixture<S> = Fixture<LogFactory<S>>;

impl<S: StoreFactory> LogFactory<S> {
    fn with(mut config: LogConfig) -> Self {
        // Starts at the machine's time, which a store may read too; advances only by `advance`.
        let clock = Arc::new(AtomicU64::new((LogConfig::fixture().clock)().0));
        let hand = Arc::clone(&clock);
        config.reclaim_every = Duration::from_millis(5);
        config.clock = Arc::new(move || Millis(hand.load(Ordering::SeqCst)));
        let uptime = Arc::new(AtomicU64::new(0));
        let hand = Arc::clone(&uptime);
        config.uptime = Arc::new(move || Duration::from_millis(hand.load(Ordering::SeqCst)));
        config.boot = None;
        Self { store: S::new(), config, clock, uptime }
    }
}

impl<S: StoreFactory> EngineFactory for LogFactory<S> {
    fn new() -> Self {
        Self::with(LogConfig::fixture())
    }

    fn open(&mut self, observer: Arc<dyn Observer>) -> Arc<dyn Engine> {
        self.store.open(self.config.clone(), observer)
    }

    fn position(&self, seq: Seq) -> Seq {
        self.store.position(seq)
    }
}

impl<S: StoreFactory> LogFixture<S> {
    pub(crate) fn with(config: LogConfig) -> Self {
        Self::over(LogFactory::with(config))
    }

    pub(crate) fn with_retention(default: Retention) -> Self {
        Self::with(LogConfig { rules: Rules { default, ..Rules::default() }, ..LogConfig::fixture() })
    }

    /// Advances both injected clocks.
    pub(crate) fn advance(&self, time: Duration) {
        self.advancing()(time);
    }

    /// [`LogFixture::advance`], for another thread.
    pub(crate) fn advancing(&self) -> impl Fn(Duration) + Send + 'static + use<S> {
        let clocks = [Arc::clone(&self.factory.clock), Arc::clone(&self.factory.uptime)];
        move |time| {
            let ms = u64::try_from(time.as_millis()).expect("short");
            for clock in &clocks {
                clock.fetch_add(ms, Ordering::SeqCst);
            }
        }
    }

    /// The injected machine's clock.
    pub(crate) fn machine(&self) -> &AtomicU64 {
        &self.factory.clock
    }
}

pub(crate) struct MemoryFactory(pub(crate) MemoryStore);

impl StoreFactory for MemoryFactory {
    fn new() -> Self {
        Self(MemoryStore::new())
    }

    fn open(&mut self, config: LogConfig, observer: Arc<dyn Observer>) -> Arc<dyn Engine> {
        LogEngine::open(self.0.clone(), config, observer)
    }
}

/// A temporary directory, deleted with the factory; the store in it is closed by its engine.
pub(crate) struct SledFactory(tempfile::TempDir);

impl StoreFactory for SledFactory {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn open(&mut self, config: LogConfig, observer: Arc<dyn Observer>) -> Arc<dyn Engine> {
        let store = SledStore::open(SledConfig::fixture(self.0.path().join("store"))).expect("a sound store");
        LogEngine::open(store, config, observer)
    }
}
