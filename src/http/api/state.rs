//! The state of the process and of one core: the states of all modules, put together. Handlers get the part that is
//! theirs.

use std::{
    path::PathBuf,
    rc::Rc,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use super::{
    backup::BackupState,
    body::{Bodies, MIN_DISCARD_BYTES},
    durable_streams::{StreamContext, guard::StreamGuard, state::DurableStreams},
    events::{page, state::EventsState},
    mercure::{
        context::MercureContext,
        guard::MercureGuard,
        state::{MercureShard, MercureState},
    },
    operators::{history::History, rates::Rates, state::OperatorsState},
    publish::{shard::PublishShard, state::PublishState},
    relay::state::RelayState,
    request_log::RequestScope,
    site::SiteState,
    stream::{mailbox::StreamMailboxes, record::start_clock, shard::StreamShard},
    topic_guard::TopicGuards,
    topics::state::TopicsState,
};
use crate::{
    http::{
        auth::authenticator::{AuthState, Authenticator},
        message::request_id::RequestIds,
        net::state::NetState,
    },
    hub::{Hub, batch::ReadLimit, publisher::PublishLimits},
    lifecycle::Heartbeats,
    otlp::{stats::OtlpStats, tracer::Tracer},
    quota::{account::HeldMemory, memory::BodyMemory},
    relay::{Relay, RelayShard},
};

/// The state that all cores share.
pub struct AppState {
    /// The hub.
    pub hub: Arc<Hub>,
    /// What all connections share.
    pub net: Arc<NetState>,
    /// Policies, quotas and cached credentials.
    pub auth: Arc<AuthState>,
    /// Reads request bodies.
    pub bodies: Arc<Bodies>,
    /// Memory for JSON pages that their clients have not read yet.
    pub pages: Arc<BodyMemory>,
    /// The relay; `None` when no provider is configured.
    pub relay: Option<Arc<Relay>>,
    /// What `POST /publish` needs of the process.
    pub publish: PublishState,
    /// The protocols beside the hub's own.
    pub protocols: Protocols,
    /// What `/topics` needs of the process.
    pub topics: TopicsState,
    /// What `POST /backup` needs of the process.
    pub backup: BackupState,
    /// What statistics, metrics and health need of the process.
    pub operators: Arc<OperatorsState>,
    /// The directory of the site; `None` when the hub serves none.
    pub site: Option<Arc<PathBuf>>,
    /// The configured bounds.
    pub limits: Limits,
    /// Whether each request and stream that begins now gets a line in the log when it has finished.
    pub log_requests: AtomicBool,
    /// Begins the spans of requests; `None` when none are exported.
    pub tracer: Option<Arc<Tracer>>,
    /// When each core has last run its tick.
    pub heartbeats: Heartbeats,
}

/// The state of one core. It has no locks: a connection stays on its core.
pub struct ShardState {
    /// The state of all cores.
    pub app: Arc<AppState>,
    /// Authenticates requests.
    pub auth: Authenticator,
    /// What `POST /publish` needs of this core.
    pub publish: PublishShard,
    /// What `/events` needs of this core, and its open streams.
    pub events: EventsState,
    /// What `/relay` and `/runs` need of this core.
    pub relay: RelayState,
    /// What `/site` needs of this core.
    pub site: SiteState,
    /// What Mercure needs of this core; `None` when it is off.
    pub mercure: Option<MercureShard>,
    /// Makes the ids of this core's requests.
    pub request_ids: RequestIds,
}

/// What a process serves beside the hub.
#[derive(Default)]
pub struct Services {
    /// The relay; `None` when no provider is configured.
    pub relay: Option<Arc<Relay>>,
    /// The protocols beside the hub's own.
    pub protocols: Protocols,
    /// The directory of the site; `None` when the hub serves none.
    pub site: Option<PathBuf>,
}

/// The protocols beside the hub's own; `None` for one that is off.
#[derive(Debug, Default)]
pub struct Protocols {
    /// Durable Streams.
    pub durable_streams: Option<Arc<DurableStreams>>,
    /// Mercure.
    pub mercure: Option<Arc<MercureState>>,
}

impl Protocols {
    /// What they forbid publishers of other protocols.
    fn guards(&self) -> TopicGuards {
        let durable_streams =
            self.durable_streams.iter().map(|streams| Arc::new(StreamGuard(Arc::clone(streams))) as _);
        let mercure = self.mercure.iter().map(|_| Arc::new(MercureGuard) as _);
        TopicGuards::new(durable_streams.chain(mercure).collect())
    }
}

/// What observes a process, and is not of its state.
pub struct Observability {
    /// Log lines dropped so far because stderr was not read in time.
    pub log_dropped: fn() -> u64,
    /// Whether each finished request and stream gets a line in the log.
    pub log_requests: bool,
    /// Begins the spans of requests; `None` when none are exported.
    pub tracer: Option<Arc<Tracer>>,
    /// What is counted of the export by OTLP; `None` without one.
    pub otlp: Option<Arc<OtlpStats>>,
}

/// Bounds of requests and streams. docs/OPERATIONS.md gives the reason of each.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of one event's data at most.
    pub event_bytes: usize,
    /// Bytes of a batch's body at most.
    pub batch_bytes: usize,
    /// Bytes of request bodies at most, from their arrival until they are durable, of all clients together.
    pub inflight_bytes: usize,
    /// Bytes of one header line at most.
    pub header_line_bytes: usize,
    /// Bytes of all headers of a request at most.
    pub headers_bytes: usize,
    /// Longest wait for the next bytes of a body.
    pub body_timeout: Duration,
    /// Minimum average rate of a body, in bytes a second.
    pub body_rate: usize,
    /// Events and bytes of one read: a batch of a stream, or a page.
    pub limit: ReadLimit,
    /// Filters of one stream at most.
    pub filters: usize,
    /// Time without data after which a stream sends a keepalive.
    pub keepalive: Duration,
}

