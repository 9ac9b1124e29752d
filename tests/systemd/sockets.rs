//! Sockets that the service manager has opened.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::{
    manager::{AsSocket, Manager, Passed, Service, held_up},
    support::{PATIENCE, comes_true, tokens, wire},
};

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn start(manager: &Manager, sockets: &[(&str, &dyn AsSocket)], arguments: &[&str]) -> Service {
    manager.start(&Passed { sockets, ..Passed::default() }, arguments)
}

/// Exit code and stderr of a hub that does not start.
fn refused(sockets: &[(&str, &dyn AsSocket)], arguments: &[&str]) -> (Option<i32>, String) {
    let manager = Manager::new();
    let mut service = start(&manager, sockets, arguments);
    (service.wait(), service.log())
}

fn get(address: SocketAddr, target: &str) -> u16 {
    wire::request(address, "GET", target, &[], b"").status
}

#[test]
fn the_inherited_socket_is_served_and_no_other_address() {
    let (manager, (public, address)) = (Manager::new(), listener());
    let mut service = start(&manager, &[("public", &public)], &["--shards", "4"]);
    manager.wait_for("READY=1");
    let mut streams: Vec<_> = (0..20).map(|_| wire::watch(address, "topic=t", None)).collect();
    assert_eq!(wire::request(address, "POST", "/publish?topic=t", &[], b"heard").status, 200);
    for stream in &mut streams {
        assert_eq!(stream.data(1), ["heard"]);
    }
    assert!(!service.log().contains(":8080"), "the default is not listened on: {}", service.log());
    drop(streams);
    service.end();
}

