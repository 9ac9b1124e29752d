//! A real proxy process on a free port of the loopback, with its files in a directory of its own.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
};

use tempfile::TempDir;

use crate::{
    child::{Child, here, tool},
    support::eventually,
};

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// nginx as `deploy/nginx.conf` sets it up.
    Nginx,
    /// The same, with the hub below `/hub/` of the site, as the file says.
    NginxBelow,
    /// nginx with a `proxy_pass` and nothing else.
    StockNginx,
    /// Caddy as `deploy/Caddyfile` sets it up.
    Caddy,
    /// HAProxy as `deploy/haproxy.cfg` sets it up.
    Haproxy,
    /// nginx before three hubs, as `deploy/nginx.hubs.conf` sets it up.
    NginxHubs,
    /// HAProxy before three hubs, as `deploy/haproxy.hubs.cfg` sets it up.
    HaproxyHubs,
}

/// A running proxy.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    _process: Child,
    _files: TempDir,
}

impl Proxy {
    /// In front of `hub`, as recommended.
    pub(crate) fn before(hub: SocketAddr, kind: Kind) -> Self {
        Self::patient(hub, kind, "60s")
    }

    /// In front of `hub`, closing idle connections to it after a second instead of the recommended 20 s.
    pub(crate) fn hasty(hub: SocketAddr, kind: Kind) -> Self {
        Self::start(hub, kind, "60s", "1s")
    }

    /// In front of `hub`, cutting streams that are silent for `idle` instead of the recommended 60 s.
    pub(crate) fn patient(hub: SocketAddr, kind: Kind, idle: &str) -> Self {
        Self::start(hub, kind, idle, "20s")
    }

    /// In front of three hubs.
    pub(crate) fn over(hubs: [SocketAddr; 3], kind: Kind) -> Self {
        let (files, address) = (tempfile::tempdir().unwrap(), free_address());
        let with =
            |places: [&'static str; 3]| places.into_iter().zip(hubs.map(|hub| hub.to_string())).collect::<Vec<_>>();
        let command = if kind == Kind::NginxHubs {
            let mut changes = with(["10.0.0.11:8080", "10.0.0.12:8080", "10.0.0.13:8080"]);
            changes.push(("listen 80;", format!("listen {address};")));
            nginx(&files, &recommended("deploy/nginx.hubs.conf", &changes))
        } else {
            let mut changes = with(["hub-1:8080", "hub-2:8080", "hub-3:8080"]);
            changes.push(("bind :80", format!("bind {address}")));
            changes.push(("/etc/haproxy/away.http", here("deploy/away.http")));
            haproxy(&files, recommended("deploy/haproxy.hubs.cfg", &changes))
        };
        Self::listening(files, address, command, kind)
    }

    fn listening(files: TempDir, address: SocketAddr, mut command: Command, kind: Kind) -> Self {
        let mut process = Child::spawn(&mut command);
        eventually("the proxy listens", || {
            assert_eq!(process.exit_code(), None, "{kind:?} refuses its configuration");
            TcpStream::connect(address).is_ok()
        });
        Self { address, _process: process, _files: files }
    }

    fn start(hub: SocketAddr, kind: Kind, idle: &str, keep: &str) -> Self {
        let files = tempfile::tempdir().unwrap();
        let address = free_address();
        let at = address.to_string();
        let hub = ("127.0.0.1:8080", hub.to_string());
        let command = match kind {
            Kind::NginxHubs | Kind::HaproxyHubs => unreachable!("it is before several hubs"),
            Kind::Nginx | Kind::NginxBelow | Kind::StockNginx => {
                let site = if kind == Kind::StockNginx {
                    format!("server {{ listen {at}; location / {{ proxy_pass http://{}; }} }}", hub.1)
                } else {
                    let site = recommended(
                        "deploy/nginx.conf",
                        &[
                            hub,
                            ("listen 80;", format!("listen {at};")),
                            ("60s", idle.into()),
                            ("keepalive_timeout 20s", format!("keepalive_timeout {keep}")),
                        ],
                    );
                    let below = [
                        ("location / {", "location /hub/ {".into()),
                        ("proxy_pass http://gapless;\n    }\n", "proxy_pass http://gapless/;\n    }\n".into()),
                        ("location = /events {", "location = /hub/events {".into()),
                        (
                            "proxy_pass http://gapless;\n        #",
                            "proxy_pass http://gapless/events;\n        #".into(),
                        ),
                    ];
                    if kind == Kind::NginxBelow { changed("deploy/nginx.conf", site, &below) } else { site }
                };
                nginx(&files, &site)
            }
            Kind::Caddy => {
                let haste = "admin off\n\tgrace_period 1s".into();
                let kept = ("keepalive 20s", format!("keepalive {keep}"));
                let changes = [hub, (":80 {", format!("http://{at} {{")), ("grace_period 10s", haste), kept];
                let site = recommended("deploy/Caddyfile", &changes);
                fs::write(files.path().join("Caddyfile"), site).unwrap();
                let mut command = Command::new(tool("caddy"));
                command.args(["run", "--adapter", "caddyfile", "--config"]).arg(files.path().join("Caddyfile"));
                command.env("HOME", files.path()).env_remove("XDG_DATA_HOME").env_remove("XDG_CONFIG_HOME");
                command
            }
            Kind::Haproxy => {
                let away = here("deploy/away.http");
                let changes =
                    [hub, ("bind :80", format!("bind {at}")), ("60s", idle.into()), ("/etc/haproxy/away.http", away)];
                haproxy(&files, recommended("deploy/haproxy.cfg", &changes))
            }
        };
        Self::listening(files, address, command, kind)
    }
}

/// nginx with the site `site`.
fn nginx(files: &TempDir, site: &str) -> Command {
    let directory = files.path().display();
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let places: String = kinds.map(|kind| format!("{kind}_temp_path {directory}/{kind};\n")).concat();
    let whole = format!(
        "daemon off; user root; pid {directory}/pid; error_log stderr error;\nevents {{}}\nhttp {{ access_log off;\n{places}{site}}}"
    );
    fs::write(files.path().join("nginx.conf"), whole).unwrap();
    let mut command = Command::new(tool("nginx"));
    command.args(["-e", "stderr", "-c"]).arg(files.path().join("nginx.conf"));
    command
}

/// HAProxy with this configuration.
fn haproxy(files: &TempDir, configuration: String) -> Command {
    fs::write(files.path().join("haproxy.cfg"), configuration).unwrap();
    let mut command = Command::new(tool("haproxy"));
    command.args(["-db", "-f"]).arg(files.path().join("haproxy.cfg"));
    command
}

/// The recommended configuration with this test's addresses and paths. Every text to be replaced must occur.
fn recommended(path: &str, changes: &[(&str, String)]) -> String {
    changed(path, fs::read_to_string(here(path)).unwrap(), changes)
}

fn changed(path: &str, mut text: String, changes: &[(&str, String)]) -> String {
    for (from, to) in changes {
        assert!(text.contains(from), "{path} has no {from}");
        text = text.replace(from, to);
    }
    text
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
