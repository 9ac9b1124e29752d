//! The routes and their handlers.
//!
//! | module | idea |
//! |---|---|
//! | [`server`] | one core: its connections, its streams and its tick |
//! | [`state`] | the state of the process and of one core |
//! | [`admission`] | whether a new request is processed at the moment |
//! | [`routes`], [`dispatch`] | the routing table; calls the handlers, and sets the headers of every response |
//! | [`head_checks`] | what the head of every request must satisfy |
//! | [`request_log`] | the span of a request, and its line in the log |
//! | [`request_span`] | the span of a request for the OTLP export |
//! | [`cloud_events`] | CloudEvents: their attributes, and events in their format |
//! | [`publish`] | `POST /publish` in all its forms |
//! | [`events`] | `GET` and `POST /events`: streams and pages; `DELETE /events/<id>` |
//! | [`stream`] | an open stream: encoding, waking, keepalive, ending |
//! | [`durable_streams`] | `/v1/stream/NAME`: Durable Streams |
//! | [`topic_guard`] | what a protocol forbids publishers of other protocols |
//! | [`backup`] | `POST /backup`: a copy of everything, while the hub goes on |
//! | [`relay`] | `/relay/NAME/…` and `/runs`: requests to providers of language models |
//! | [`mercure`] | Mercure's protocol, where it is on |
//! | [`mercure_log`] | updates of Mercure in the log, and in streams |
//! | [`topics`] | `/topics`: listing, showing, configuring, deleting |
//! | [`console`] | the web page at `/` |
//! | [`whoami`] | `GET /whoami`: the caller, and what it may do |
//! | [`site`] | the operator's static files at `/site/` |
//! | [`operators`] | statistics, metrics, health |
//! | [`docs`] | the documents that a problem's `type` refers to |
//! | [`openapi`] | the OpenAPI description of all of this |
//! | [`asset`] | a file that is part of the program |
//! | [`keys`] | the query keys of each route |
//! | [`body`] | reading a whole request body within its bounds |
//! | [`pace`] | the minimum rate of a request body |
//! | [`envelope`] | an event as JSON |
//! | [`cursor_text`] | how a protocol writes a cursor, and reads it back |

pub mod admission;
pub mod asset;
pub mod backup;
pub mod body;
pub mod cloud_events;
pub mod console;
pub mod cursor_text;
pub mod dispatch;
pub mod docs;
pub mod durable_streams;
pub mod envelope;
pub mod events;
pub mod head_checks;
pub mod keys;
pub mod mercure;
pub mod mercure_log;
pub mod openapi;
pub mod operators;
pub mod pace;
pub mod publish;
pub mod relay;
pub mod request_log;
pub mod request_span;
pub mod routes;
pub mod server;
pub mod site;
pub mod state;
pub mod stream;
pub mod topic_guard;
pub mod topics;
pub mod whoami;
