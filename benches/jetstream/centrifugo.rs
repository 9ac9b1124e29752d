//! Three nodes of Centrifugo, over one Redis or over the same NATS servers, beside three hubs in the same rounds: what its
//! users scale out with.

use gapless::load::LoadError;
use tempfile::TempDir;

use crate::{
    cluster::{Nodes, SERVERS, Site},
    fan_out, latency, rates,
    support::{
        self,
        child::{self, ChildProcess, free_ports, local},
        contender::Kind,
        peers::{self, Aof, History},
        report::Report,
        rounds,
    },
};

/// What carries events between the nodes.
#[derive(Clone, Copy)]
enum Engine {
    Redis(Aof),
    Nats,
}

const ENGINES: [(Engine, &str); 3] = [
    (Engine::Redis(Aof::No), "centrifugo (redis), 3 nodes"),
    (Engine::Redis(Aof::Always), "centrifugo (redis always), 3 nodes"),
    (Engine::Nats, "centrifugo (nats), 3 nodes"),
];

const PROMISES: &str = "centrifugo (redis): history is in one Redis, in its memory; `always` syncs it before the receipt. \
    centrifugo (nats): no history, so that nothing can be recovered, and a receipt says that NATS has the event in a buffer. \
    Neither has replicas here; the hubs' log has three, each synced.";

/// Three hubs, as [`rates`] calls them.
const HUBS: &str = "gapless (jetstream), 3 hubs";

pub(crate) fn measure(site: &Site, report: &mut Report) {
    let log = site.stream("BESIDE");
    let hubs = [(); SERVERS].map(|()| log.hub());
    let ours = Nodes::hubs(site, &hubs.each_ref().map(|hub| &**hub));
    for _ in 0..rounds::count() {
        report.next_round();
        through(&ours, HUBS, report).expect("hubs answer");
        for (engine, name) in ENGINES {
            let outcome = Centrifugo::start(site, engine)
                .and_then(|it| through(&it.nodes, name, report).map_err(|error| error.to_string()));
            if let Err(error) = outcome {
                report.note(format!("{name}: {error}"));
            }
        }
    }
    for (_, name) in ENGINES {
        for waiting in rates::IN_FLIGHT {
            rates::against(report, &rates::case(waiting), HUBS, name);
        }
        for case in &fan_out::cases() {
            fan_out::against(report, case, HUBS, name);
        }
    }
    report.note(PROMISES);
}

fn through(nodes: &Nodes, name: &'static str, report: &mut Report) -> Result<(), LoadError> {
    latency::through(nodes, name, report)?;
    rates::posts(nodes, name, report)?;
    fan_out::through(nodes, name, report)
}

/// Running nodes, stopped before the Redis behind them.
struct Centrifugo {
    nodes: Nodes,
    _processes: Vec<ChildProcess>,
    _redis: Option<ChildProcess>,
    _dirs: Vec<TempDir>,
}

impl Centrifugo {
    fn start(site: &Site, engine: Engine) -> Result<Self, String> {
        let dirs: Vec<TempDir> = (0..=SERVERS).map(|_| support::directory()).collect();
        let [port, _] = free_ports();
        let redis = match engine {
            Engine::Redis(aof) => {
                Some(ChildProcess::start(&mut peers::redis(aof, dirs[SERVERS].path(), port)?, Some(local(port)))?)
            }
            Engine::Nats => None,
        };
        let (mut processes, mut targets) = (Vec::new(), Vec::new());
        for dir in &dirs[..SERVERS] {
            let [at, _] = free_ports();
            let mut command = match engine {
                Engine::Redis(_) => peers::centrifugo(dir.path(), at, Some(port))?,
                Engine::Nats => peers::centrifugo_over_nats(dir.path(), at, &site.cluster.urls())?,
            };
            let mut process = ChildProcess::start(&mut command, None)?;
            process.listens(local(at), child::PATIENCE)?;
            processes.push(process);
            targets.push(Kind::Centrifugo(History::Memory).target(local(at)));
        }
        let servers = redis.as_ref().map_or_else(|| site.cluster.process_ids(), |redis| vec![redis.id()]);
        let nodes =
            Nodes { targets, processes: processes.iter().map(ChildProcess::id).collect(), servers, are_ours: false };
        Ok(Self { nodes, _processes: processes, _redis: redis, _dirs: dirs })
    }
}
