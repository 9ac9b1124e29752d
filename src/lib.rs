//! `gapless`: an event-broadcast hub with durable replay.

pub mod app;
pub mod cli;
pub mod config;
pub mod engine;
pub mod event;
pub mod http;
pub mod hub;
pub mod lifecycle;
pub mod telemetry;
