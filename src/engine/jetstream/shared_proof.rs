//! Proofs of where the log ends, shared by all who ask for one at once.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::watch};

use super::nats::NatsError;

/// The proofs of one hub.
#[derive(Default)]
pub(super) struct Proofs {
    /// Its own questions for the end of the log.
    pub(super) asked: SharedProof,
    /// Its writes while it leads, for its own questions and those of other hubs.
    pub(super) written: SharedProof,
}

/// The end of the log, or why it could not be proved.
pub(super) type Proof = Result<u64, NatsError>;

/// One proof at a time, for all who ask. Who asks while one is under way shares the next one with all others who do: the end
/// that a proof tells is known to be late enough only for those who have asked before it began.
#[derive(Clone)]
pub(super) struct SharedProof(Arc<ProofTurns>);

struct ProofTurns {
    turns: Mutex<Turns>,
    /// The newest proof that has ended, and its number.
    ended: watch::Sender<(u64, Proof)>,
}

#[derive(Default)]
struct Turns {
    /// Number of the newest proof that has begun.
    begun: u64,
    /// Somebody has asked since.
    wanted: bool,
    /// A task carries them out.
    runs: bool,
}

impl Default for SharedProof {
    fn default() -> Self {
        Self(Arc::new(ProofTurns { turns: Mutex::default(), ended: watch::Sender::new((0, Ok(0))) }))
    }
}

impl SharedProof {
    /// The next proof, which begins after this was called. It is carried out by a task in `runtime`, so dropping this future
    /// takes it from nobody. `prove` is used when no task runs.
    pub(super) async fn next<F>(&self, runtime: &Handle, prove: impl FnMut() -> F + Send + 'static) -> Proof
    where
        F: Future<Output = Proof> + Send + 'static,
    {
        let mut ended = self.0.ended.subscribe();
        let number = {
            let mut turns = self.0.turns.lock();
            turns.wanted = true;
            if !std::mem::replace(&mut turns.runs, true) {
                runtime.spawn(self.clone().run(prove));
            }
            turns.begun + 1
        };
        match ended.wait_for(|(newest, _)| *newest >= number).await {
            Ok(proof) => proof.1.clone(),
            Err(_) => Err(NatsError::NoAnswer("the engine is closed".into())),
        }
    }

    /// Carries out proofs as long as somebody asks.
    async fn run<F: Future<Output = Proof>>(self, mut prove: impl FnMut() -> F) {
        while let Some(number) = self.begin() {
            let proof = prove().await;
            drop(self.0.ended.send_replace((number, proof)));
        }
    }

    fn begin(&self) -> Option<u64> {
        let mut turns = self.0.turns.lock();
        turns.runs = std::mem::take(&mut turns.wanted);
        turns.begun += u64::from(turns.runs);
        turns.runs.then_some(turns.begun)
    }
}
