//! What users may rely on, one promise per file, tested with the real binary.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

mod access;
mod beginning;
mod binary;
mod bodies;
mod clock;
mod cloudevents;
mod commands;
mod compression;
mod descriptors;
mod drain;
mod end;
mod figures;
mod framing;
mod gap;
mod half_closed;
mod idle_connections;
mod keepalive;
mod keys;
mod lapsed;
mod limits;
mod listening;
mod memory;
mod names;
mod ndjson;
mod old_store;
mod on_the_wire;
mod operators;
mod ordering;
mod pages;
mod post_events;
mod problems;
mod publish_stream;
mod publishing;
mod publishing_is_safe;
mod queries;
mod quotas;
mod reconnect;
mod reload;
mod removal;
mod replay;
mod request_log;
mod several_hubs;
mod site;
mod slow_reader;
mod starting;
mod store;
mod streams;
mod stuck_disk;
mod stuck_log;
mod topics;
mod traceparent;
mod whoami;
