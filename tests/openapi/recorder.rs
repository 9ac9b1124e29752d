//! Requests to a hub, each kept with its answer as a line of JSON for `judge.py`.

use std::{
    io::Write as _,
    net::SocketAddr,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    child::here,
    installed,
    support::wire::{self, Answer, Headers, Incoming},
};

/// The exchanges so far.
pub(crate) struct Recorder {
    address: SocketAddr,
    lines: Vec<String>,
}

impl Recorder {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, lines: Vec::new() }
    }

    /// The same record, of requests to another hub or another of its addresses.
    pub(crate) fn at(&mut self, address: SocketAddr) -> &mut Self {
        self.address = address;
        self
    }

    pub(crate) fn get(&mut self, target: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", target, headers, b"")
    }

    /// Sends a request and keeps the whole answer.
    pub(crate) fn send(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let answer = wire::request(self.address, method, target, headers, body);
        self.keep(method, target, answer.status, &answer.headers, &answer.body);
        answer
    }

    /// Opens a stream, reads it to the end of the line with `needle`, and keeps what has come.
    pub(crate) fn open(
        &mut self,
        (method, target, body): (&str, &str, &[u8]),
        headers: &[(&str, &str)],
        needle: &str,
    ) -> Incoming {
        let mut incoming = wire::open(self.address, method, target, headers, body);
        let mut text = incoming.until(needle);
        if !text.ends_with('\n') {
            text += &incoming.until("\n");
        }
        self.keep(method, target, incoming.status, &incoming.headers, text.as_bytes());
        incoming
    }

    fn keep(&mut self, method: &str, target: &str, status: u16, headers: &Headers, body: &[u8]) {
        let headers: serde_json::Map<String, Value> =
            headers.all().iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
        let body = String::from_utf8_lossy(body);
        let exchange = json!({"method": method, "target": target, "status": status, "headers": headers, "body": body});
        self.lines.push(exchange.to_string());
    }

    /// Fails with all that is not as it is described.
    pub(crate) fn judge(self) {
        let mut judge = Command::new(installed("python"))
            .args([here("tests/openapi/judge.py"), here("docs/openapi.json")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let exchanges = self.lines.join("\n");
        judge.stdin.take().expect("piped").write_all(exchanges.as_bytes()).expect("it reads");
        let output = judge.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
        println!("{said}");
    }
}