#[test]
fn a_unix_socket_stays_and_the_admin_listener_has_one_of_its_own() {
    let (manager, (admin, operators)) = (Manager::new(), listener());
    let path = manager.path("hub.sock");
    let public = UnixListener::bind(&path).unwrap();
    let mut service = start(&manager, &[("public", &public), ("admin", &admin)], &[]);
    manager.wait_for("READY=1");
    let asked = |target: &str| {
        let mut socket = UnixStream::connect(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(socket, "GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(asked("/healthz").starts_with("HTTP/1.1 200 "));
    assert!(asked("/admin/stats").starts_with("HTTP/1.1 404 "), "that is at the admin listener");
    assert_eq!((get(operators, "/admin/stats"), get(operators, "/topics")), (200, 404));
    service.end();
    assert!(path.exists(), "the file is the service manager's");
}

/// The promise of socket activation: whoever connects while the hub drains, or is not there, waits for the next one.
#[test]
fn who_connects_while_it_drains_is_served_by_the_next_one() {
    let (manager, (public, address)) = (Manager::new(), listener());
    let mut first = start(&manager, &[("public", &public)], &[]);
    manager.wait_for("READY=1");
    let mut held = held_up(address);
    first.signal(Signal::TERM);
    manager.wait_for("STOPPING=1");
    // Until its accept loops have ended, a connection may be answered by 503, at once.
    let begun = Instant::now();
    let waiting = loop {
        let asked = thread::spawn(move || get(address, "/readyz"));
        thread::sleep(Duration::from_millis(300));
        if !asked.is_finished() {
            break asked;
        }
        assert_eq!(asked.join().unwrap(), 503);
        assert!(begun.elapsed() < PATIENCE, "it still accepts");
    };
    held.write_all(b"last").unwrap();
    assert_eq!(first.wait(), Some(0), "{}", first.log());
    let mut second = start(&manager, &[("public", &public)], &[]);
    assert_eq!(waiting.join().unwrap(), 200);
    second.end();
}

#[test]
fn restarts_refuse_no_connection() {
    let (manager, (public, address)) = (Manager::new(), listener());
    let mut service = start(&manager, &[("public", &public)], &[]);
    manager.wait_for("READY=1");
    let done = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let done = Arc::clone(&done);
            thread::spawn(move || {
                let mut answered = 0;
                while !done.load(Relaxed) {
                    // Fails when it is refused or reset, or when the answer is cut off.
                    assert_eq!(get(address, "/healthz"), 200);
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(200));
        service.end();
        service = start(&manager, &[("public", &public)], &[]);
        manager.wait_for("READY=1");
    }
    done.store(true, Relaxed);
    let answered: Vec<u32> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    assert!(answered.iter().all(|answers| *answers > 3), "{answered:?}");
    service.end();
}

#[test]
fn other_addresses_than_the_configured_ones_are_an_error_that_says_what_to_change() {
    let ((public, address), (other, _)) = (listener(), listener());
    drop(other);
    let (code, said) = refused(&[("public", &public)], &["--listen", "127.0.0.1:1"]);
    assert_eq!(code, Some(78), "{said}");
    let opened = format!("127.0.0.1:1 is configured, but the service manager has opened {address}; leave listen out");
    assert!(said.contains(&opened), "{said}");
    let manager = Manager::new();
    let mut service = start(&manager, &[("public", &public)], &["--listen", &address.to_string()]);
    manager.wait_for("READY=1");
    assert_eq!(get(address, "/healthz"), 200, "the same address is no conflict");
    service.end();
}

#[test]
fn an_inherited_address_that_other_machines_reach_needs_credentials() {
    let exposed = TcpListener::bind("0.0.0.0:0").unwrap();
    let (code, said) = refused(&[("public", &exposed)], &[]);
    assert!(code == Some(78) && said.contains("is reachable from other machines"), "{code:?} {said}");
}

#[test]
fn a_reload_does_not_open_an_address_to_other_machines() {
    for inherited in [true, false] {
        let (manager, exposed) = (Manager::new(), TcpListener::bind("0.0.0.0:0").unwrap());
        let port = exposed.local_addr().unwrap().port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let config = manager.path("gapless.toml");
        let mut text = format!("[access]\ntokens = {}\n", tokens(&[("writer", "publish = [\"**\"]")]));
        let socket = if inherited {
            Some(exposed)
        } else {
            drop(exposed);
            text = format!("listen = [\"0.0.0.0:{port}\"]\n{text}");
            None
        };
        fs::write(&config, text).unwrap();
        let sockets: Vec<(&str, &dyn AsSocket)> = socket.iter().map(|socket| ("public", socket as _)).collect();
        let mut service = start(&manager, &sockets, &["--config", config.to_str().unwrap()]);
        manager.wait_for("READY=1");
        let publish = || wire::request(address, "POST", "/publish?topic=t", &[], b"x").status;
        assert_eq!(publish(), 401);
        // Its own address is local, and needs a restart to be used.
        fs::write(&config, "").unwrap();
        service.signal(Signal::HUP);
        let (status, _) = manager.wait_for("STATUS=the last reload");
        assert!(status.contains("failed"), "{status}");
        let said = comes_true(|| service.log().contains("is reachable from other machines"));
        assert!(said, "{}", service.log());
        assert_eq!(publish(), 401, "the token is still needed");
        service.end();
    }
}

#[test]
fn a_socket_that_cannot_be_served_is_an_error() {
    let (public, address) = listener();
    let (code, said) = refused(&[("admn", &public)], &[]);
    assert!(code == Some(78) && said.contains("FileDescriptorName=public"), "{code:?} {said}");
    let connected = TcpStream::connect(address).unwrap();
    let (code, said) = refused(&[("public", &connected)], &[]);
    assert!(code == Some(78) && said.contains("Accept=no"), "{code:?} {said}");
}

#[test]
fn sockets_of_another_process_are_not_taken() {
    // As a child of a service sees them, and a child of one that has removed only the process's id.
    for pid in [Some("1"), None] {
        let own = listener().1.to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
        command.args(["serve", "--engine", "memory", "--listen", &own]).env("LISTEN_FDS", "1").env_remove("LISTEN_PID");
        command.envs(pid.map(|pid| ("LISTEN_PID", pid))).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let serves = comes_true(|| TcpStream::connect(&own).is_ok());
        process.kill().unwrap();
        process.wait().unwrap();
        assert!(serves, "{pid:?}: it serves its own address");
    }
}
