//! Refusals: a problem as of every path, with the headers that clients of Durable Streams read.

use http::{HeaderName, HeaderValue};

use super::{headers, producer, state::StreamSnapshot};
use crate::{
    engine::{AppendError, ReadError},
    http::{
        api::request_log::RequestScope,
        message::problem::{Code, Problem},
        net::response::Response,
    },
    hub::stats::Stats,
};

/// A refused request.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamRefusal {
    /// Why.
    pub problem: Problem,
    /// What its client reads from the head.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl StreamRefusal {
    /// 404.
    #[must_use]
    pub fn missing() -> Self {
        Problem::new(Code::TopicUnknown, "there is no such stream; create it with PUT").into()
    }

    /// 410: deleted, while forks live.
    #[must_use]
    pub fn deleted() -> Self {
        Problem::new(Code::StreamDeleted, "the stream was deleted; only its forks can be read").into()
    }

    /// 409: closed.
    #[must_use]
    pub fn closed(view: &StreamSnapshot) -> Self {
        let problem = Problem::new(Code::TopicClosed, "the stream is closed and takes no more appends");
        let mut refusal = Self::from(problem).with(headers::CLOSED, HeaderValue::from_static("true"));
        refusal.headers.push((headers::NEXT_OFFSET, headers::value(view.tail_offset())));
        refusal
    }

    /// 403: a later incarnation of the producer has taken over.
    #[must_use]
    pub fn fenced(epoch: u64) -> Self {
        let detail = format!("a producer with this id and Producer-Epoch {epoch} has taken over; use a higher one");
        Self::from(Problem::new(Code::ProducerFenced, detail)).with(producer::PRODUCER_EPOCH, epoch.into())
    }

    /// 409: appends before this one are missing.
    #[must_use]
    pub fn producer_gap(expected: u64, received: u64) -> Self {
        let detail = format!("the next Producer-Seq is {expected}; send the appends before {received} first");
        Self::from(Problem::new(Code::ProducerGap, detail))
            .with(headers::PRODUCER_EXPECTED_SEQ, expected.into())
            .with(headers::PRODUCER_RECEIVED_SEQ, received.into())
    }

    /// The same with another header.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The response.
    pub fn into_response(self, scope: &RequestScope, stats: &Stats) -> Response {
        scope.set_problem(self.problem.code.as_str());
        let mut response = self.problem.into_response(&scope.id, stats);
        for (name, value) in self.headers {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<Problem> for StreamRefusal {
    fn from(problem: Problem) -> Self {
        Self { problem, headers: Vec::new() }
    }
}

impl From<AppendError> for StreamRefusal {
    fn from(error: AppendError) -> Self {
        Problem::from(error).into()
    }
}

impl From<ReadError> for StreamRefusal {
    fn from(error: ReadError) -> Self {
        Problem::from(error).into()
    }
}
