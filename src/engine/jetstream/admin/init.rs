//! Makes the stream and its epoch, or brings a stream to what a hub needs.

use std::{
    fmt::{self, Display},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    AdminError,
    differences::{Difference, differences},
    epoch, patiently,
};
use crate::engine::jetstream::{
    continuity,
    nats::{Nats, NatsConfig, NatsError, StreamConfig, StreamSettings, StreamState},
    wire::EpochRecord,
};

/// What an operator wishes.
#[derive(Debug, Clone, Default)]
pub struct InitWishes {
    /// Replicas; 3 for a new stream, and as many as it has for an existing one, when not given.
    pub replicas: Option<u8>,
    /// The stream's bound in bytes of one replica; none for a new stream, and as it is for an existing one, when not given.
    pub max_bytes: Option<u64>,
    /// Only tell what would be done.
    pub dry_run: bool,
}

/// What was done or found, a line each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InitReport(pub Vec<String>);

impl Display for InitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A new cluster elects its leaders first, in up to 10 s.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes the stream and the record of its epoch, or changes what may be changed. Repeating it changes nothing.
///
/// # Errors
/// [`AdminError::Refused`] when the stream differs in what cannot be changed, or a wish would loosen something: then
/// nothing was changed.
pub async fn init(config: &NatsConfig, wishes: &InitWishes) -> Result<InitReport, AdminError> {
    let of = |error: NatsError| AdminError::of(&error, &config.stream);
    let deadline = Instant::now() + PATIENCE;
    let nats = patiently(deadline, || Nats::connect(config)).await.map_err(of)?;
    let mut report = InitReport::default();
    let state = match patiently(deadline, || nats.stream()).await {
        Ok(state) => adjust(&nats, config, wishes, state, &mut report).await?,
        Err(NatsError::NoStream) => create(&nats, config, wishes, deadline, &mut report).await?,
        Err(error) => return Err(of(error)),
    };
    match state {
        Some(state) => record_epoch(&nats, config, wishes, &state, &mut report).await?,
        None => report.0.push("would record a new epoch".into()),
    }
    Ok(report)
}

async fn create(
    nats: &Nats,
    config: &NatsConfig,
    wishes: &InitWishes,
    deadline: Instant,
    report: &mut InitReport,
) -> Result<Option<StreamState>, AdminError> {
    let settings = StreamSettings { replicas: wishes.replicas.unwrap_or(3), max_bytes: wishes.max_bytes };
    let what = format!(
        "the stream {} with {} replicas, for the subjects {}.>",
        config.stream, settings.replicas, config.prefix
    );
    if wishes.dry_run {
        report.0.push(format!("would make {what}"));
        return Ok(None);
    }
    let made = patiently(deadline, || nats.create_stream(&settings)).await;
    let state = made.map_err(|error| match error {
        NatsError::Refused { code: 10_005 | 10_074, text } => AdminError::Refused(format!(
            "the cluster cannot hold {} replicas: {text}; start as many servers, or pass fewer --replicas and read in \
             docs/JETSTREAM.md what is then not promised",
            settings.replicas
        )),
        NatsError::Refused { code: 10_065, text } => AdminError::Refused(format!(
            "another stream of this account has the subjects {}.>: {text}; choose another nats.prefix",
            config.prefix
        )),
        error => AdminError::of(&error, &config.stream),
    })?;
    report.0.push(format!("made {what}"));
    Ok(Some(state))
}

