//! What hubs tell each other about themselves: that they are here, and that they end.

use std::sync::Arc;

use tokio::time::{MissedTickBehavior, interval};

use super::{forward::HubId, link::Link, members::HERE, messages::Messages};

/// What a hub says: it is here, or it ends.
const IS_HERE: &[u8] = b"here";
const ENDS: &[u8] = b"ends";

/// Says that this hub is here, as long as the engine lives.
pub(super) async fn say(link: Arc<Link>) {
    let mut times = interval(HERE);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        times.tick().await;
        link.heard.look(link.nats.is_connected());
        send(&link, IS_HERE).await;
    }
}

/// Says that this hub ends. Nothing may be said after it.
pub(super) async fn end(link: &Link) {
    send(link, ENDS).await;
}

async fn send(link: &Link, text: &'static [u8]) {
    let subject = format!("hub.{}.here.{}", link.prefix, link.hub);
    if let Err(error) = link.nats.publish(&subject, text.into()).await {
        tracing::debug!(%error, "the other hubs are not told that this hub is here");
    }
}

/// Hears what the other hubs say, as long as the engine lives.
pub(super) async fn hear(link: Arc<Link>) {
    let mut messages = Messages::of(&link.nats, format!("hub.{}.here.*", link.prefix));
    loop {
        let message = messages.next().await;
        let Some(hub) = message.subject.rsplit('.').next().and_then(HubId::new) else { continue };
        if hub != link.hub {
            link.heard.heard(&hub, message.payload == ENDS);
        }
    }
}
