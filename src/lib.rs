//! `gapless`: an event hub with durable replay. The map of the house.
//!
//! **A subscription is a cursor over one log.** It reads the log until its end, then follows a ring of the newest
//! events in memory; when the ring has moved past it, it reads the log again. Replay, live and lag are that one path.
//!
//! An event is made durable, then readable, then pushed to the rings, then acknowledged. Nobody sees what a crash can
//! take back.
//!
//! # Floors
//!
//! An arrow may only point down (`tests/floors.rs` holds it).
//!
//! ```text
//! 4  main, cli, app     composition; app alone names every engine
//! 3  http            -> hub            bytes become topics, events, cursors; frames become bytes
//!    load                              the public protocol from the other side, by the thousand
//! 2  hub             -> engine, event  topics, rings, subscriptions
//! 1  engine          -> event          what is durable is handed up through a callback
//!    access          -> event          a credential in, a pass or a refusal out
//! 0  event, lifecycle                  the vocabulary, without I/O; drain and signals
//! ```
//!
//! | room | idea | begin with |
//! |---|---|---|
//! | [`event`] | what an event, a topic and a cursor are | [`event::cursor`], the one rule |
//! | [`engine`] | who keeps the log, and what they promise | [`engine::Engine`] |
//! | [`engine::log`] | one writer, group commit, pages, gaps, retention | [`engine::log::Store`] |
//! | [`engine::sled`] | the log on disk | its schema, `keys.rs` |
//! | [`access`] | who may do what | [`access::Access`] |
//! | [`hub`] | who listens to what | [`hub::subscription`] |
//! | [`http`] | the wire | `routes.rs`, [`http::problem`] |
//! | [`load`] | publishers and subscribers by the thousand, that check what they get | [`load::Load`] |
//! | [`cli`] | `gapless publish`, `tail`, `token`, `check`, `bench` | |
//! | [`config`] | every setting, and every mistake at once | [`config::keys`] |
//! | [`lifecycle`] | how a process ends | [`lifecycle::Drain`] |
//! | [`telemetry`] | what the process says of itself | |
//! | [`app`] | a configuration in, a serving process out | [`app::start`] |
//!
//! ARCHITECTURE.md tells the life of an event and of a reconnect, and what must hold; docs/PROTOCOL.md is the wire
//! contract, docs/OPERATIONS.md is for whoever runs it.

pub mod access;
pub mod app;
pub mod cli;
pub mod config;
pub mod engine;
pub mod event;
pub mod http;
pub mod hub;
pub mod lifecycle;
pub mod load;
pub mod telemetry;
