//! One core: its connections, its streams and its tick, on a current-thread runtime.

use std::{io, net::IpAddr, rc::Rc, sync::Arc, time::SystemTime};

use tokio::task::spawn_local;

use super::{
    dispatch,
    durable_streams::expiry,
    operators::state::OperatorsState,
    routes::Routes,
    state::{AppState, ShardState},
    stream::{fan_out::fan_out, mailbox::answer_questions, shard::StreamShard},
};
use crate::{
    http::net::{
        handler::{Handler, IncomingRequest},
        listen::Listener,
        peer::ListenerRole,
        response::Response,
        server::{Server, watch_certificate},
        tracked_socket::{StallWatch, TICK},
    },
    hub::publisher::Publisher,
    quota::{ConnectionPermit, Exceeded},
    relay::following::follow,
};

/// The listeners of a core.
#[derive(Debug, Default)]
pub struct Listeners {
    /// Those for all clients.
    pub public: Vec<Listener>,
    /// Those for operators only.
    pub operators: Vec<Listener>,
}

/// Handles the requests of one core.
struct ShardHandler {
    state: ShardState,
    routes: Routes,
}

impl Handler for ShardHandler {
    fn admit(&self, address: IpAddr) -> Result<Option<ConnectionPermit>, Exceeded> {
        self.state.auth.connect(address)
    }

    fn respond(&self, request: IncomingRequest) -> impl Future<Output = Response> {
        dispatch::respond(&self.routes, &self.state, request)
    }
}

/// Serves one core until the drain has ended. Must run inside a `LocalSet` on a current-thread runtime.
///
/// # Errors
/// When the runtime cannot register a listener.
pub async fn serve(app: Arc<AppState>, index: usize, listeners: Listeners) -> io::Result<()> {
    let net = Arc::clone(&app.net);
    let handler = Rc::new(ShardHandler { state: ShardState::new(app, index), routes: Routes::default() });
    let server = Server { net: Arc::clone(&net), stalls: Rc::default(), handler: Rc::clone(&handler) };
    let stream = Rc::clone(&handler.state.events.stream);
    spawn_local(fan_out(Rc::clone(&stream)));
    if let Some(questions) = handler.state.app.operators.streams.take(index) {
        spawn_local(answer_questions(Rc::clone(&stream), questions));
    }
    spawn_local(run_publisher(Rc::clone(&handler.state.publish.publisher)));
    if let Some(relay) = &handler.state.relay.shard {
        spawn_local(run_publisher(Rc::clone(&relay.publisher)));
    }
    spawn_local(end_streams(stream));
    if index == 0 {
        spawn_local(record_history(Arc::clone(&handler.state.app.operators)));
    }
    if index == 0
        && let Some(relay) = &handler.state.app.relay
    {
        spawn_local(follow(Arc::clone(relay)));
    }
    if index == 0
        && let Some(streams) = &handler.state.app.protocols.durable_streams
    {
        spawn_local(expiry::run(Arc::clone(streams)));
    }
    if index == 0 && net.tls.is_some() {
        spawn_local(watch_certificate(Arc::clone(&net)));
    }
    server.listen(listeners.public, ListenerRole::Public, true)?;
    // A listener of the loopback without credentials has no TLS either.
    let secure = !handler.state.app.auth.is_unauthenticated(ListenerRole::Operators);
    server.listen(listeners.operators, ListenerRole::Operators, secure)?;
    // After the listeners, so that its first beat says that they are registered.
    spawn_local(tick(Rc::clone(&handler), Rc::clone(&server.stalls)));
    net.drain.ended().await;
    Ok(())
}

async fn run_publisher(publisher: Rc<Publisher>) {
    publisher.run().await;
}

/// The periodic work of the core: its heartbeat, keepalives, stalled clients, caches; on core 0 also what is needed once a
/// process.
async fn tick(shard: Rc<ShardHandler>, stalls: Rc<StallWatch>) {
    let ShardState { app, events, .. } = &shard.state;
    let write_timeout = app.net.limits.write_timeout;
    let mut ticks = tokio::time::interval(TICK);
    loop {
        ticks.tick().await;
        app.heartbeats.beat(events.stream.index);
        let cut = events.stream.streams.tick(events.keepalive, write_timeout, app.auth.policies.generation())
            + stalls.tick(write_timeout);
        app.hub.broker().shards()[events.stream.index].drop_cached_batches();
        if cut > 0 {
            app.hub.stats().slow_readers_cut.add(cut);
            tracing::info!(streams = cut, "closed the streams of clients that do not read");
        }
        if events.stream.index == 0 {
            app.operators.rates.sample(app.hub.stats());
            app.hub.sweep();
            if let Some(relay) = &app.relay {
                relay.runs.sweep(SystemTime::now().into());
            }
            app.auth.quotas.sweep();
        }
    }
}

async fn record_history(operators: Arc<OperatorsState>) {
    operators.history.record(&operators.hub).await;
}

async fn end_streams(stream: Rc<StreamShard>) {
    stream.drain.begun().await;
    stream.streams.wake_all();
}
