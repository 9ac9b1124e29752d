//! `gapless`: an event-broadcast hub with durable replay.

pub mod config;
pub mod engine;
pub mod event;
pub mod lifecycle;
pub mod telemetry;
