//! The engine that the hubs of the tests run over, and what it has.
//!
//! `GAPLESS_TEST_ENGINE=jetstream`: each hub has a stream of its own on one cluster of three NATS servers. Otherwise each has a
//! store of its own on the disk.

/// What a test needs that not every engine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "each test uses a part of it")]
pub(crate) enum Capability {
    /// A store in files of the hub's own, which can be full, damaged, copied and checked.
    Disk,
    /// Batches of more than a thousand events.
    LargeBatches,
    /// Durable Streams, beside the hub's own protocol.
    DurableStreams,
    /// Several hubs over one log.
    ManyHubs,
    /// A hub that is started after a kill writes at once; otherwise it waits until the killed one has been silent for long
    /// enough, and a test makes fewer rounds.
    PromptRestarts,
}

/// Ends the test, and says so, unless the engine has this [`Capability`].
#[allow(unused_macros, reason = "each test uses a part of it")]
macro_rules! needs {
    ($capability:ident) => {
        if $crate::support::engine::lacks($crate::support::engine::Capability::$capability) {
            return;
        }
    };
}
#[allow(unused_imports, reason = "each test uses a part of it")]
pub(crate) use needs;

/// Whether the engine lacks it; then this is printed as the reason for which a test is skipped.
#[allow(dead_code, reason = "each test uses a part of it")]
pub(crate) fn lacks(capability: Capability) -> bool {
    let lacks = !has(capability);
    if lacks {
        let what = match capability {
            Capability::Disk => "no disk of its own",
            Capability::LargeBatches => "no batches of more than a thousand messages",
            Capability::DurableStreams => "no order of producers that all hubs know",
            Capability::ManyHubs => "one hub for a log",
            Capability::PromptRestarts => "no prompt restarts",
        };
        println!("skipped: the engine has {what} ({capability:?})");
    }
    lacks
}

/// Whether the engine has it.
#[allow(dead_code, reason = "each test uses a part of it")]
pub(crate) fn has(capability: Capability) -> bool {
    is_jetstream() == (capability == Capability::ManyHubs)
}

/// Whether hubs run over JetStream.
pub(crate) fn is_jetstream() -> bool {
    std::env::var("GAPLESS_TEST_ENGINE").is_ok_and(|engine| match &*engine {
        "jetstream" => true,
        "sled" => false,
        other => panic!("GAPLESS_TEST_ENGINE={other}: it is sled or jetstream"),
    })
}
