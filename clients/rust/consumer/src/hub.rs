//! The hub as a process, and requests past the client.

use std::{
    fs,
    path::PathBuf,
    process::Stdio,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    time::{Instant, sleep},
};

use crate::Failure;

/// The bound of a step, in seconds of a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) struct HubProcess {
    place: PathBuf,
    stores: u32,
    pub(crate) port: u16,
    process: Option<Child>,
}

impl HubProcess {
    /// A hub that is not started yet.
    pub(crate) async fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("gapless-vectors-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let place = std::env::temp_dir().join(name);
        fs::create_dir(&place).expect("a directory");
        let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = free.local_addr().expect("an address").port();
        Self { place, stores: 0, port, process: None }
    }

    pub(crate) async fn start(&mut self, flags: &[String], new_store: bool) -> Result<(), Failure> {
        self.stores += u32::from(new_store);
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.end("KILL").await;
            let mut command = Command::new(std::env::var_os("GAPLESS_BIN").expect("GAPLESS_BIN"));
            command.args(["serve", "--listen", &format!("127.0.0.1:{}", self.port), "--shards", "1", "--data"]);
            command.arg(self.place.join(self.stores.to_string())).args(flags).env("RUST_LOG", "error");
            if !flags.iter().any(|flag| flag == "--access-tokens") {
                command.arg("--open");
            }
            let log = fs::File::create(self.place.join("log")).expect("a file");
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
            let mut process = command.spawn().map_err(|error| error.to_string())?;
            while process.try_wait().is_ok_and(|ended| ended.is_none()) {
                if self.request("GET", "/readyz", None, None, "").await.is_ok_and(|answer| answer.0 == 200) {
                    self.process = Some(process);
                    return Ok(());
                }
                if Instant::now() > deadline {
                    break;
                }
                sleep(Duration::from_millis(20)).await;
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "the hub did not start: {}",
                    fs::read_to_string(self.place.join("log")).unwrap_or_default()
                ));
            }
            // Another process may have the port for a moment.
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Sends a signal, and waits until the process has ended.
    pub(crate) async fn end(&mut self, signal: &str) {
        let Some(mut process) = self.process.take() else { return };
        if let Some(pid) = process.id() {
            let _ended = Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).status().await;
        }
        let _status = process.wait().await;
    }

    /// A request past the client: the status and the body.
    pub(crate) async fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        token: Option<&str>,
        accept: &str,
    ) -> Result<(u16, Value), Failure> {
        let failed = |error: std::io::Error| format!("{method} {path}: {error}");
        let body = body.map(|body| body.as_str().map_or_else(|| body.to_string(), Into::into)).unwrap_or_default();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.map_err(failed)?;
        let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let accept = if accept.is_empty() { String::new() } else { format!("Accept: {accept}\r\n") };
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n{token}{accept}\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.map_err(failed)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.map_err(failed)?;
        let answer = String::from_utf8(answer).map_err(|error| error.to_string())?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
        Ok((status, serde_json::from_str(body).unwrap_or(Value::Null)))
    }
}

impl Drop for HubProcess {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ended = process.start_kill();
        }
        let _removed = fs::remove_dir_all(&self.place);
    }
}
