//! A stream that is the log of one test's hubs.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::standing_cluster::StandingCluster;

/// How long a cluster may not be able to hold three replicas after its start.
const YOUNG_CLUSTER: Duration = Duration::from_secs(20);

/// The stream. Deleted when this is dropped.
pub(crate) struct TestStream {
    cluster: StandingCluster,
    name: String,
}

impl TestStream {
    /// Makes a stream, as an operator does.
    pub(crate) fn make() -> Self {
        let made = Self { cluster: StandingCluster::join(), name: format!("t{:016x}", fastrand::u64(..)) };
        let init = || {
            let mut init = Command::new(env!("CARGO_BIN_EXE_gapless"));
            made.configure(&mut init);
            init.args(["jetstream", "init"]).stdin(Stdio::null()).output().expect("it runs")
        };
        // In a cluster's first seconds its leader does not know every server yet.
        let (began, mut done) = (Instant::now(), init());
        while !done.status.success() && began.elapsed() < YOUNG_CLUSTER {
            std::thread::sleep(Duration::from_millis(200));
            done = init();
        }
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        made
    }

    /// Sets the environment of a hub.
    pub(crate) fn configure(&self, command: &mut Command) {
        command
            .env_remove("GAPLESS_TEST_ENGINE")
            .env("GAPLESS_ENGINE", "jetstream")
            .env("GAPLESS_NATS", self.cluster.urls().join(","))
            .env("GAPLESS_NATS_STREAM", &self.name)
            .env("GAPLESS_NATS_PREFIX", &self.name);
    }

    /// `nats://127.0.0.1:port` of every server.
    #[allow(dead_code, reason = "for the model test")]
    pub(crate) fn urls(&self) -> Vec<String> {
        self.cluster.urls()
    }

    /// The stream's name, and its prefix.
    #[allow(dead_code, reason = "for the model test")]
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for TestStream {
    fn drop(&mut self) {
        self.cluster.delete(&self.name);
    }
}
