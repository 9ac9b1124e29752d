//! A stream of lines (NDJSON): each event is committed as it arrives, and has a receipt of its own.

use std::{collections::VecDeque, convert::Infallible, io, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::{
    Response,
    body::{Frame, Incoming},
};
use serde_json::Value;
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;

use crate::{
    history::{Number, Publish},
    http, posting,
    publishers::Publisher,
    world::World,
};

/// For one receipt: longer than most elections, and than most pauses of a hub.
const RECEIPT: Duration = Duration::from_secs(12);

/// Lines ahead of their receipts, at most.
const AHEAD: usize = 8;

/// An event and its publish.
type Waiting = VecDeque<(Number, usize)>;

/// Publishes a stream over one connection, until it breaks or is long enough.
pub(crate) async fn pour(publisher: &mut Publisher) {
    let mut waiting = Waiting::new();
    if let Err(error) = stream(publisher, &mut waiting).await {
        for (_, publish) in waiting.drain(..) {
            publisher.world.unknown(publish);
            publisher.world.attempt(publish, &format!("a line: {error}"));
        }
    }
}

async fn stream(publisher: &mut Publisher, waiting: &mut Waiting) -> io::Result<()> {
    let (_, hub) = publisher.world.any_hub(&mut publisher.random);
    let (sender, lines) = mpsc::channel::<Result<Frame<Bytes>, Infallible>>(AHEAD);
    let body = StreamBody::new(ReceiverStream::new(lines)).boxed();
    let headers = [("content-type", "application/x-ndjson")];
    let opened = timeout(RECEIPT, http::open(hub, "POST", "/publish", &headers, body)).await;
    let mut open = opened.map_err(|_| io::ErrorKind::TimedOut)??;
    if open.response.status() != 200 {
        // A hub that drains, or has no log at the moment: nothing was sent.
        return Ok(());
    }
    let mut text = Vec::new();
    let ahead = publisher.random.usize(1..=AHEAD);
    for _ in 0..publisher.random.usize(1..60) {
        if !publisher.world.publishing.get() {
            break;
        }
        let topic = publisher.any_topic();
        let number = publisher.world.event(topic, false);
        let line = format!("{}\n", posting::envelope(&publisher.world, number));
        let publish = publisher.world.begin(Publish { events: vec![number], ..Publish::default() });
        waiting.push_back((number, publish));
        let sent = timeout(RECEIPT, sender.send(Ok(Frame::data(line.into())))).await;
        sent.map_err(|_| io::ErrorKind::TimedOut)?.map_err(io::Error::other)?;
        while waiting.len() >= ahead {
            receipt(&publisher.world, &mut open.response, &mut text, waiting).await?;
        }
        publisher.pause().await;
    }
    drop(sender);
    while !waiting.is_empty() {
        receipt(&publisher.world, &mut open.response, &mut text, waiting).await?;
    }
    Ok(())
}

async fn receipt(
    world: &World,
    response: &mut Response<Incoming>,
    text: &mut Vec<u8>,
    waiting: &mut Waiting,
) -> io::Result<()> {
    let end = loop {
        if let Some(end) = text.iter().position(|&byte| byte == b'\n') {
            break end;
        }
        let frame = timeout(RECEIPT, response.body_mut().frame()).await.map_err(|_| io::ErrorKind::TimedOut)?;
        let frame = frame.ok_or(io::ErrorKind::UnexpectedEof)?.map_err(io::Error::other)?;
        text.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
    };
    let line: Vec<u8> = text.drain(..=end).collect();
    let receipt: Value = serde_json::from_slice(&line)?;
    let (number, publish) = *waiting.front().expect("a receipt for each line");
    match receipt["error"]["code"].as_str() {
        None => match posting::receipt_id(world, &receipt, number) {
            Some(id) => world.acknowledged(publish, vec![id]),
            None => world.odd(format!("the line of event {number} got {receipt}")),
        },
        Some("over-capacity" | "rate-limited" | "storage-full") => {}
        Some("store-unavailable") => world.unknown(publish),
        // The hub ends: of this line and of those after it nothing is known.
        Some("draining") => return Err(io::Error::other("draining")),
        Some(_) => {
            world.odd(format!("the line of event {number} got {receipt}"));
            world.unknown(publish);
        }
    }
    waiting.pop_front();
    Ok(())
}
