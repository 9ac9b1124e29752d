//! `gapless`: an event-broadcast hub with durable replay.

pub mod engine;
pub mod event;
