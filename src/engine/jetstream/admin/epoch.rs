//! The record of the epoch, and a new one by compare-and-set.

use std::{
    fmt::{self, Display},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout};

use super::{AdminError, is_passing};
use crate::{
    engine::jetstream::{
        continuity,
        election::TAKE_OVER,
        nats::{Nats, NatsConfig, NatsError, Outgoing, StreamState, WriteError},
        wire::{EpochRecord, StreamSubjects, WireError},
    },
    event::Epoch,
};

/// An election takes up to 10 s, and a new stream begins with one.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// For one write.
const WRITE_WAIT: Duration = Duration::from_secs(5);

/// The epoch of a stream, and whether the stream is still the one that it was recorded for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochView {
    /// The epoch.
    pub epoch: Epoch,
    /// When the stream was created, as the servers told it when the epoch was recorded.
    pub recorded: String,
    /// When the stream was created, as they tell it now. Another time, by more than 10 s: it was restored or made again.
    pub created: String,
}

impl Display for EpochView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, recorded, created } = self;
        writeln!(f, "epoch {}, of the stream created {recorded}", epoch.as_str())?;
        if !continuity::is_same(recorded, created) {
            writeln!(
                f,
                "this stream was created {created}: it was restored or made again; renew the epoch with --renew"
            )?;
        }
        Ok(())
    }
}

/// The record in the stream; `None` when there is none.
pub(super) async fn recorded(nats: &Nats, prefix: &str) -> Result<Option<Result<EpochRecord, WireError>>, NatsError> {
    let message = nats.leader_last(&StreamSubjects::new(prefix).epoch()).await?;
    Ok(message.map(|message| EpochRecord::decode(&message.headers)))
}

/// The epoch of the configured stream.
///
/// # Errors
/// When there is none, or it cannot be read.
pub async fn epoch(config: &NatsConfig) -> Result<EpochView, AdminError> {
    let of = |error| AdminError::of(&error, &config.stream);
    let nats = Nats::connect(config).await.map_err(of)?;
    let state = nats.stream().await.map_err(of)?;
    view(&nats, config, &state).await
}

async fn view(nats: &Nats, config: &NatsConfig, state: &StreamState) -> Result<EpochView, AdminError> {
    let record = recorded(nats, &config.prefix).await.map_err(|error| AdminError::of(&error, &config.stream))?;
    let Some(record) = record else {
        return Err(AdminError::Refused(format!(
            "the stream {} has no record of its epoch; `gapless jetstream init` makes it",
            config.stream
        )));
    };
    let record = record.map_err(|error| AdminError::Refused(format!("the record of the epoch: {error}")))?;
    Ok(EpochView { epoch: record.epoch, recorded: record.created.into(), created: state.created.clone() })
}

/// Records a new random epoch, if the epoch is `current`. Returns the new state.
///
/// # Errors
/// [`AdminError::Refused`] when the epoch is another one, or a hub leads; then nothing is changed.
pub async fn renew_epoch(config: &NatsConfig, current: Epoch) -> Result<EpochView, AdminError> {
    let of = |error| AdminError::of(&error, &config.stream);
    let nats = Nats::connect(config).await.map_err(of)?;
    let state = nats.stream().await.map_err(of)?;
    let before = view(&nats, config, &state).await?;
    if before.epoch != current {
        return Err(AdminError::Refused(format!(
            "the epoch is {}, not {}; nothing was changed",
            before.epoch.as_str(),
            current.as_str()
        )));
    }
    let mut beats = nats.subscribe(&format!("hub.{}.beat", config.prefix)).await.map_err(of)?;
    if timeout(TAKE_OVER, beats.next()).await.is_ok_and(|beat| beat.is_some()) {
        return Err(AdminError::Refused(
            "a hub is running: it would go on with the old epoch beside hubs with the new one; stop all hubs first. Nothing \
             was changed"
                .into(),
        ));
    }
    let record = EpochRecord { epoch: random()?, created: state.created.clone().into() };
    write(&nats, config, &record, Some(current)).await?;
    Ok(EpochView { epoch: record.epoch, recorded: state.created.clone(), created: state.created })
}

/// Records a first random epoch, if there is none. Returns the one that is recorded then.
pub(super) async fn first(nats: &Nats, config: &NatsConfig, created: &str) -> Result<Epoch, AdminError> {
    let record = EpochRecord { epoch: random()?, created: created.into() };
    write(nats, config, &record, None).await
}

fn random() -> Result<Epoch, AdminError> {
    let bits = getrandom::u64().map_err(|error| AdminError::Refused(format!("no random number: {error}")))?;
    Ok(Epoch::from_random(bits))
}

/// Writes `record` in place of the epoch `before`, fenced by the stream's last position: so nobody has written anything
/// between the look and the write. With no `before`, an epoch that somebody else recorded first is returned.
async fn write(
    nats: &Nats,
    config: &NatsConfig,
    record: &EpochRecord,
    before: Option<Epoch>,
) -> Result<Epoch, AdminError> {
    let of = |error: NatsError| AdminError::of(&error, &config.stream);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let attempt = async {
            let last = nats.stream().await?.last;
            let now = recorded(nats, &config.prefix).await?;
            Ok::<_, NatsError>((last, now))
        };
        let passed = match attempt.await {
            Ok((last, now)) => {
                let now = now.transpose().map_err(|error| AdminError::Refused(error.to_string()))?;
                match now.map(|now| now.epoch) {
                    // Also after a write without an answer.
                    Some(now) if now == record.epoch => return Ok(now),
                    Some(now) if before.is_none() => return Ok(now),
                    now if now != before => {
                        return Err(AdminError::Refused("the epoch has changed meanwhile; nothing was changed".into()));
                    }
                    _ => {}
                }
                match nats.write(vec![message(config, record)], last, WRITE_WAIT).await {
                    Ok(_) => return Ok(record.epoch),
                    Err(error) if is_passing(&error) => error.to_string(),
                    Err(WriteError::Denied(text)) => return Err(AdminError::Denied(text)),
                    Err(error) => return Err(AdminError::Refused(format!("the epoch was not recorded: {error}"))),
                }
            }
            Err(error @ NatsError::NoAnswer(_)) => error.to_string(),
            Err(error) => return Err(of(error)),
        };
        if Instant::now() > deadline {
            return Err(AdminError::NoAnswer(format!(
                "the epoch was not recorded in {} s: {passed}",
                PATIENCE.as_secs()
            )));
        }
        sleep(PAUSE).await;
    }
}

fn message(config: &NatsConfig, record: &EpochRecord) -> Outgoing {
    let mut headers = record.headers();
    headers.push(("Nats-Rollup", "sub".into()));
    Outgoing { subject: StreamSubjects::new(&config.prefix).epoch(), headers, payload: Bytes::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_another_one_only_if_the_time_of_creation_is_another_one_by_seconds() {
        let recorded = "2026-11-26T22:29:39.372561Z";
        let view = |created: &str| {
            EpochView { epoch: Epoch::from_random(7), recorded: recorded.into(), created: created.into() }.to_string()
        };
        // As the servers tell it after a restore and a restart.
        assert_eq!(view("2026-11-26T22:29:39.184Z"), view(recorded));
        assert!(view("2026-11-26T22:31:00Z").contains("it was restored or made again"));
    }
}
