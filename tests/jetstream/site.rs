//! The hubs, the NATS nodes, their network and their disks.

use std::net::SocketAddr;

use rustix::process::Signal;

use crate::{
    disks::Disks,
    hubs::{HubPlace, Hubs},
    nats_cluster::{NatsCluster, NodePlace},
    network::Network,
    script::{Node, Step},
};

/// Nodes of a cluster; before it as many hubs.
pub(crate) const NODES: usize = 3;

/// The stream of a cluster's hubs.
pub(crate) const STREAM: &str = "GAPLESS";

/// What the steps of a script act on. The processes end before their network and disks do: the order of the fields.
pub(crate) struct Site {
    pub(crate) hubs: Hubs,
    nodes: Option<Nodes>,
    /// Hosts 0 to 2 are the nodes, 3 to 5 the hubs.
    network: Option<Network>,
    disks: Option<Disks>,
}

/// The NATS nodes, and which of them a step has stopped.
struct Nodes {
    cluster: NatsCluster,
    down: [bool; NODES],
    /// Their disks were filled since they were started.
    filled: [bool; NODES],
}

impl Site {
    /// Hubs that need no nodes.
    pub(crate) fn of_hubs(hubs: Hubs) -> Self {
        Self { hubs, nodes: None, network: None, disks: None }
    }

    /// A cluster of NATS nodes, and as many hubs. Network and disks are its own where this process may make them
    /// ([`Site::may_cut`], [`Site::may_fill`]). A disk has `disk_mib` MiB. `prepare` makes the stream at these servers, and
    /// returns the arguments of each hub.
    pub(crate) fn of_cluster(disk_mib: usize, prepare: impl FnOnce(&[String]) -> Vec<Vec<String>>) -> Self {
        let network = Network::is_allowed().then(|| {
            let mut network = Network::new().expect("it is allowed");
            for host in 0..2 * NODES {
                network.add(host >= NODES).expect("it is allowed");
            }
            network
        });
        let disks = Disks::new(NODES, disk_mib);
        let place = |node: usize| {
            let place = NodePlace { store: disks.as_ref().map(|disks| disks.path(node)), ..NodePlace::default() };
            match network.as_ref().map(|network| network.host(node)) {
                Some(host) => NodePlace { prefix: host.prefix(), address: host.address, ..place },
                None => place,
            }
        };
        let cluster = NatsCluster::placed(&(0..NODES).map(place).collect::<Vec<_>>(), "");
        let arguments = prepare(&cluster.urls());
        let places = arguments.into_iter().enumerate().map(|(hub, arguments)| {
            let place = HubPlace { arguments, ..HubPlace::default() };
            match network.as_ref().map(|network| network.host(NODES + hub)) {
                Some(host) => {
                    HubPlace { prefix: host.prefix(), address: host.control.expect("a hub has one"), ..place }
                }
                None => place,
            }
        });
        let hubs = Hubs::start(places.collect());
        Self { hubs, nodes: Some(Nodes { cluster, down: [false; NODES], filled: [false; NODES] }), network, disks }
    }

    /// The address of a node's monitor.
    pub(crate) fn monitor(&self, node: usize) -> SocketAddr {
        let url = self.nodes().cluster.monitor(node);
        url.strip_prefix("http://").and_then(|address| address.parse().ok()).expect("an address")
    }

    /// Waits until all nodes have caught up.
    pub(crate) fn wait_healthy(&self) {
        self.nodes().cluster.wait_healthy();
    }

