//! A response, and the kinds of bodies that it can have.

use std::{
    convert::Infallible,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, Full};

use super::takeover::{Continuation, Takeover};

/// A response.
pub type Response = http::Response<Body>;

/// A response body. An error breaks the connection off, so that the client does not take what it has for the whole. Most
/// bodies never return one: a stream of events that cannot continue ends, and its client resumes.
pub enum Body {
    /// In memory, complete.
    Full(Full<Bytes>),
    /// Generated while it is sent.
    Generated(Pin<Box<dyn http_body::Body<Data = Bytes, Error = Aborted>>>),
    /// Sent by hyper, or without it on a connection that is taken over.
    Detachable(Box<dyn DetachableBody>),
    /// A detached body, of which hyper sends only the first bytes; then the connection is taken over from it.
    TakenOver(Rc<Takeover>),
}

/// A body that is broken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the response was broken off because it cannot be completed")]
pub struct Aborted;

/// A body that can be sent without hyper, as the last one of its connection.
pub trait DetachableBody: http_body::Body<Data = Bytes, Error = Infallible> + Unpin {
    /// Its first bytes, which go out with the head, and what sends the rest.
    fn detach(self: Box<Self>) -> (Bytes, Continuation);
}

/// A complete body.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Body::Full(Full::new(bytes.into()))
}

/// A body that is generated while it is sent.
pub fn generated(body: impl http_body::Body<Data = Bytes, Error = Infallible> + 'static) -> Body {
    abortable(body.map_err(|never| match never {}))
}

/// A body that is generated while it is sent, and may be broken off.
pub fn abortable(body: impl http_body::Body<Data = Bytes, Error = Aborted> + 'static) -> Body {
    Body::Generated(Box::pin(body))
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        match &mut *self {
            Self::Full(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Generated(body) => body.as_mut().poll_frame(cx),
            Self::Detachable(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::TakenOver(takeover) => match takeover.asked() {
                Some(greeting) => Poll::Ready(Some(Ok(Frame::data(greeting)))),
                None => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(body) => body.is_end_stream(),
            Self::Generated(body) => body.is_end_stream(),
            Self::Detachable(_) | Self::TakenOver(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(body) => body.size_hint(),
            Self::Generated(body) => body.size_hint(),
            Self::Detachable(_) | Self::TakenOver(_) => SizeHint::default(),
        }
    }
}
