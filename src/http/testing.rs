//! A door with a real hub and engine behind it, over a store in memory.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::Value;

use super::{
    Answer, Door, Limits,
    cors::Cors,
    forwarded::Proxies,
    operators::rates::Rates,
    peer::Operators,
    policy::{Policies, Policy},
    quota::{Allowances, Quotas, account::Memory},
    room::Room,
    visitor::{Means, Right, Visitor, credential::Places},
};
use crate::{
    access::{Access, Settings},
    engine::{
        log::{LogConfig, LogEngine},
        memory::MemoryStore,
    },
    hub::{Hub, HubConfig, board::Board, run::Portion},
    lifecycle::Drain,
};

/// Bytes of all bodies in memory.
pub(super) const ROOM: usize = 100_000;

/// Small limits, so that tests reach them.
fn limits() -> Limits {
    Limits {
        connections: 8,
        overflow: 8,
        event_bytes: 1000,
        batch_bytes: 10_000,
        header_line_bytes: 8192,
        headers_bytes: 65_536,
        header_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(10),
        h2_streams: 4,
        body_timeout: Duration::from_secs(10),
        body_rate: 100,
        write_timeout: Duration::from_secs(10),
        portion: Portion { events: 1000, bytes: 64 << 10 },
        filters: 16,
        keepalive: Duration::from_secs(15),
    }
}

/// A door to an empty hub, and the store below it.
pub(super) fn door() -> (Arc<Door>, MemoryStore) {
    door_over(LogConfig::default())
}

/// The same with an engine of the caller's choice.
pub(super) fn door_over(config: LogConfig) -> (Arc<Door>, MemoryStore) {
    let (hub, store) = (HubConfig::default(), MemoryStore::new());
    let board = Board::new(1, &hub);
    let engine = LogEngine::open(store.clone(), config, Arc::clone(&board) as _);
    let limits = limits();
    let door = Door {
        hub: Hub::new(engine, board, hub),
        started: std::time::Instant::now(),
        room: Room::new(Memory::Bodies, ROOM),
        pages: Room::new(Memory::Pages, 10 * ROOM),
        limits,
        policies: Arc::new(Policies::new(policy(Settings::default()))),
        quotas: Quotas::new(&Allowances::default()),
        operators: Operators::AmongAll,
        drain: Drain::new(),
        rates: Rates::default(),
        tls: None,
        unaccepted: super::seldom::Seldom::default(),
        log_dropped: || 0,
    };
    (Arc::new(door), store)
}

/// A policy with these credentials.
pub(super) fn policy(settings: Settings) -> Policy {
    Policy {
        access: Access::new(settings).expect("sound"),
        places: Places { cookie: Some("gapless".into()), query_subscribe: true, query_publish: false },
        cors: Cors::default(),
        proxies: Proxies::default(),
        loopback_names: false,
    }
}

/// The right of whoever reaches a hub without credentials.
pub(super) fn anyone(door: &Door) -> Right {
    Right::new(door.policies.current().access.anonymous(), door.policies.generation())
}

/// Whoever reaches a hub without credentials, from this machine.
pub(super) fn visitor(door: &Door) -> Visitor {
    let address = door.quotas.address(Ipv4Addr::LOCALHOST.into());
    Visitor { right: anyone(door), means: Means { address, holder: None, owner: 1 } }
}

/// A request with a whole body.
pub(super) fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> http::Request<Full<Bytes>> {
    let mut request = http::Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).expect("a valid request")
}

/// An answer's whole body as JSON; null when it has none.
pub(super) async fn json(answer: Answer) -> Value {
    let bytes =
        answer.into_body().collect().await.map_or_else(|never| match never {}, http_body_util::Collected::to_bytes);
    if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).expect("JSON") }
}
