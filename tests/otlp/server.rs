//! A server in the place of a collector: it says what it is told to, and keeps what it is sent.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
};

use parking_lot::Mutex;

/// Its thread ends with the process of the test.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Server {
    /// It answers the requests with these texts in order, and all later ones with the last.
    pub(crate) fn answering(answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let (kept, answers) = (Arc::clone(&requests), answers.iter().map(ToString::to_string).collect::<Vec<_>>());
        thread::spawn(move || {
            for (socket, n) in listener.incoming().map_while(Result::ok).zip(0..) {
                let Some(request) = read(&socket) else { continue };
                kept.lock().push(request);
                let _ = (&socket).write_all(answers[answers.len().min(n + 1) - 1].as_bytes());
            }
        });
        Self { address, requests }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests for this path so far.
    pub(crate) fn requests(&self, path: &str) -> Vec<Request> {
        let begins = format!("post {path} http/1.1");
        self.requests.lock().iter().filter(|request| request.head.starts_with(&begins)).cloned().collect()
    }
}

fn read(mut socket: &std::net::TcpStream) -> Option<Request> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?.parse().ok()?;
    let mut body = vec![0; length];
    socket.read_exact(&mut body).ok()?;
    Some(Request { head, body })
}
