//! A scripted hub for tests of the client commands, on paused time.

use std::{cell::RefCell, collections::VecDeque, fs, future::pending, io, path::PathBuf, rc::Rc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    time::{Instant, sleep},
};

use super::client::{Dial, HubClient};

/// The script of one connection.
pub(super) enum Script {
    /// The connection is refused.
    Refuse,
    /// The TLS handshake fails, because the certificate is not trusted.
    Distrust,
    /// The connection is accepted, the request is read up to `until`, and the steps follow.
    Serve { until: &'static str, steps: Vec<ScriptStep> },
}

/// A step of the hub on a connection.
pub(super) enum ScriptStep {
    /// Sends bytes.
    Send(String),
    /// Waits.
    Pause(Duration),
    /// Reads until the bytes read in this step end with this text.
    Read(&'static str),
    /// Writes a file; removes it if the text is empty.
    Write(PathBuf, &'static str),
    /// Copies a file to another path.
    Copy(PathBuf, PathBuf),
    /// Sends nothing more, and keeps the connection open.
    Hang,
}

/// A request of the client.
#[derive(Debug)]
pub(super) struct Request {
    /// When it connected, since the start of the test.
    pub(super) at: Duration,
    /// What it sent.
    pub(super) text: String,
}

/// Plays one script per connection. A connection without a script fails the test.
pub(super) struct Scripted {
    scripts: RefCell<VecDeque<Script>>,
    started: Instant,
    requests: Rc<RefCell<Vec<Request>>>,
}

/// A stream that sends `body` in one write and ends.
pub(super) fn stream(body: &str) -> Script {
    serve(vec![ScriptStep::Send(format!("{STREAM}{body}"))])
}

/// Runs `steps` after the head of a request, and closes.
pub(super) fn serve(steps: Vec<ScriptStep>) -> Script {
    Script::Serve { until: "\r\n\r\n", steps }
}

/// A complete response with a body.
pub(super) fn answer(status: &str, body: &str) -> Script {
    let length = body.len();
    serve(vec![ScriptStep::Send(format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}"))])
}

/// The head of an event stream that ends with its connection.
pub(super) const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\r\n";

/// A hub that plays `scripts`, and the requests that it gets.
pub(super) fn hub(scripts: impl IntoIterator<Item = Script>) -> (HubClient<Scripted>, Rc<RefCell<Vec<Request>>>) {
    let requests = Rc::default();
    let scripts = RefCell::new(scripts.into_iter().collect());
    let dial = Scripted { scripts, started: Instant::now(), requests: Rc::clone(&requests) };
    (HubClient::new("http://scripted", "scripted", "/", dial), requests)
}

impl Dial for Scripted {
    type Io = DuplexStream;

    async fn dial(&self) -> io::Result<DuplexStream> {
        let script = self.scripts.borrow_mut().pop_front().expect("no more connections than scripts");
        let index = self.requests.borrow().len();
        self.requests.borrow_mut().push(Request { at: self.started.elapsed(), text: String::new() });
        let (until, steps) = match script {
            Script::Refuse => return Err(io::ErrorKind::ConnectionRefused.into()),
            Script::Distrust => return Err(io::Error::other(rustls::Error::General("an unknown issuer".into()))),
            Script::Serve { until, steps } => (until, steps),
        };
        // A small buffer, so that writers have to wait.
        let (client, hub) = tokio::io::duplex(64);
        tokio::task::spawn_local(play(hub, until, steps, Rc::clone(&self.requests), index));
        Ok(client)
    }
}

async fn play(
    mut io: DuplexStream,
    until: &'static str,
    steps: Vec<ScriptStep>,
    requests: Rc<RefCell<Vec<Request>>>,
    index: usize,
) {
    let first = ScriptStep::Read(until);
    for step in std::iter::once(first).chain(steps) {
        match step {
            // The client may have closed the connection.
            ScriptStep::Send(text) => drop(io.write_all(text.as_bytes()).await),
            ScriptStep::Pause(time) => sleep(time).await,
            ScriptStep::Write(path, "") => fs::remove_file(path).expect("the test's own"),
            ScriptStep::Write(path, text) => fs::write(path, text).expect("the test's own"),
            ScriptStep::Copy(from, to) => drop(fs::copy(from, to).expect("the test's own")),
            ScriptStep::Hang => pending().await,
            ScriptStep::Read(until) => {
                let from = requests.borrow()[index].text.len();
                while !requests.borrow()[index].text[from..].ends_with(until) {
                    let byte = io.read_u8().await.expect("the client sends what the script waits for");
                    requests.borrow_mut()[index].text.push(byte.into());
                }
            }
        }
    }
}

/// Runs `test` on paused time, where [`Scripted`] can play.
pub(super) fn run(test: impl Future<Output = ()>) {
    run_on(true, test);
}

/// Runs `test` in real time, for tests with another thread, for which paused time would not wait.
pub(super) fn run_in_real_time(test: impl Future<Output = ()>) {
    run_on(false, test);
}

fn run_on(paused: bool, test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(paused).build();
    tokio::task::LocalSet::new().block_on(&runtime.expect("a runtime"), test);
}