async fn adjust(
    nats: &Nats,
    config: &NatsConfig,
    wishes: &InitWishes,
    state: StreamState,
    report: &mut InitReport,
) -> Result<Option<StreamState>, AdminError> {
    let is = &state.config;
    report.0.push(format!(
        "found the stream {} with {} replicas, {} messages",
        config.stream, is.num_replicas, state.messages
    ));
    let fewer = wishes.replicas.filter(|wish| *wish < is.num_replicas);
    let less = wishes.max_bytes.filter(|wish| is.max_bytes <= 0 || *wish < u64::try_from(is.max_bytes).unwrap_or(0));
    if let Some(wish) = fewer {
        return Err(AdminError::Refused(format!(
            "the stream {} has {} replicas; it is not brought to {wish} by gapless: fewer replicas survive less. Use the nats \
             command, if you must",
            config.stream, is.num_replicas
        )));
    }
    if let Some(wish) = less {
        return Err(AdminError::Refused(format!(
            "the stream {} is bounded by {}; it is not bounded to {wish} bytes by gapless: a full stream refuses every \
             publish. Use the nats command, if you must",
            config.stream,
            if is.max_bytes <= 0 { "the servers' disks alone".into() } else { format!("{} bytes", is.max_bytes) },
        )));
    }
    let settings = StreamSettings {
        replicas: wishes.replicas.unwrap_or(is.num_replicas),
        max_bytes: wishes.max_bytes.or_else(|| u64::try_from(is.max_bytes).ok().filter(|bytes| *bytes > 0)),
    };
    let wanted = nats.wanted_config(&settings);
    let mut found = differences(is, &wanted);
    if wanted.max_bytes != is.max_bytes.max(-1) && wishes.max_bytes.is_some() {
        report.0.push(format!("max_bytes is {}, wanted {}", is.max_bytes, wanted.max_bytes));
    }
    let fixed: Vec<Difference> = found.extract_if(.., |difference| !difference.changeable).collect();
    if !fixed.is_empty() {
        return Err(AdminError::Refused(format!(
            "the stream {} differs in what cannot be changed: {}; nothing was changed. Choose another stream and another \
             prefix (nats.stream, nats.prefix), and run this again",
            config.stream,
            fixed.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        )));
    }
    if found.is_empty() && wishes.max_bytes.is_none() {
        report.0.push("its configuration is what a hub needs".into());
        return Ok(Some(state));
    }
    for difference in &found {
        let verb = if wishes.dry_run { "would change" } else { "change" };
        report.0.push(format!("{verb}: {difference}"));
    }
    if wishes.dry_run {
        return Ok(Some(state));
    }
    let merged = merged(is, wanted);
    let state = nats.update_stream(&merged).await.map_err(|error| AdminError::of(&error, &config.stream))?;
    report.0.push("changed the stream's configuration".into());
    Ok(Some(state))
}

/// The wanted configuration with what an operator may have set beside it.
fn merged(is: &StreamConfig, wanted: StreamConfig) -> StreamConfig {
    StreamConfig { compression: is.compression.clone(), rest: is.rest.clone(), ..wanted }
}

async fn record_epoch(
    nats: &Nats,
    config: &NatsConfig,
    wishes: &InitWishes,
    state: &StreamState,
    report: &mut InitReport,
) -> Result<(), AdminError> {
    let known = epoch::recorded(nats, &config.prefix).await.map_err(|error| AdminError::of(&error, &config.stream))?;
    match known {
        Some(Ok(record)) => report.0.push(known_epoch(&record, &state.created)),
        Some(Err(error)) => return Err(AdminError::Refused(format!("the record of the epoch: {error}"))),
        None if state.messages > 0 => {
            return Err(AdminError::Refused(format!(
                "the stream {} has {} messages and no epoch: gapless has not written them. Choose another stream and \
                 another prefix (nats.stream, nats.prefix)",
                config.stream, state.messages
            )));
        }
        None if wishes.dry_run => report.0.push("would record a new epoch".into()),
        None => {
            let epoch = epoch::first(nats, config, &state.created).await?;
            report.0.push(format!("recorded the epoch {}", epoch.as_str()));
        }
    }
    Ok(())
}

/// What to tell of the epoch of a stream that was created at `created`.
fn known_epoch(record: &EpochRecord, created: &str) -> String {
    let epoch = record.epoch.as_str();
    if continuity::is_same(&record.created, created) {
        return format!("found the epoch {epoch}");
    }
    format!(
        "found the epoch {epoch} of a stream created {}, but this one was created {created}: it was restored or made again. \
         Stop the hubs and run `gapless jetstream epoch --renew`",
        record.created
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Epoch;

    #[test]
    fn an_epoch_is_renewed_only_if_the_time_of_creation_is_another_one_by_seconds() {
        let record = EpochRecord { epoch: Epoch::from_random(7), created: "2026-11-26T22:29:39.372561Z".into() };
        let found = format!("found the epoch {}", record.epoch.as_str());
        // As the servers tell it after a restore and a restart.
        assert_eq!(known_epoch(&record, "2026-11-26T22:29:39.184Z"), found);
        assert!(known_epoch(&record, "2026-11-26T22:31:00Z").contains("epoch --renew"));
    }
}
