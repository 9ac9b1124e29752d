//! What users may rely on, each promise in a file of its own, kept by the real binary.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

mod access;
mod beginning;
mod compression;
mod drain;
mod end;
mod gap;
mod keepalive;
mod lapsed;
mod limits;
mod ndjson_out;
mod on_the_wire;
mod operators;
mod ordering;
mod pages;
mod post_events;
mod problems;
mod publishing;
mod publishing_is_safe;
mod quotas;
mod reconnect;
mod reload;
mod replay;
mod slow_reader;
mod starting;
mod streaming_in;
mod topics;
