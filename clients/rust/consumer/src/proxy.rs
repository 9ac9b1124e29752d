//! A TCP proxy in front of a hub, with faults.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
};

/// What is done with connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    Closed,
    Silent,
}

/// What was told to all connections there are: the number of breaks, and of freezes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Told {
    breaks: u64,
    freezes: u64,
}

pub(crate) struct Proxy {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    hub: u16,
    faults: Mutex<Faults>,
    told: watch::Sender<Told>,
    passed: AtomicU64,
}

struct Faults {
    mode: Mode,
    cut_after: VecDeque<usize>,
    lose: u64,
    answers: VecDeque<Value>,
}

/// Most bytes that the system keeps of what the hub sends: it must see that a consumer has stopped.
const RECEIVE_BUFFER: u32 = 256 << 10;

impl Proxy {
    pub(crate) async fn to(hub: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let faults = Faults { mode: Mode::Open, cut_after: VecDeque::new(), lose: 0, answers: VecDeque::new() };
        let shared = Shared { hub, faults: faults.into(), told: watch::Sender::default(), passed: AtomicU64::new(0) };
        let shared = Arc::new(shared);
        let accepting = Arc::downgrade(&shared);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Some(shared) = accepting.upgrade() else { return };
                tokio::spawn(serve(shared, client));
            }
        });
        Self { port, shared }
    }

    pub(crate) fn passed(&self) -> u64 {
        self.shared.passed.load(Ordering::SeqCst)
    }

    /// Does what a step says, but for `holds`.
    pub(crate) fn obey(&self, step: &Value) {
        let mut faults = self.shared.faults.lock();
        let list = |name: &str| step[name].as_array().cloned();
        if let Some(is) = step["is"].as_str() {
            faults.mode = match is {
                "closed" => Mode::Closed,
                "silent" => Mode::Silent,
                _ => Mode::Open,
            };
            self.shared.told.send_modify(|told| match is {
                "open" => {}
                "silent" => told.freezes += 1,
                _ => told.breaks += 1,
            });
        }
        if let Some(bytes) = list("cut_after") {
            faults.cut_after = bytes.iter().filter_map(Value::as_u64).map(|bytes| bytes as usize).collect();
        }
        if let Some(answers) = list("answers") {
            faults.answers = answers.into();
        }
        if let Some(count) = step["lose"].as_u64() {
            faults.lose = count;
        }
    }
}

async fn serve(shared: Arc<Shared>, mut client: TcpStream) {
    let mut told = shared.told.subscribe();
    let before = *told.borrow_and_update();
    let (mode, mut left) = {
        let mut faults = shared.faults.lock();
        (faults.mode, faults.cut_after.pop_front().unwrap_or(usize::MAX))
    };
    match mode {
        Mode::Closed => return,
        Mode::Silent => return broken(&mut told, before).await,
        Mode::Open => {}
    }
    let socket = TcpSocket::new_v4().expect("a socket");
    let _small = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    let Ok(mut hub) = socket.connect(([127, 0, 0, 1], shared.hub).into()).await else { return };
    let _fast = (hub.set_nodelay(true), client.set_nodelay(true));
    let (mut up, mut down, mut passing) = (vec![0; 64 << 10], vec![0; 64 << 10], false);
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let Ok(count @ 1..) = read else { return };
                if !passing {
                    let answer = shared.faults.lock().answers.pop_front();
                    match answer {
                        Some(Value::Null) => passing = true,
                        Some(answer) => return reply(client, &answer).await,
                        None => {}
                    }
                }
                if hub.write_all(&up[..count]).await.is_err() {
                    return;
                }
            }
            read = hub.read(&mut down) => {
                let Ok(count @ 1..) = read else {
                    let _ended = client.shutdown().await;
                    return;
                };
                if shared.loses() {
                    return;
                }
                let part = &down[..count.min(left)];
                left -= part.len();
                shared.passed.fetch_add(part.len() as u64, Ordering::SeqCst);
                let mut breaks = told.clone();
                tokio::select! {
                    written = client.write_all(part) => if written.is_err() || left == 0 { return },
                    () = broken(&mut breaks, before) => return,
                }
            }
            changed = told.changed() => {
                let now = *told.borrow_and_update();
                if changed.is_err() || now.breaks > before.breaks {
                    return;
                }
                if now.freezes > before.freezes {
                    // Open, and no byte passes.
                    return broken(&mut told, before).await;
                }
            }
        }
    }
}

/// Waits until all connections are broken, or the proxy is gone.
async fn broken(told: &mut watch::Receiver<Told>, before: Told) {
    let _gone = told.wait_for(|told| told.breaks > before.breaks).await.is_err();
}

/// Answers in place of the hub.
async fn reply(mut client: TcpStream, answer: &Value) {
    let body = answer["body"].as_str().unwrap_or_default();
    let mut head =
        format!("HTTP/1.1 {} Answer\r\nContent-Length: {}\r\nConnection: close\r\n", answer["status"], body.len());
    for (name, value) in answer["headers"].as_object().into_iter().flatten() {
        head += &format!("{name}: {}\r\n", value.as_str().unwrap_or_default());
    }
    let _sent = client.write_all(format!("{head}\r\n{body}").as_bytes()).await;
    let _ended = client.shutdown().await;
    // Until the client has closed, so that it is no reset.
    let mut rest = [0; 4096];
    let until_closed = async { while let Ok(1..) = client.read(&mut rest).await {} };
    let _closed = tokio::time::timeout(std::time::Duration::from_secs(5), until_closed).await;
}

impl Shared {
    /// Whether this response is lost.
    fn loses(&self) -> bool {
        let mut faults = self.faults.lock();
        let loses = faults.lose > 0;
        faults.lose -= u64::from(loses);
        loses
    }
}