    /// The last lines of each node's log.
    pub(crate) fn node_logs(&self) -> String {
        /// Enough for the reason of an end.
        const LINES: usize = 20;
        let Some(nodes) = &self.nodes else { return String::new() };
        let tail = |node: usize| {
            let log = std::fs::read_to_string(nodes.cluster.dir().join(format!("n{node}.log"))).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            format!("node {node} said:\n{}", lines[lines.len().saturating_sub(LINES)..].join("\n"))
        };
        (0..NODES).map(tail).collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn has_nodes(&self) -> bool {
        self.nodes.is_some()
    }

    /// Nodes and hubs have a network that can be cut.
    pub(crate) fn may_cut(&self) -> bool {
        self.network.is_some()
    }

    /// Nodes have disks that can be filled.
    pub(crate) fn may_fill(&self) -> bool {
        self.disks.is_some()
    }

    /// Takes one step. A step that the site cannot take is left out, and told.
    pub(crate) async fn take(&mut self, step: &Step) {
        match step {
            Step::KillHub(hub) => self.hubs.kill(*hub),
            Step::TerminateHub(hub) => self.hubs.terminate(*hub).await,
            Step::StartHub(hub) => self.hubs.spawn(*hub),
            Step::PauseHub(hub) => self.hubs.signal(*hub, Signal::STOP),
            Step::ResumeHub(hub) => self.hubs.signal(*hub, Signal::CONT),
            Step::KillNode(node) => self.end(self.number(*node), NatsCluster::kill),
            Step::KillNodes => (0..NODES).for_each(|node| self.end(node, NatsCluster::kill)),
            Step::TerminateNode(node) => self.end(self.number(*node), NatsCluster::terminate),
            Step::PauseNode(node) => self.nodes().cluster.pause(self.number(*node)),
            Step::RestoreNodes => self.restore(),
            Step::Cut { node, with_hub } => {
                let node = self.number(*node);
                let hub = with_hub.then_some(NODES + node);
                self.change_network(|network| network.cut(&[node].into_iter().chain(hub).collect::<Vec<_>>()));
            }
            Step::CutHub(hub) => self.change_network(|network| network.cut(&[NODES + hub])),
            Step::CutLink(node) => {
                let node = self.number(*node);
                self.change_network(|network| network.cut_link(node, (node + 1) % NODES));
            }
            Step::Heal => self.network.iter().for_each(Network::heal),
            Step::FillDisk(node) => self.fill(&[self.number(*node)]),
            Step::FillDisks => self.fill(&(0..NODES).collect::<Vec<_>>()),
            Step::FreeDisks => self.free(),
            Step::Delete(directory) => std::fs::remove_dir_all(directory).expect("it exists"),
            Step::Copy(from, to) => crate::sled::copy(from, to),
        }
    }

    fn nodes(&self) -> &Nodes {
        self.nodes.as_ref().expect("a step of nodes is for a site with nodes")
    }

    fn number(&self, node: Node) -> usize {
        let leader = || self.nodes().cluster.stream_leader_now(STREAM).unwrap_or(0);
        let number = match node {
            Node::Number(number) => number,
            Node::Leader => leader(),
            Node::Follower => (leader() + 1) % NODES,
        };
        println!("         node {number}");
        number
    }

    /// Kills or terminates a node that runs.
    fn end(&mut self, node: usize, end: impl FnOnce(&mut NatsCluster, usize)) {
        let nodes = self.nodes.as_mut().expect("a step of nodes is for a site with nodes");
        if !nodes.down[node] {
            nodes.cluster.go_on(node);
            end(&mut nodes.cluster, node);
            nodes.down[node] = true;
        }
    }

    /// All nodes run.
    fn restore(&mut self) {
        let Some(nodes) = &mut self.nodes else { return };
        for node in 0..NODES {
            if std::mem::take(&mut nodes.down[node]) {
                nodes.cluster.restart(node);
            } else {
                nodes.cluster.go_on(node);
            }
        }
    }

    fn change_network(&self, change: impl FnOnce(&Network)) {
        match &self.network {
            Some(network) => change(network),
            None => println!("         left out: this process may not make a network"),
        }
    }

    /// A server whose disk was full has disabled JetStream, and tells so until it is restarted: that is its operator's part.
    fn free(&mut self) {
        let (Some(disks), Some(nodes)) = (&self.disks, &mut self.nodes) else { return };
        for node in 0..NODES {
            disks.free(node);
            if std::mem::take(&mut nodes.filled[node]) && !nodes.down[node] {
                nodes.cluster.go_on(node);
                nodes.cluster.terminate(node);
                nodes.cluster.restart(node);
            }
        }
    }

    fn fill(&mut self, full: &[usize]) {
        match (&self.disks, &mut self.nodes) {
            (Some(disks), Some(nodes)) => full.iter().for_each(|node| {
                disks.fill(*node);
                nodes.filled[*node] = true;
            }),
            _ => println!("         left out: this process may not mount"),
        }
    }
}
