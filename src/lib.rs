//! `gapless`: an event-broadcast hub with durable replay.
//!
//! **A subscription is a cursor over one log.** It reads the log until its end, then follows a ring of the newest
//! events in memory. When the ring has moved past the cursor, the subscription reads the log again. Replay, live
//! delivery and lag share this one code path.
//!
//! An event is made durable, then readable, then pushed to the rings, then acknowledged. No reader sees an event that a
//! crash could take away.
//!
//! # Floors
//!
//! Dependencies point down only (`tests/floors.rs` checks it).
//!
//! ```text
//! 6  main
//! 5  app, cli                          composition, and the commands; only app names every engine
//! 4  http            -> relay, hub     requests become topics, events and cursors; frames become responses
//! 3  relay           -> hub, client    answers of LLM providers become events of topics
//!    load                              load generator: a client of the public protocol
//! 2  hub             -> engine, event  topics, rings, subscriptions, publishing
//! 1  otlp            -> client, metrics  export to an OpenTelemetry collector
//!    engine          -> event          the durable log; reports commits through a callback
//!    access          -> event, client  authentication and authorization
//!    quota                             limits of one client address or token holder
//!    backup, export                    the log as files
//!    config, telemetry                 settings; the log on stderr
//! 0  event, lifecycle                  the data types, without I/O; drain and signals
//!    progress                          how far a long operation is
//!    client                            the HTTP client of the commands and of access
//!    metrics                           a metric, its histograms, and Prometheus' formats
//!    sync                              threads and locks of the log engine and the hub
//! ```
//!
//! | module | purpose | start with |
//! |---|---|---|
//! | [`event`] | the data types: event, topic, selection, cursor | [`event::cursor`], the delivery rule |
//! | [`engine`] | the durable log: the trait that every engine implements | [`engine::Engine`] |
//! | [`engine::log`] | the log engine: single writer, group commit, pages, gaps, retention | [`engine::log::Store`] |
//! | [`engine::sled`] | the on-disk store | its schema, `keys.rs` |
//! | [`engine::memory`] | the store in memory, for tests and trials | |
//! | [`engine::jetstream`] | the engine over a stream of NATS JetStream | [`engine::jetstream::JetStreamEngine`] |
//! | [`access`] | authentication and authorization | [`access::Access`] |
//! | [`quota`] | limits of one client address, and of one holder of a token | [`quota::Account`] |
//! | [`backup`] | copies of a store that are made while it is open | |
//! | [`export`] | events as a file of lines | [`export::reader`] |
//! | [`hub`] | in-memory fan-out: topics, rings, subscriptions; publishing | [`hub::subscription`], [`hub::publisher`] |
//! | [`http`] | the HTTP interface | `api/routes.rs`, [`http::message::problem`] |
//! | [`relay`] | answers of LLM providers as runs: dialects, endings, formats | [`relay::dialect`] |
//! | [`load`] | load generator: publishers, and subscribers that verify what they receive | [`load::Load`] |
//! | [`cli`] | the commands: publishing, reading, operating, backups, load | |
//! | [`client`] | the HTTP client: connections, proxies, TLS, one exchange within bounds | [`client::exchange`] |
//! | [`config`] | every setting; reports all errors at once | [`config::keys`] |
//! | [`lifecycle`] | drain, signals, the limit on open files | [`lifecycle::Drain`] |
//! | [`mod@progress`] | how far a long operation is | [`progress::WorkProgress`] |
//! | [`telemetry`] | the log on stderr | [`telemetry::init`] |
//! | [`metrics`] | metrics as values, and Prometheus' formats | [`metrics::Gathered`] |
//! | [`otlp`] | export of traces and metrics to an OpenTelemetry collector | [`otlp::Otlp`] |
//! | [`app`] | composition: builds a serving process from a configuration | [`app::start`] |
//!
//! ARCHITECTURE.md describes the life of an event and of a reconnect, and the invariants; docs/PROTOCOL.md is the wire
//! contract, docs/OPERATIONS.md is for operators.

pub mod access;
pub mod app;
pub mod backup;
pub mod cli;
pub mod config;
pub mod engine;
pub mod event;
pub mod export;
pub mod http;
pub mod hub;
pub mod lifecycle;
pub mod load;
pub mod metrics;
pub mod otlp;
pub mod progress;
pub mod quota;
pub mod relay;
mod sync;
pub mod telemetry;

pub use gapless_client::transport as client;
