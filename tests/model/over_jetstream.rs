//! The same programs over JetStream, on a cluster of three NATS servers: few, since each step waits for the servers' disks.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gapless::{
    engine::{
        Engine,
        jetstream::{JetStreamConfig, JetStreamEngine, NatsConfig, NatsCredentials},
        log::LogConfig,
    },
    hub::broker::Broker,
};
use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use crate::{Begin, Sizes, Step, harness::EngineFactory, run, sizes, step, test_stream::TestStream};

/// Programs in CI, of the seeds from 0 on. `GAPLESS_MODEL_CASES` sets another number, `GAPLESS_MODEL_SEED` the only one.
const PROGRAMS: u64 = 24;

/// In CI no program is begun after this time.
const ENOUGH: Duration = Duration::from_secs(30);

pub(crate) struct OverJetStream(TestStream);

impl EngineFactory for OverJetStream {
    fn new() -> Self {
        Self(TestStream::make())
    }

    fn open(&self, config: LogConfig, broker: Arc<Broker>) -> Arc<dyn Engine> {
        let nats = NatsConfig {
            servers: self.0.urls(),
            credentials: NatsCredentials::None,
            roots: None,
            client_name: "model".into(),
            stream: self.0.name().into(),
            prefix: self.0.name().into(),
        };
        let settings = JetStreamConfig { nats, hub: "model".into(), address: "".into(), max_batch: 1000 };
        JetStreamEngine::open(&settings, config, broker).expect("a stream in order")
    }
}

/// The program of a seed. Without cursors ahead of the log: a hub takes a second to find out that it is not behind.
fn program(seed: u64) -> (Sizes, Vec<Step>) {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let programs = (sizes(), proptest::collection::vec(step(), 1..60));
    let (sizes, steps) = programs.new_tree(&mut runner).expect("a program").current();
    let quick = |step: &Step| !matches!(step, Step::Subscribe(_, _, Begin::Ahead));
    (sizes, steps.into_iter().filter(quick).collect())
}

#[test]
fn deliveries_are_gap_free_or_the_gap_was_reported_over_jetstream() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let cases = number("GAPLESS_MODEL_CASES");
    let seeds = number("GAPLESS_MODEL_SEED").map_or(0..cases.unwrap_or(PROGRAMS), |seed| seed..seed + 1);
    let began = Instant::now();
    for seed in seeds {
        let (sizes, steps) = program(seed);
        println!("GAPLESS_MODEL_SEED={seed}, {} steps, after {:.1?}", steps.len(), began.elapsed());
        run::<OverJetStream>(sizes, &steps);
        if cases.is_none() && began.elapsed() > ENOUGH {
            return;
        }
    }
}
