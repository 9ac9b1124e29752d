//! A network of namespaces that can be cut: each process has an address of its own, on one of two switches.
//!
//! A cut moves hosts to the other switch: what they send to the first is lost without a word, as by a pulled cable, and open
//! connections stay open. Hosts on one side still reach each other. What is between two hosts alone can be cut, too. A host with a control link is reached through it by the
//! test's own namespace, whatever is cut: a hub's clients are on its side.
//!
//! Needs the right to make namespaces (root).

use std::{
    io,
    net::Ipv4Addr,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

/// Two switches and their hosts; all are removed when it is dropped, so processes in it must end before.
pub(crate) struct Network {
    /// Part of the names of all its interfaces and namespaces.
    id: String,
    /// Second and third byte of its addresses.
    subnet: (u8, u8),
    hosts: Vec<Host>,
}

/// A namespace with an address.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    namespace: String,
    /// What the others reach it at.
    pub(crate) address: Ipv4Addr,
    /// What the test reaches it at, also when it is cut off.
    pub(crate) control: Option<Ipv4Addr>,
}

/// The switches.
const SIDES: [&str; 2] = ["a", "b"];

impl Network {
    /// Whether this process may make namespaces and links.
    pub(crate) fn is_allowed() -> bool {
        rustix::process::geteuid().is_root() && Self::new().is_ok()
    }

    /// A network without hosts. The test's own namespace is on the first switch.
    ///
    /// # Errors
    /// What `ip` says; that it is not allowed, mostly.
    pub(crate) fn new() -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // Fifteen bytes are all that an interface's name may have.
        let id = format!("g{:x}{count:x}", std::process::id() % 0x10_0000);
        let network = Self { id, subnet: (fastrand::u8(64..128), fastrand::u8(..)), hosts: Vec::new() };
        for side in SIDES {
            ip(&format!("link add {} type bridge", network.switch(side)))?;
            ip(&format!("link set {} up", network.switch(side)))?;
        }
        let (second, third) = network.subnet;
        ip(&format!("addr add 10.{second}.{third}.254/24 dev {}", network.switch("a")))?;
        Ok(network)
    }

    /// Adds a host, on the first switch; returns its index.
    ///
    /// # Errors
    /// What `ip` says.
    pub(crate) fn add(&mut self, control: bool) -> io::Result<usize> {
        let n = self.hosts.len();
        let (second, third) = self.subnet;
        let namespace = format!("{}n{n}", self.id);
        let number = u8::try_from(n + 1).expect("few hosts");
        let address = Ipv4Addr::new(10, second, third, number);
        let links = Ipv4Addr::new(10, second + 64, third, 4 * number);
        let inside = |command: &str| ip(&format!("-n {namespace} {command}"));
        ip(&format!("netns add {namespace}"))?;
        self.hosts.push(Host {
            namespace: namespace.clone(),
            address,
            control: control.then(|| Ipv4Addr::from(u32::from(links) + 2)),
        });
        ip(&format!("link add {} type veth peer name e0 netns {namespace}", self.port(n)))?;
        ip(&format!("link set {} master {} up", self.port(n), self.switch("a")))?;
        inside("link set lo up")?;
        inside(&format!("addr add {address}/24 dev e0"))?;
        inside("link set e0 up")?;
        if control {
            let port = format!("{}c{n}", self.id);
            ip(&format!("link add {port} type veth peer name e1 netns {namespace}"))?;
            ip(&format!("addr add {}/30 dev {port}", Ipv4Addr::from(u32::from(links) + 1)))?;
            ip(&format!("link set {port} up"))?;
            inside(&format!("addr add {}/30 dev e1", Ipv4Addr::from(u32::from(links) + 2)))?;
            inside("link set e1 up")?;
        }
        Ok(n)
    }

    pub(crate) fn host(&self, host: usize) -> &Host {
        &self.hosts[host]
    }

    /// Cuts these hosts off from all others; what was cut before is reached again.
    pub(crate) fn cut(&self, hosts: &[usize]) {
        self.lay(|host| hosts.contains(&host), |_| false);
    }

    /// Cuts what is between these two hosts: each reaches all others. What was cut before is reached again.
    pub(crate) fn cut_link(&self, one: usize, other: usize) {
        self.lay(|_| false, |host| host == one || host == other);
    }

    /// All reach all.
    pub(crate) fn heal(&self) {
        self.cut(&[]);
    }

    /// Moves hosts to one of the switches. Isolated hosts do not reach each other.
    fn lay(&self, is_cut: impl Fn(usize) -> bool, is_isolated: impl Fn(usize) -> bool) {
        for n in 0..self.hosts.len() {
            let (port, switch) = (self.port(n), self.switch(SIDES[usize::from(is_cut(n))]));
            let isolated = if is_isolated(n) { "on" } else { "off" };
            ip(&format!("link set {port} master {switch}")).expect("our link");
            ip(&format!("link set dev {port} type bridge_slave isolated {isolated}")).expect("our link");
        }
    }

    fn switch(&self, side: &str) -> String {
        format!("{}s{side}", self.id)
    }

    fn port(&self, host: usize) -> String {
        format!("{}p{host}", self.id)
    }
}

