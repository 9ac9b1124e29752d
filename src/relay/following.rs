//! What a hub does for the runs of a log that hubs share: it follows the journal, so that it knows the runs of all hubs; it
//! ends those of hubs that are gone; and it tells which runs of other hubs are read here.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::{JoinError, spawn_local},
    time::{MissedTickBehavior, interval, sleep},
};

use super::{
    interrupting::interrupt_all,
    journal,
    recovery::PAGE,
    replay::apply,
    run::{Run, RunPhase},
    shard::Relay,
};
use crate::{
    engine::{Append, AppendError},
    event::TopicName,
};

/// After a failed read of the journal, and after a failure of a task.
const PAUSE: Duration = Duration::from_millis(500);

/// Between two looks for hubs that are gone.
const TICK: Duration = Duration::from_secs(1);

/// Ticks between two notes of the runs that are read here.
const WATCHED_TICKS: u64 = 5;

/// Runs of hubs that are gone that are ended at a time, so that one hub's runs do not fill the queue of another.
const ENDED_AT_ONCE: usize = 64;

/// Runs of one note: an entry of 16 KiB.
const WATCHED_AT_ONCE: usize = 400;

/// Works until the process ends. Call it on one core, inside a `LocalSet`. Returns at once when this hub has its log for
/// itself.
pub async fn follow(relay: Arc<Relay>) {
    if relay.runs.hub().is_none() {
        return;
    }
    let (read, look) = (Arc::clone(&relay), relay);
    let reading = spawn_local(async move {
        loop {
            failed(spawn_local(read_on(Arc::clone(&read))).await).await;
        }
    });
    loop {
        failed(spawn_local(look_after(Arc::clone(&look))).await).await;
        if reading.is_finished() {
            return; // the runtime ends
        }
    }
}

async fn failed(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(error = %error, "a task of the relay failed; it begins again");
    }
    sleep(PAUSE).await;
}

/// Applies what is written to the journal.
async fn read_on(relay: Arc<Relay>) {
    let kept = relay.tail.lock().take();
    let mut tail = kept.unwrap_or_else(|| relay.hub.tail(TopicName::internal(journal::TOPIC)));
    loop {
        match tail.read(PAGE).await {
            Ok(page) => {
                page.events.iter().for_each(|event| apply(&relay.runs, event, page.epoch));
                relay.applied.send_replace(page.through);
                if page.at_end {
                    tail.changed().await;
                }
            }
            Err(error) => {
                tracing::warn!(error = %error, "the relay's journal cannot be read now");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn look_after(relay: Arc<Relay>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0_u64.. {
        ticks.tick().await;
        end_gone(&relay).await;
        end_lost(&relay).await;
        if number.is_multiple_of(WATCHED_TICKS) {
            tell_watched(&relay).await;
        }
    }
}

/// Ends the runs of hubs that are gone, if this hub leads the log.
async fn end_gone(relay: &Relay) {
    let members = relay.hub.members();
    if !members.leads || !members.complete {
        return;
    }
    let is_gone = |run: &Arc<Run>| !run.is_here() && run.hub.as_ref().is_none_or(|hub| members.is_gone(hub));
    let mut gone: Vec<_> = relay.runs.unfinished().into_iter().filter(is_gone).take(ENDED_AT_ONCE).collect();
    if gone.is_empty() {
        return;
    }
    relay.current().await;
    gone.retain(|run| run.is_running());
    for run in &gone {
        let hub = run.hub.as_deref();
        tracing::warn!(run = run.facts.id, hub, "the hub of a run is gone; the run is interrupted");
    }
    for (run, error) in interrupt_all(&relay.hub, &relay.runs, gone).await {
        not_ended(&run, &error);
    }
}

/// Ends the runs of this hub whose ending could not be stored before.
async fn end_lost(relay: &Relay) {
    let mut lost = std::mem::take(&mut *relay.lost.lock());
    lost.retain(|run| matches!(run.phase(), RunPhase::Lost));
    for (run, error) in interrupt_all(&relay.hub, &relay.runs, lost).await {
        not_ended(&run, &error);
        if error != AppendError::KeyReused {
            relay.lost.lock().push(run);
        }
    }
}

fn not_ended(run: &Run, error: &AppendError) {
    // Another hub has ended it.
    if *error != AppendError::KeyReused {
        tracing::debug!(run = run.facts.id, error = %error, "the ending of a run cannot be stored now");
    }
}

/// Tells the other hubs which of their runs are read here.
async fn tell_watched(relay: &Relay) {
    let is_read =
        |run: &Arc<Run>| !run.is_here() && (run.waiting() > 0 || relay.hub.broker().subscribers(&run.facts.topic) > 0);
    let read: Vec<_> = relay.runs.running().into_iter().filter(is_read).collect();
    for runs in read.chunks(WATCHED_AT_ONCE) {
        let append = Append { events: vec![journal::watched(runs)], expect: None, key: None };
        if let Err(error) = relay.hub.publish(append).await {
            tracing::debug!(error = %error, "the other hubs are not told which runs are read here");
        }
    }
}
