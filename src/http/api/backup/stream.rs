//! The body of a backup: the engine's items as frames.

use std::{
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::sync::OwnedSemaphorePermit;

use super::reader_pace::{RATE, ReaderPace};
use crate::{
    access::hex,
    backup::frame::{BackupFrame, PartContent, PartHead, PartTail, StreamHead, VERSION},
    engine::{BackupItem, BackupStream, PartFacts, PartKind, ReadError},
    http::{
        auth::{Authorization, policy::Policies},
        net::{cutter::Cutter, response::Aborted},
    },
    lifecycle::Drain,
};

/// The body. It is broken off when the engine cannot go on, the hub drains, or the credential is no longer valid: the
/// client has no last frame then, and takes nothing for a backup. Dropping it ends the backup. What has broken it off is logged
/// when it is dropped.
pub(super) struct BackupBody {
    items: BackupStream,
    authorization: Authorization,
    policies: Arc<Policies>,
    draining: Pin<Box<dyn Future<Output = ()>>>,
    over: bool,
    reader: Rc<ReaderPace>,
    /// Why it was broken off by the hub.
    cause: Option<String>,
    span: tracing::Span,
    _permit: OwnedSemaphorePermit,
}

impl BackupBody {
    pub(super) fn new(
        items: BackupStream,
        permit: OwnedSemaphorePermit,
        authorization: Authorization,
        policies: Arc<Policies>,
        drain: &Drain,
        cutter: Option<Cutter>,
    ) -> Self {
        let drain = drain.clone();
        let draining = Box::pin(async move { drain.begun().await });
        let reader = ReaderPace::new();
        reader.watch(cutter);
        let span = tracing::Span::current();
        Self { items, authorization, policies, draining, over: false, reader, cause: None, span, _permit: permit }
    }

    /// The next item, or why there is none.
    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Result<BackupItem, String>> {
        if self.draining.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err("the hub drains".into()));
        }
        let item = ready!(self.items.poll_recv(cx));
        let renewed = self.authorization.renew(&self.policies).map_err(|problem| problem.detail.into_owned());
        let item = item.unwrap_or_else(|| Err(ReadError { reason: "its thread has ended".into() }));
        Poll::Ready(renewed.and_then(|()| item.map_err(|error| error.reason.to_string())))
    }
}

impl Body for BackupBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        if self.over {
            return Poll::Ready(None);
        }
        self.reader.asked();
        match ready!(self.poll_item(cx)) {
            Ok(item) => {
                self.over = matches!(item, BackupItem::End(_));
                let frame = frame(item).encode();
                self.reader.gave(frame.len());
                Poll::Ready(Some(Ok(Frame::data(frame))))
            }
            Err(cause) => {
                self.over = true;
                self.cause = Some(cause);
                Poll::Ready(Some(Err(Aborted)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.over
    }
}

impl Drop for BackupBody {
    fn drop(&mut self) {
        let cause = match self.cause.take() {
            Some(cause) => cause,
            None if self.over => return,
            None if self.reader.was_cut() => format!("its client takes less than {} KiB a second", RATE >> 10),
            None => "its client has gone, or takes nothing".into(),
        };
        self.span.in_scope(|| tracing::warn!(cause, "a backup was broken off"));
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
