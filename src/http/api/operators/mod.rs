//! What operators read: statistics, metrics and health.
//!
//! | module | idea |
//! |---|---|
//! | [`state`] | what the statistics are made of |
//! | [`snapshot`] | every statistic with its unit |
//! | [`relay_figures`] | the statistics of the relay |
//! | [`rates`] | the rates of the counters |
//! | [`stats`] | `GET /admin/stats`: the statistics as JSON, once or every second |
//! | [`history`] | `GET /admin/history`: the figures of the last 15 minutes |
//! | [`streams`] | `/admin/streams`: who is connected; ends streams |
//! | [`metrics`] | the statistics as metrics: `GET /metrics` for Prometheus |
//! | `relay_metrics` | the metrics of the relay |
//! | [`quantiles`] | quantiles of a duration |
//! | [`health`] | `GET /healthz`, `GET /readyz` |

pub mod health;
pub mod history;
pub mod metrics;
pub mod quantiles;
pub mod rates;
pub mod relay_figures;
mod relay_metrics;
pub mod snapshot;
pub mod state;
pub mod stats;
pub mod streams;

#[cfg(test)]
mod tests;
