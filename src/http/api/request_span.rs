//! The span of a request for the OTLP export: begun with the request, and exported when it is over.

use std::{cell::OnceCell, net::IpAddr, sync::Arc};

use http::{Method, Request, StatusCode};

use crate::{
    event::{TraceParent, topic::MAX_TOPIC_BYTES},
    http::message::query::Query,
    otlp::{span::Span, tracer::Tracer},
};

/// Paths whose requests get a span, and the route in its name; a path that ends with a slash stands for all below it.
const TRACED: [(&str, &str); 9] = [
    ("/publish", "/publish"),
    ("/events/", "/events/{id}"),
    ("/topics/", "/topics/{topic}"),
    (RELAY, "/relay/{provider}"),
    ("/runs", "/runs"),
    ("/runs/", "/runs/{run}"),
    ("/admin/streams", "/admin/streams"),
    ("/admin/streams/", "/admin/streams/{id}"),
    ("/backup", "/backup"),
];

/// Whatever is asked of a provider has a span. Of other paths only what changes something has: reading is a stream, which
/// does not end, or a page, of which there are too many to tell anything.
const RELAY: &str = "/relay/";

/// The span of a request that is being answered. Dropping it exports the span.
#[derive(Debug)]
pub struct RequestSpan {
    tracer: Arc<Tracer>,
    /// `None` once it is exported.
    span: Option<Span>,
    code: OnceCell<&'static str>,
}

impl RequestSpan {
    /// The span of `request`; `None` when its route has none, or it is not sampled.
    #[must_use]
    pub fn begin<B>(
        tracer: &Arc<Tracer>,
        parent: Option<TraceParent>,
        request: &Request<B>,
        client: IpAddr,
    ) -> Option<Box<Self>> {
        let (method, path) = (request.method(), request.uri().path());
        if !path.starts_with(RELAY) && matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
            return None;
        }
        let is_of = |of: &str| if of.ends_with('/') { path.starts_with(of) } else { path == of };
        let (_, route) = TRACED.iter().find(|(of, _)| is_of(of))?;
        let mut span = tracer.begin(parent)?;
        span.name = format!("{} {route}", known(method));
        span.text("http.request.method", known(method));
        span.text("http.route", *route);
        span.text("client.address", client.to_string());
        let topic = path.strip_prefix("/topics/").map(Into::into);
        let query = Query::new(request.uri().query());
        let topic = topic.or_else(|| query.one("topic").ok().flatten().map(Into::into));
        if let Some(topic) = topic.filter(|topic: &String| topic.len() <= MAX_TOPIC_BYTES) {
            span.text("messaging.destination.name", topic);
        }
        Some(Box::new(Self { tracer: Arc::clone(tracer), span: Some(span), code: OnceCell::new() }))
    }

    /// Why the request was refused.
    pub fn set_problem(&self, code: &'static str) {
        // Refused once.
        let _ = self.code.set(code);
    }

    /// The status of the response.
    pub fn set_status(&mut self, status: StatusCode) {
        if let Some(span) = &mut self.span {
            span.number("http.response.status_code", status.as_u16());
            span.failed = status.is_server_error();
        }
    }
}

impl Drop for RequestSpan {
    fn drop(&mut self) {
        let Some(mut span) = self.span.take() else { return };
        if let Some(code) = self.code.get() {
            span.text("error.type", *code);
        }
        self.tracer.end(span);
    }
}

/// The method, or `_OTHER` for one that OpenTelemetry does not know: names of spans are few.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}
