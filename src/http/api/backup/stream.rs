//! The body of a backup: the engine's items as frames.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    access::hex,
    backup::frame::{BackupFrame, PartContent, PartHead, PartTail, StreamHead, VERSION},
    engine::{BackupItem, BackupStream, PartFacts, PartKind},
    http::{
        auth::{Authorization, policy::Policies},
        net::response::Aborted,
    },
    lifecycle::Drain,
};

/// The body. It is broken off when the engine cannot go on, the hub drains, or the credential is no longer valid: the
/// client has no last frame then, and takes nothing for a backup. Dropping it ends the backup.
pub(super) struct BackupBody {
    items: BackupStream,
    authorization: Authorization,
    policies: Arc<Policies>,
    draining: Pin<Box<dyn Future<Output = ()>>>,
    over: bool,
    _permit: OwnedSemaphorePermit,
}

impl BackupBody {
    pub(super) fn new(
        items: BackupStream,
        permit: OwnedSemaphorePermit,
        authorization: Authorization,
        policies: Arc<Policies>,
        drain: &Drain,
    ) -> Self {
        let drain = drain.clone();
        let draining = Box::pin(async move { drain.begun().await });
        Self { items, authorization, policies, draining, over: false, _permit: permit }
    }
}

impl Body for BackupBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        if self.over {
            return Poll::Ready(None);
        }
        let this = &mut *self;
        let item = if this.draining.as_mut().poll(cx).is_ready() { None } else { ready!(this.items.poll_recv(cx)) };
        let renewed = this.authorization.renew(&this.policies);
        let (Some(Ok(item)), Ok(())) = (item, renewed) else {
            self.over = true;
            return Poll::Ready(Some(Err(Aborted)));
        };
        self.over = matches!(item, BackupItem::End(_));
        Poll::Ready(Some(Ok(Frame::data(frame(item).encode()))))
    }

    fn is_end_stream(&self) -> bool {
        self.over
    }
}

fn frame(item: BackupItem) -> BackupFrame {
    match item {
        BackupItem::Begin { head, format, bytes } => BackupFrame::Begin(StreamHead {
            version: VERSION,
            store_format: format,
            epoch: head.epoch.as_str().into(),
            head: head.seq.0,
            bytes,
        }),
        BackupItem::Kept(facts) => BackupFrame::Kept(part_head(facts)),
        BackupItem::Part(facts) => BackupFrame::Part(part_head(facts)),
        BackupItem::Records(records) => BackupFrame::Records(records),
        BackupItem::PartEnd { records, events } => BackupFrame::PartEnd(PartTail { records, events }),
        BackupItem::PartVoid => BackupFrame::PartVoid,
        BackupItem::Void(number) => BackupFrame::Void(number),
        BackupItem::End(parts) => BackupFrame::End(parts),
    }
}

fn part_head(facts: PartFacts) -> PartHead {
    PartHead {
        kind: match facts.kind {
            PartKind::Events => PartContent::Events,
            PartKind::State => PartContent::State,
        },
        number: facts.number,
        after: facts.after.0,
        through: facts.through.0,
        newest: facts.newest.0,
        digest: facts.digest.map(|digest| hex(&digest.0)),
    }
}
