//! A hub that starts without a certificate and requests one from Pebble, Let's Encrypt's ACME test server.

use std::{
    fs,
    net::{SocketAddr, TcpListener, UdpSocket},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::{
    support::{eventually, hub::Hub},
    trust::Trust,
};

/// An ACME authority and its DNS server; stopped when dropped.
struct Authority {
    processes: Vec<Child>,
    directory: SocketAddr,
    roots: Trust,
}

impl Authority {
    /// One that is not started yet.
    fn new() -> Self {
        Self { processes: Vec::new(), directory: free(), roots: Trust::new() }
    }

    /// Starts it; it validates its clients at `port` of this machine.
    fn start(&mut self, port: u16) {
        let Self { roots, directory, .. } = self;
        let (management, names) = (free(), free_udp());
        let config = serde_json::json!({ "pebble": {
            "listenAddress": directory.to_string(), "managementListenAddress": management.to_string(),
            "certificate": roots.chain(), "privateKey": roots.key(), "httpPort": free().port(), "tlsPort": port,
        }});
        let path = roots.chain().with_file_name("pebble.json");
        fs::write(&path, config.to_string()).unwrap();
        let none = ["-http01", "", "-https01", "", "-tlsalpn01", ""];
        let resolver = Command::new("pebble-challtestsrv")
            .args(["-dns01", &names.to_string(), "-management", &free().to_string(), "-defaultIPv6", ""])
            .args(none)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pebble-challtestsrv");
        let pebble = Command::new("pebble")
            .args(["-dnsserver", &names.to_string(), "-config"])
            .arg(&path)
            .envs([("PEBBLE_VA_NOSLEEP", "1"), ("PEBBLE_WFE_NONCEREJECT", "0")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pebble");
        self.processes = vec![resolver, pebble];
    }

    fn stop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        self.stop();
    }
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn free_udp() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The issuer line of the served certificate; empty without one.
fn issuer(hub: &Hub) -> String {
    let shown = Trust::curl(hub.address, &["-v", "--stderr", "-"], "/healthz");
    shown.lines().find(|line| line.contains("issuer:")).unwrap_or_default().into()
}

#[test]
fn a_hub_without_a_certificate_gets_one_and_keeps_it() {
    let address = free();
    let mut authority = Authority::new();
    let at = format!("https://localhost:{}/dir", authority.directory.port());
    let roots = authority.roots.chain();
    let (listen, roots) = (address.to_string(), roots.to_str().unwrap());
    let mut hub =
        Hub::start_at(&listen, &["--tls-acme", "hub.example", "--tls-acme-directory", &at, "--tls-acme-roots", roots]);
    assert_eq!(issuer(&hub), "", "there is none to show yet");
    authority.start(address.port());
    eventually("it has a certificate", || issuer(&hub).contains("Pebble"));
    Trust::publish(hub.address, "t", "x");
    let page = Trust::curl(hub.address, &["--http2", "-N", "--max-time", "2"], "/events?topic=t&from=earliest");
    assert!(page.contains("data: x\nid: "), "{page}");
    let cache = hub.data().join("acme");
    assert_eq!(mode(&cache), 0o700);
    eventually("it is kept", || fs::read_dir(&cache).unwrap().count() == 2);
    // Without the authority, the existing certificate is used again.
    authority.stop();
    hub.terminate();
    assert_eq!(hub.wait(), Some(0));
    let hub = hub.again();
    eventually("it is used again", || issuer(&hub).contains("Pebble"));
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
