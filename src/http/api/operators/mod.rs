//! What operators read: statistics, metrics and health.
//!
//! | module | idea |
//! |---|---|
//! | [`state`] | what the statistics are made of |
//! | [`snapshot`] | every statistic with its unit |
//! | [`relay_figures`] | the statistics of the relay |
//! | [`rates`] | the rates of the counters |
//! | [`stats`] | `GET /admin/stats`: the statistics as JSON, once or every second |
//! | [`metrics`] | `GET /metrics`: the statistics for Prometheus |
//! | [`health`] | `GET /healthz`, `GET /readyz` |

pub mod health;
pub mod metrics;
pub mod rates;
pub mod relay_figures;
pub mod snapshot;
pub mod state;
pub mod stats;

#[cfg(test)]
mod tests;