impl Host {
    /// What executes a program in its namespace; the program keeps the process id.
    pub(crate) fn prefix(&self) -> Vec<String> {
        ["ip", "netns", "exec", &self.namespace].map(Into::into).into()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for host in &self.hosts {
            drop(ip(&format!("netns del {}", host.namespace)));
        }
        for side in SIDES {
            drop(ip(&format!("link del {}", self.switch(side))));
        }
    }
}

fn ip(arguments: &str) -> io::Result<()> {
    let output = Command::new("ip").args(arguments.split(' ')).output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    output.status.success().then_some(()).ok_or_else(|| io::Error::other(format!("ip {arguments}: {error}")))
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read, Write},
        net::{SocketAddr, TcpListener, TcpStream},
        os::fd::AsFd,
        thread,
        time::Duration,
    };

    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

    use super::*;

    /// Longer than a packet on one machine takes.
    const SILENCE: Duration = Duration::from_millis(500);

    /// Moves this thread into a host.
    fn enter(host: &Host) {
        let file = File::open(format!("/run/netns/{}", host.namespace)).unwrap();
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }

    /// Answers each byte with itself, in a host.
    fn echo(host: &Host) -> SocketAddr {
        let (host, address) = (host.clone(), SocketAddr::from((host.address, 4000)));
        let listener = thread::spawn(move || {
            enter(&host);
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, 4000)).unwrap()
        });
        let listener = listener.join().unwrap();
        thread::spawn(move || {
            for mut client in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || {
                    let mut byte = [0];
                    while client.read_exact(&mut byte).and_then(|()| client.write_all(&byte)).is_ok() {}
                });
            }
        });
        address
    }

    /// Connects from a host. The socket stays in it.
    fn connect(from: &Host, to: SocketAddr) -> std::io::Result<TcpStream> {
        let from = from.clone();
        let connected = thread::spawn(move || {
            enter(&from);
            TcpStream::connect_timeout(&to, SILENCE)
        });
        connected.join().unwrap()
    }

    fn echoes(stream: &mut TcpStream) -> bool {
        stream.set_read_timeout(Some(SILENCE)).unwrap();
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut [0]).is_ok()
    }

    #[test]
    fn a_cut_is_silent_and_one_sided_and_heals() {
        if !Network::is_allowed() {
            println!("left out: this process may not make network namespaces");
            return;
        }
        let mut network = Network::new().unwrap();
        let hosts: Vec<usize> = [true, false, false].map(|control| network.add(control).unwrap()).into();
        let served: Vec<SocketAddr> = hosts.iter().map(|host| echo(network.host(*host))).collect();
        let control = SocketAddr::from((network.host(0).control.unwrap(), 4000));
        let (mut near, mut far) =
            (connect(network.host(0), served[1]).unwrap(), connect(network.host(0), served[2]).unwrap());
        assert!(echoes(&mut near) && echoes(&mut far), "all reach all at first");
        network.cut(&[0, 1]);
        assert!(echoes(&mut near), "on the same side");
        assert!(!echoes(&mut far), "lost, and the connection knows nothing of it");
        assert!(connect(network.host(0), served[1]).is_ok() && connect(network.host(0), served[2]).is_err());
        // From the test's namespace: only through the control link.
        assert!(TcpStream::connect_timeout(&served[0], SILENCE).is_err());
        assert!(echoes(&mut TcpStream::connect_timeout(&control, SILENCE).unwrap()));
        network.cut_link(0, 2);
        assert!(connect(network.host(2), served[1]).is_ok() && connect(network.host(1), served[0]).is_ok());
        assert!(connect(network.host(0), served[2]).is_err() && connect(network.host(2), served[0]).is_err());
        network.heal();
        far.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        far.read_exact(&mut [0]).expect("what was lost is sent again");
        assert!(TcpStream::connect_timeout(&served[0], SILENCE).is_ok());
    }
}
