//! Composes the export by OTLP.

use std::sync::Arc;

use super::AppError;
use crate::{
    client::{
        Connector, HttpUrl,
        proxy::{Proxy, ProxyVariables},
        trust,
    },
    config::{Config, ConfigErrors, keys},
    otlp::{Otlp, settings::OtlpSettings},
};

/// The export that is configured; `None` without an endpoint, or with nothing to export.
///
/// # Errors
/// When the file of headers cannot be used, or there is no way to verify the collector.
pub(super) fn open(config: &Config) -> Result<Option<Otlp>, AppError> {
    let keys::Otlp { endpoint, interval, timeout, traces, metrics, sample, service_name, .. } = &config.otlp;
    let Some(endpoint) = endpoint.as_ref().filter(|_| *traces || *metrics) else { return Ok(None) };
    let headers = config.otlp.headers()?;
    let headers = headers.0.iter().filter_map(|(name, value)| {
        // Checked by the configuration.
        Some((name.parse().ok()?, value.parse().ok()?))
    });
    Ok(Some(Otlp::new(OtlpSettings {
        connector: connector(endpoint)?,
        path: endpoint.path.trim_end_matches('/').into(),
        headers: headers.collect(),
        interval: *interval,
        timeout: *timeout,
        traces: *traces,
        metrics: *metrics,
        sample: *sample,
        service: service_name.clone(),
    })))
}

fn connector(endpoint: &HttpUrl) -> Result<Arc<Connector>, AppError> {
    let server = &endpoint.server;
    let refuse = |problem: &str| {
        let mut errors = ConfigErrors::default();
        errors.push("otlp.endpoint", problem);
        errors
    };
    let tls = server.tls.then(|| {
        let roots = trust::config(trust::system_roots().0);
        roots.ok_or_else(|| refuse("this machine has no trusted root certificates; install ca-certificates"))
    });
    let proxy = Proxy::from_environment(server, ProxyVariables::Any).ok().flatten();
    let connector = Connector::new(server.clone(), proxy, tls.transpose()?);
    Ok(Arc::new(connector.map_err(|_| refuse("no certificate can be for this host"))?))
}
