//! The import of a closed store of one machine into an empty stream.
//!
//! It writes the events in their order with their times, and each topic's mark at its own place in that order, so that the
//! new positions are in the order of the old ones. Each write is one atomic batch of messages and of the part of the table
//! that tells their old positions: so the parts tell where to go on, and what was stored is stored once. One old position
//! may have any number of marks and one event: the import goes on after as many of them as the parts have.
//!
//! From its first write to its last one no hub uses the stream: they wait.
//!
//! | module | idea |
//! |---|---|
//! | this file | the order of an import; what it needs of the stream |
//! | `copy` | the events and the marks, batch after batch |
//! | `topics` | the topics' states while they are copied |
//! | `ending` | the topics' settings, the idempotency keys, the last write |
//! | `run` | an import in progress, and its writes |
//! | `report` | what was done, and why not |

mod copy;
mod ending;
mod report;
mod run;
mod topics;

use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::{
    JetStreamConfig,
    election::{Beat, TAKE_OVER},
    messages::Messages,
    nats::{Nats, NatsError, Outgoing, WriteError},
    nats_thread::NatsThread,
    opening::open_store,
    store::JetStreamStore,
    wire::{ImportRecord, LeaderRecord, StreamSubjects},
};
use crate::{
    engine::log::{
        LogConfig, Store,
        contents::{StoreContents, contents},
        store::{Recovered, TopicSummary},
    },
    event::Millis,
    progress::WorkProgress,
};

pub use report::{ImportError, ImportReport};

use copy::EventCopier;
use run::{ImportRun, has_table};
use topics::CopiedTopics;

/// For the write of the leader record.
const LEAD: Duration = Duration::from_secs(5);

/// Tries to connect, to load and to lead: an election of NATS takes up to 10 s.
const TRIES: usize = 10;

/// Between them.
const PAUSE: Duration = Duration::from_secs(2);

/// Imports `from`, which is closed otherwise, into the configured stream, which has no events of its own. Old ids are
/// translated for `old_ids`. Goes on where an earlier call has stopped. Blocks; not to be called on a thread of a tokio
/// runtime.
///
/// # Errors
/// When the stream or the servers cannot take it. What was imported stays, and the call may be repeated.
pub fn import<S: Store>(
    config: &JetStreamConfig,
    log: &LogConfig,
    from: &S,
    old_ids: Duration,
    progress: &WorkProgress,
) -> Result<ImportReport, ImportError> {
    progress.begin("looking for hubs", 0);
    let thread = NatsThread::start().map_err(|error| ImportError::NotNow(format!("no thread for NATS: {error}")))?;
    let nats = patiently(|| thread.handle.block_on(Nats::connect(&config.nats)))?;
    if let Some(hub) = thread.handle.block_on(heard_leader(&nats, &config.nats.prefix)) {
        return Err(ImportError::HubRuns(hub));
    }
    let contents = contents(from);
    let (to, topics) = lead(&thread, &nats, config, log, &contents)?;
    let report = ImportReport::new(&contents, topics.0.epoch);
    let known = to.old_ids().import();
    if let Some(record) = known.filter(|record| record.done) {
        to.stop();
        return Ok(ImportReport { already: true, until: record.until, ..report });
    }
    let now = Millis::from(SystemTime::now());
    let until = Millis(now.0.saturating_add(u64::try_from(old_ids.as_millis()).unwrap_or(u64::MAX / 2)));
    let record = known.unwrap_or(ImportRecord { epoch: contents.epoch, head: contents.head, until, done: false });
    let subjects = StreamSubjects::new(&config.nats.prefix);
    let report = ImportReport { until: record.until, resumed: known.is_some(), ..report };
    let mut import = ImportRun {
        config,
        from,
        contents,
        to,
        subjects,
        record,
        key_ttl: log.idempotency_window + PAUSE,
        progress,
        report,
    };
    if known.is_none() {
        import.write(&[import.record_message(&record)])?;
    }
    let topics = CopiedTopics::resume(&import.contents, &import.to, topics.1)?;
    import.run(topics)?;
    let leader = leader_record(config, true);
    if let Err(error) = import.to.resign(&leader) {
        tracing::debug!(%error, "the stream does not say that the import has ended");
    }
    import.to.stop();
    Ok(import.report)
}

