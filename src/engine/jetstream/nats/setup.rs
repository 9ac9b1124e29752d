//! Creating the stream, and changing its configuration.

use super::{
    client::Nats,
    error::NatsError,
    live::LIVE,
    stream::{StreamInfo, StreamState},
    stream_config::{Republish, StreamConfig, StreamSettings},
};

/// The shortest window that the server takes, 100 ms; in nanoseconds.
const WINDOW: u64 = 100_000_000;

impl Nats {
    /// The configuration that the stream is to have.
    pub(in crate::engine) fn wanted_config(&self, settings: &StreamSettings) -> StreamConfig {
        let subjects = format!("{}.>", self.prefix());
        let republish = Republish { src: subjects.clone(), dest: format!("{LIVE}.{subjects}"), headers_only: false };
        StreamConfig {
            name: self.stream_name().into(),
            subjects: vec![subjects],
            num_replicas: settings.replicas,
            max_bytes: settings.max_bytes.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
            retention: "limits".into(),
            storage: "file".into(),
            discard: "new".into(),
            max_msgs: -1,
            max_msgs_per_subject: -1,
            max_msg_size: -1,
            duplicate_window: WINDOW,
            allow_direct: true,
            allow_atomic: true,
            allow_rollup_hdrs: true,
            allow_msg_ttl: true,
            republish: Some(republish),
            ..StreamConfig::default()
        }
    }

    /// Creates the stream; does nothing when it exists with this configuration. Bounded by 5 s.
    pub(in crate::engine) async fn create_stream(&self, settings: &StreamSettings) -> Result<StreamState, NatsError> {
        let wanted = self.wanted_config(settings);
        let info: StreamInfo = self.api(&format!("STREAM.CREATE.{}", self.stream_name()), &wanted).await?;
        Ok(info.into())
    }

    /// Gives an existing stream this configuration. Bounded by 5 s.
    pub(in crate::engine) async fn update_stream(&self, wanted: &StreamConfig) -> Result<StreamState, NatsError> {
        let info: StreamInfo = self.api(&format!("STREAM.UPDATE.{}", self.stream_name()), wanted).await?;
        Ok(info.into())
    }
}