impl AppState {
    /// The state of a process that begins to serve now.
    #[must_use]
    pub fn new(
        hub: Arc<Hub>,
        Services { relay, protocols, site }: Services,
        net: NetState,
        auth: AuthState,
        limits: Limits,
        observability: Observability,
    ) -> Self {
        let heartbeats = Heartbeats::new(hub.broker().shards().len());
        let (net, auth) = (Arc::new(net), Arc::new(auth));
        let guards = protocols.guards();
        let bodies = Arc::new(Bodies {
            memory: BodyMemory::new(HeldMemory::Bodies, limits.inflight_bytes),
            timeout: limits.body_timeout,
            rate: limits.body_rate,
            discard_bytes: limits.batch_bytes.max(MIN_DISCARD_BYTES),
        });
        Self {
            pages: BodyMemory::new(HeldMemory::Pages, page::ROOM),
            publish: PublishState {
                hub: Arc::clone(&hub),
                bodies: Arc::clone(&bodies),
                policies: Arc::clone(&auth.policies),
                guards: guards.clone(),
                drain: net.drain.clone(),
                limits: PublishLimits { event_bytes: limits.event_bytes, batch_bytes: limits.batch_bytes },
            },
            topics: TopicsState {
                hub: Arc::clone(&hub),
                guards,
                bodies: Arc::clone(&bodies),
                policies: Arc::clone(&auth.policies),
            },
            backup: BackupState::new(&hub, &bodies, &auth.policies, &net.drain),
            operators: Arc::new(OperatorsState {
                hub: Arc::clone(&hub),
                auth: Arc::clone(&auth),
                relay: relay.clone(),
                net: Arc::clone(&net),
                body_memory: Arc::clone(&bodies.memory),
                streams: StreamMailboxes::new(hub.broker().shards().len()),
                rates: Rates::default(),
                history: History::default(),
                started: Instant::now(),
                log_dropped: observability.log_dropped,
                otlp: observability.otlp,
            }),
            tracer: observability.tracer,
            hub,
            relay,
            protocols,
            net,
            auth,
            bodies,
            site: site.map(Arc::new),
            limits,
            log_requests: AtomicBool::new(observability.log_requests),
            heartbeats,
        }
    }
}

impl ShardState {
    /// What a request for a stream of Durable Streams needs; `None` when the protocol is off.
    pub fn stream_context<'a>(&'a self, scope: &'a RequestScope) -> Option<StreamContext<'a>> {
        let app = &self.app;
        Some(StreamContext {
            streams: app.protocols.durable_streams.as_ref()?,
            publisher: &self.publish.publisher,
            events: &self.events,
            guards: &app.publish.guards,
            bodies: &app.bodies,
            policies: &app.auth.policies,
            scope,
        })
    }

    /// What a request of Mercure needs; `None` when the protocol is off.
    pub fn mercure_context<'a>(&'a self, scope: &'a RequestScope) -> Option<MercureContext<'a>> {
        let mercure = self.mercure.as_ref()?;
        Some(MercureContext { mercure, events: &self.events, authenticator: &self.auth, scope })
    }

    /// The state of the core with this index, before its first connection.
    #[must_use]
    pub fn new(app: Arc<AppState>, index: usize) -> Self {
        start_clock();
        let stream = StreamShard {
            hub: Arc::clone(&app.hub),
            policies: Arc::clone(&app.auth.policies),
            drain: app.net.drain.clone(),
            index,
            streams: Rc::default(),
            limit: app.limits.limit,
        };
        let stream = Rc::new(stream);
        let publish = PublishShard::new(&app.publish);
        let mercure = app.protocols.mercure.as_ref().map(|state| MercureShard {
            state: Arc::clone(state),
            hub: Arc::clone(&app.hub),
            publisher: Rc::clone(&publish.publisher),
            bodies: Arc::clone(&app.bodies),
            policies: Arc::clone(&app.auth.policies),
            drain: app.net.drain.clone(),
            selectors: app.limits.filters,
        });
        Self {
            auth: Authenticator::new(Arc::clone(&app.auth)),
            relay: RelayState {
                shard: app.relay.clone().map(RelayShard::new),
                stream: Rc::clone(&stream),
                bodies: Arc::clone(&app.bodies),
                guards: app.publish.guards.clone(),
            },
            site: SiteState { directory: app.site.clone(), reads: Arc::default() },
            publish,
            mercure,
            request_ids: RequestIds::new(index),
            events: EventsState {
                stream,
                bodies: Arc::clone(&app.bodies),
                pages: Arc::clone(&app.pages),
                filters: app.limits.filters,
                keepalive: app.limits.keepalive,
            },
            app,
        }
    }
}
