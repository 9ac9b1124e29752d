//! What operators ask: how it goes, in figures and in one word.
//!
//! | room | answers |
//! |---|---|
//! | [`snapshot`] | every figure with its unit, in one place |
//! | [`rates`] | how fast the counters rise |
//! | [`stats`] | `GET /admin/stats`: the figures as JSON, once or once a second |
//! | [`metrics`] | `GET /metrics`: the figures as Prometheus reads them |
//! | [`health`] | `GET /healthz`, `GET /readyz` |

pub mod health;
pub mod metrics;
pub mod rates;
pub mod snapshot;
pub mod stats;

#[cfg(test)]
mod tests;
