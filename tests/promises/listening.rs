//! Listening at several addresses, both loopback families, socket files.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use super::support::{PATIENCE, hub::Hub, wire};

/// A directory for a socket.
struct SocketDir(tempfile::TempDir);

impl SocketDir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("hub.sock")
    }

    /// The value of `--listen`: the socket and a port for the test's own requests.
    fn beside_a_port(&self) -> String {
        format!("127.0.0.1:0,unix:{}", self.path().display())
    }
}

/// Everything that the hub sends at a socket in response to a request, until it closes the connection.
fn asked(path: &Path, request: &str) -> String {
    let mut socket = UnixStream::connect(path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

fn get(path: &Path, target: &str) -> String {
    asked(path, &format!("GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"))
}

#[test]
fn a_socket_file_serves_what_an_address_serves() {
    let place = SocketDir::new();
    let mut hub = Hub::start_at(&place.beside_a_port(), &["--shards", "3"]);
    let path = place.path();
    hub.publish("t", "before");
    assert!(fs::metadata(&path).unwrap().file_type().is_socket());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let mut streams: Vec<_> = (0..20)
        .map(|_| {
            let mut socket = UnixStream::connect(&path).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket.write_all(b"GET /events?topic=t HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
            socket
        })
        .collect();
    hub.wait_for_streams("t", 20);
    let publish =
        "POST /publish?topic=t HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 5\r\n\r\nheard";
    assert!(asked(&path, publish).starts_with("HTTP/1.1 200 "));
    for socket in &mut streams {
        let (mut all, mut piece) = (Vec::new(), [0; 1024]);
        while !String::from_utf8_lossy(&all).contains("data: heard\nid: ") {
            let read = socket.read(&mut piece).unwrap();
            assert_ne!(read, 0);
            all.extend_from_slice(&piece[..read]);
        }
    }
    drop(streams);
    hub.wait_for_streams("t", 0);
    assert_eq!(hub.kept("t"), ["before", "heard"], "it is the same hub");
    hub.terminate();
    assert_eq!(hub.wait(), Some(0));
    assert!(!path.exists(), "it is removed at the end");
}

#[test]
fn the_permissions_of_a_socket_are_those_that_are_asked_for() {
    let place = SocketDir::new();
    let _hub = Hub::start_at(&place.beside_a_port(), &["--unix-mode", "0600"]);
    assert_eq!(fs::metadata(place.path()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_socket_that_a_killed_hub_left_is_replaced_and_one_in_use_is_not() {
    let place = SocketDir::new();
    let mut hub = Hub::start_at(&place.beside_a_port(), &[]);
    let unix = format!("unix:{}", place.path().display());
    let (code, said) = Hub::refused(&["--listen", &unix]);
    assert_eq!(code, Some(1));
    assert!(
        said.contains(&unix) && said.contains("another process listens there") && said.contains("--listen"),
        "{said}"
    );
    assert!(get(&place.path(), "/healthz").ends_with("ok\n"), "the first goes on");
    hub.kill();
    assert!(place.path().exists());
    let _hub = Hub::start_at(&place.beside_a_port(), &[]);
    assert!(get(&place.path(), "/healthz").ends_with("ok\n"));
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let place = SocketDir::new();
    fs::write(place.path(), "precious").unwrap();
    let (code, said) = Hub::refused(&["--listen", &format!("unix:{}", place.path().display())]);
    assert_eq!(code, Some(1));
    assert!(said.contains("no socket"), "{said}");
    assert_eq!(fs::read_to_string(place.path()).unwrap(), "precious");
    let missing = place.0.path().join("missing/hub.sock");
    let (code, said) = Hub::refused(&["--listen", &format!("unix:{}", missing.display())]);
    assert!(code == Some(1) && said.contains("missing/hub.sock"), "{code:?} {said}");
}

#[test]
fn limits_and_trusted_proxies_know_a_client_of_a_socket_as_this_machine() {
    let place = SocketDir::new();
    let flags = ["--http-trusted-proxies", "127.0.0.1", "--limits-address-events", "1"];
    let _hub = Hub::start_at(&place.beside_a_port(), &flags);
    let publish = |client: &str| {
        let head = "POST /publish?topic=t HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 1\r\n";
        let answer = asked(&place.path(), &format!("{head}x-forwarded-for: {client}\r\n\r\nx"));
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!([publish("192.0.2.1"), publish("192.0.2.2")], ["200", "200"]);
    assert_eq!(publish("192.0.2.1"), "429");
}

#[test]
fn the_operators_may_have_a_socket_of_their_own() {
    let place = SocketDir::new();
    let token = super::support::tokens(&[("ci", "publish = [\"**\"]")]);
    let unix = format!("unix:{}", place.path().display());
    let hub = Hub::start_with(&["--admin-listen", &unix, "--access-tokens", &token]);
    assert!(get(&place.path(), "/admin/stats").contains("\"connections_limit\""), "no token is asked for there");
    assert_eq!(hub.get("/admin/stats").status, 404);
}

#[test]
fn several_addresses_are_one_hub() {
    let first = free_port();
    let second = free_port();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), format!("listen = [\"{first}\", \"{second}\"]\n")).unwrap();
    let store = tempfile::tempdir().unwrap();
    let mut process = std::process::Command::new(env!("CARGO_BIN_EXE_gapless"))
        .args(["--engine", "memory", "--config"])
        .arg(file.path())
        .current_dir(store.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut greeting = String::new();
    let mut stdout = std::io::BufReader::new(process.stdout.take().unwrap());
    while !greeting.contains("subscribe") {
        assert_ne!(std::io::BufRead::read_line(&mut stdout, &mut greeting).unwrap(), 0, "it ended: {greeting}");
    }
    let status = |address: SocketAddr| wire::request(address, "GET", "/healthz", &[], b"").status;
    let both = [status(first), status(second)];
    process.kill().unwrap();
    process.wait().unwrap();
    assert_eq!(both, [200, 200]);
    assert!(greeting.contains(&first.to_string()) && greeting.contains(&second.to_string()), "{greeting}");
}

#[test]
fn localhost_is_both_families() {
    let hub = Hub::start_at("localhost:0", &[]);
    let port = hub.address.port();
    assert_eq!(hub.get("/healthz").status, 200);
    let six = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port));
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        assert_eq!(wire::request(six, "GET", "/healthz", &[], b"").status, 200);
    } else {
        assert!(TcpStream::connect(six).is_err());
    }
}

#[test]
fn one_address_of_several_beyond_the_loopback_needs_open() {
    for list in ["127.0.0.1:0,0.0.0.0:0", "unix:/tmp/gapless-never,[::]:0"] {
        let (code, said) = Hub::refused(&["--listen", list]);
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains("--open"), "{said}");
    }
    for (list, why) in [("none", "no address"), ("127.0.0.1:1,127.0.0.1:1", "twice"), ("8080", "localhost:8080")] {
        let (code, said) = Hub::refused(&["--listen", list]);
        assert!(code == Some(78) && said.contains(why), "{list}: {code:?} {said}");
    }
}

#[test]
fn a_hub_whose_address_is_taken_makes_no_directory() {
    let hub = Hub::start();
    let place = SocketDir::new();
    let _socket = UnixListener::bind(place.path()).unwrap();
    for taken in [hub.address.to_string(), format!("unix:{}", place.path().display())] {
        let data = place.0.path().join("data");
        let (code, said) = Hub::refused(&["--listen", &taken, "--data", data.to_str().unwrap()]);
        assert_eq!(code, Some(1), "{said}");
        assert!(!data.exists(), "{taken}");
    }
}

/// A port that is free at the moment.
fn free_port() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
