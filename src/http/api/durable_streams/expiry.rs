//! Deletes streams whose lifetime is over, and sources that no fork needs any more, so that they take no space until they are asked for again.

use std::{sync::Arc, time::Duration};

use super::{
    removal,
    state::{DurableStreams, now},
};
use crate::engine::AppendError;

/// How often it looks. Requests do not wait for it: a stream whose lifetime is over is found by none.
const INTERVAL: Duration = Duration::from_secs(1);

async fn sweep(streams: &DurableStreams) -> Result<(), AppendError> {
    for topic in streams.registry.expired(now()) {
        removal::expire(streams, &topic).await?;
    }
    // Forks may have been deleted as topics, or by a hub that was stopped before it came to the source.
    for topic in streams.registry.deleted() {
        removal::collect(streams, &topic).await?;
    }
    Ok(())
}

/// Deletes what has expired, and sources that no fork needs any more. Never returns.
pub async fn run(streams: Arc<DurableStreams>) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        if let Err(error) = streams.load().await {
            tracing::warn!(error = %error, "the topics cannot be read; streams with a lifetime stay until they can");
            continue;
        }
        if let Err(error) = sweep(&streams).await {
            tracing::warn!(error = %error, "streams that are over cannot be deleted now");
        }
    }
}