/// Loads the stream, and leads. Returns its topics, and those of them that have events.
fn lead(
    thread: &NatsThread,
    nats: &Nats,
    config: &JetStreamConfig,
    log: &LogConfig,
    contents: &StoreContents,
) -> Result<(JetStreamStore, (Recovered, Vec<TopicSummary>)), ImportError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let to = open_store(&thread.handle, nats, config, log).map_err(super::JetStreamError::from)?;
        let mut topics = Vec::new();
        let recovered = to.recovered(&mut |topic| topics.push(topic));
        may_take(&to, &recovered, &topics, contents)?;
        let mut headers = leader_record(config, false).headers();
        headers.push(("Nats-Rollup", "sub".into()));
        let message =
            Outgoing { subject: StreamSubjects::new(&config.nats.prefix).leader(), headers, payload: Bytes::new() };
        match thread.handle.block_on(nats.write(vec![message], to.last(), LEAD)) {
            Ok(term) => {
                to.lead(term);
                return Ok((to, (recovered, topics)));
            }
            Err(WriteError::WrongLast | WriteError::Unknown(_) | WriteError::NotNow(_)) if tries < TRIES => {
                std::thread::sleep(PAUSE);
            }
            Err(error) => return Err(ImportError::NotNow(error.to_string())),
        }
    }
}

/// Whether the stream is empty, or has a part of this import.
fn may_take(
    to: &JetStreamStore,
    recovered: &Recovered,
    topics: &[TopicSummary],
    contents: &StoreContents,
) -> Result<(), ImportError> {
    match to.old_ids().import() {
        Some(import) if import.epoch != contents.epoch => Err(ImportError::Other(import.epoch)),
        Some(import) if import.head != contents.head => {
            Err(ImportError::Changed { before: import.head, now: contents.head })
        }
        None if !topics.is_empty() || !recovered.settings.is_empty() || recovered.head.0 > 0 => {
            Err(ImportError::NotEmpty)
        }
        Some(import) if !import.done && !has_table(&import, Millis::from(SystemTime::now())) => {
            Err(ImportError::TableExpired)
        }
        _ => Ok(()),
    }
}

fn leader_record(config: &JetStreamConfig, resigned: bool) -> LeaderRecord {
    LeaderRecord { hub: format!("{}-import", config.hub).into(), address: "".into(), resigned }
}

/// The hub that leads, if one is heard within the time in which one is.
async fn heard_leader(nats: &Nats, prefix: &str) -> Option<String> {
    let mut beats = Messages::of(nats, format!("hub.{prefix}.beat"));
    let heard = async {
        loop {
            if let Ok(beat) = serde_json::from_slice::<Beat>(&beats.next().await.payload)
                && !beat.resigns
            {
                return beat.hub.into();
            }
        }
    };
    tokio::time::timeout(TAKE_OVER, heard).await.ok()
}

/// Repeats what gets no answer.
fn patiently<T>(mut attempt: impl FnMut() -> Result<T, NatsError>) -> Result<T, ImportError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match attempt() {
            Err(NatsError::NoAnswer(_)) if tries < TRIES => std::thread::sleep(PAUSE),
            result => return result.map_err(|error| super::JetStreamError::from(error).into()),
        }
    }
}

impl<S: Store> ImportRun<'_, S> {
    fn run(&mut self, mut topics: CopiedTopics) -> Result<(), ImportError> {
        let (imported, all) = (topics.events(), self.contents.topics.iter().map(|topic| topic.snapshot.events).sum());
        self.progress.begin("importing events", all);
        self.progress.add(imported);
        EventCopier::new(self, &topics).run(self, &mut topics)?;
        self.progress.step("importing settings and keys");
        self.end(&topics)
    }
}
