//! The HTTP state over a real hub and engine with a store in memory.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::Value;

use super::{
    api::{
        request_log::RequestScope,
        state::{AppState, Limits, Observability, Services},
    },
    auth::{
        Authorization, Caller, CallerQuotas,
        admin_listener::AdminListener,
        authenticator::AuthState,
        cors::Cors,
        credential::CredentialSources,
        forwarded::Proxies,
        policy::{Policies, Policy},
    },
    message::request_id::{RequestId, RequestIds},
    net::{
        peer::{ListenerRole, Peer},
        response::Response,
        state::{NetLimits, NetState},
    },
};
use crate::{
    access::{Access, AccessSettings},
    engine::{
        Capabilities,
        log::{LogConfig, LogEngine},
        memory::MemoryStore,
    },
    hub::{Hub, HubConfig, batch::ReadLimit, broker::Broker, testing::WrappedEngine},
    lifecycle::Drain,
    quota::{QuotaConfig, Quotas},
};

/// The budget of all request bodies, in bytes.
pub(super) const ROOM: usize = 100_000;

/// Small limits, so that tests reach them.
pub(super) fn limits() -> Limits {
    Limits {
        event_bytes: 1000,
        batch_bytes: 10_000,
        inflight_bytes: ROOM,
        header_line_bytes: 8192,
        headers_bytes: 65_536,
        body_timeout: Duration::from_secs(10),
        body_rate: 100,
        limit: ReadLimit { events: 1000, bytes: 64 << 10 },
        filters: 16,
        keepalive: Duration::from_secs(15),
    }
}

fn net_limits() -> NetLimits {
    NetLimits {
        connections: 8,
        overflow: 8,
        headers_bytes: 65_536,
        header_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(10),
        h2_streams: 4,
        ping_interval: Duration::from_secs(15),
        write_timeout: Duration::from_secs(10),
    }
}

/// The state over an empty hub, and its store.
pub(super) fn app() -> (Arc<AppState>, MemoryStore) {
    app_over(LogConfig::fixture())
}

/// The same with an engine configured by the caller.
pub(super) fn app_over(config: LogConfig) -> (Arc<AppState>, MemoryStore) {
    app_with(config, Capabilities::FULL)
}

/// The same with an engine of other capabilities.
pub(super) fn app_with(config: LogConfig, capabilities: Capabilities) -> (Arc<AppState>, MemoryStore) {
    app_limited(config, capabilities, limits())
}

/// The same with other limits.
pub(super) fn app_limited(
    config: LogConfig,
    capabilities: Capabilities,
    limits: Limits,
) -> (Arc<AppState>, MemoryStore) {
    let (hub, store) = (HubConfig::fixture(), MemoryStore::new());
    let broker = Broker::new(1, &hub);
    let inner = LogEngine::open(store.clone(), config, Arc::clone(&broker) as _);
    let engine = Arc::new(WrappedEngine::new(inner, capabilities));
    (app_of(Hub::new(engine, broker, hub), limits), store)
}

/// The state over this hub.
pub(super) fn app_of(hub: Arc<Hub>, limits: Limits) -> Arc<AppState> {
    let auth = AuthState {
        policies: Arc::new(Policies::new(policy(AccessSettings::default()))),
        quotas: Quotas::new(&QuotaConfig::default()),
        operators: AdminListener::Shared,
        credentials: Arc::default(),
    };
    let net = NetState::new(net_limits(), Drain::new(), None);
    let observability = Observability { log_dropped: || 0, log_requests: false, tracer: None, otlp: None };
    Arc::new(AppState::new(hub, Services::default(), net, auth, limits, observability))
}

/// A policy with these access settings.
pub(super) fn policy(settings: AccessSettings) -> Policy {
    Policy {
        access: Access::new(settings).expect("sound"),
        places: CredentialSources { cookie: Some("gapless".into()), query_subscribe: true, query_publish: false },
        cors: Cors::default(),
        proxies: Proxies::default(),
        loopback_names: false,
    }
}

/// The authorization of a request without a credential.
pub(super) fn anyone(app: &AppState) -> Authorization {
    Authorization::new(app.auth.policies.current().access.anonymous(), app.auth.policies.generation())
}

/// The id of a request.
pub(super) fn request_id() -> RequestId {
    RequestIds::new(0).of(&http::HeaderMap::new(), false)
}

/// The caller of a request without a credential from this machine.
pub(super) fn caller(app: &AppState) -> Caller {
    let address = app.auth.quotas.address(Ipv4Addr::LOCALHOST.into());
    Caller { authorization: anyone(app), quotas: CallerQuotas { address, holder: None, owner: 1 } }
}

/// A request with a body in memory.
pub(super) fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> http::Request<Full<Bytes>> {
    let mut request = http::Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).expect("a valid request")
}

/// The scope of a GET request of this machine. `logged`: whether it gets a line.
pub(super) fn scope(target: &str, logged: bool) -> RequestScope {
    let mut request = request("GET", target, &[], "");
    let address = (Ipv4Addr::LOCALHOST, 4711).into();
    request.extensions_mut().insert(Peer { address, secure: false, listener: ListenerRole::Public });
    RequestScope::new(&request, &policy(AccessSettings::default()), &RequestIds::new(0), logged, None)
}

/// A response's whole body as JSON; null when it is empty.
pub(super) async fn json(response: Response) -> Value {
    let bytes = response.into_body().collect().await.expect("not broken off").to_bytes();
    if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).expect("JSON") }
}
