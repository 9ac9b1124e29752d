//! A real core over real sockets, and a client of it. The core runs on a thread of its own, so that a core that waits
//! fails the test and does not hang it.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{runtime::Builder, task::LocalSet};

use super::{
    api::{
        server::{Listeners, serve},
        state::AppState,
    },
    net::listen::Listener,
};

/// How long an answer may take that does not need the disk; the status gives up after 2 s.
pub(super) const PATIENCE: Duration = Duration::from_secs(8);

/// A client's connection.
pub(super) struct Client {
    stream: TcpStream,
    /// What was received and not cleared.
    pub(super) read: String,
}

impl Client {
    pub(super) fn get(address: SocketAddr, target: &str) -> Self {
        Self::send(address, &format!("GET {target} HTTP/1.1"), "", "")
    }

    /// Sends a request with these lines of headers, each ended by CRLF, and this body.
    pub(super) fn send(address: SocketAddr, line: &str, headers: &str, body: &str) -> Self {
        let mut stream = TcpStream::connect(address).expect("the kernel accepts");
        let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        write!(stream, "{line}\r\nhost: localhost\r\n{headers}{length}\r\n{body}").expect("sent");
        Self { stream, read: String::new() }
    }

    /// Whether `text` arrives within `time`.
    pub(super) fn receives(&mut self, text: &str, time: Duration) -> bool {
        let until = std::time::Instant::now() + time;
        while !self.read.contains(text) {
            let left = until.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                return false;
            }
            self.stream.set_read_timeout(Some(left)).expect("a timeout");
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) | Err(_) => return false,
                Ok(count) => self.read.push_str(&String::from_utf8_lossy(&bytes[..count])),
            }
        }
        true
    }
}

/// Serves on one core, in a thread of its own.
pub(super) fn serve_on_a_core(app: &Arc<AppState>) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("bound");
    let app = Arc::clone(app);
    let core = thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let listeners = Listeners { public: vec![Listener::from(listener)], operators: Vec::new() };
        LocalSet::new().block_on(&runtime, serve(app, 0, listeners)).expect("served");
    });
    (address, core)
}
