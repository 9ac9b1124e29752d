//! A hub whose every byte is written down: tests of the clients, on paused time.

use std::{cell::RefCell, collections::VecDeque, fs, future::pending, io, path::PathBuf, rc::Rc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    time::{Instant, sleep},
};

use super::client::{Dial, HubClient, Untrusted};

/// What happens on one connection.
pub(super) enum Script {
    /// There is none.
    Refuse,
    /// Whoever is there cannot show to be the hub.
    Distrust,
    /// It is taken; the request's head, and its body up to `until`, is read and these steps follow.
    Serve { until: &'static str, steps: Vec<ScriptStep> },
}

/// What the hub does on a connection.
pub(super) enum ScriptStep {
    /// Sends bytes.
    Send(String),
    /// Waits.
    Pause(Duration),
    /// Reads on until what it has read since the step before ends so.
    Read(&'static str),
    /// Somebody writes a file meanwhile; nothing for its text: removes it.
    Write(PathBuf, &'static str),
    /// Says nothing any more, without closing.
    Hang,
}

/// What the client did.
#[derive(Debug)]
pub(super) struct Request {
    /// When it connected, since the first connection's dial.
    pub(super) at: Duration,
    /// What it sent.
    pub(super) text: String,
}

/// Plays one script a connection; a connection beyond the last script is a failed test.
pub(super) struct Scripted {
    scripts: RefCell<VecDeque<Script>>,
    started: Instant,
    requests: Rc<RefCell<Vec<Request>>>,
}

/// A stream that sends `body` in one piece and ends.
pub(super) fn stream(body: &str) -> Script {
    serve(vec![ScriptStep::Send(format!("{STREAM}{body}"))])
}

/// Answers the head of a request with `steps`, and closes.
pub(super) fn serve(steps: Vec<ScriptStep>) -> Script {
    Script::Serve { until: "\r\n\r\n", steps }
}

/// An answer that is no stream.
pub(super) fn answer(status: &str, body: &str) -> Script {
    let length = body.len();
    serve(vec![ScriptStep::Send(format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}"))])
}

/// The head of a good stream whose end is the connection's.
pub(super) const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\r\n";

/// A hub that plays `scripts`, and what is asked of it.
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
            Script::Distrust => return Err(io::Error::other(Untrusted("an unknown issuer".into()))),
            Script::Serve { until, steps } => (until, steps),
        };
        // Small, so that writers meet a full pipe.
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
            // A client that hangs up early is free to.
            ScriptStep::Send(text) => drop(io.write_all(text.as_bytes()).await),
            ScriptStep::Pause(time) => sleep(time).await,
            ScriptStep::Write(path, "") => fs::remove_file(path).expect("the test's own"),
            ScriptStep::Write(path, text) => fs::write(path, text).expect("the test's own"),
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

/// Runs `test` where another thread has a part in it, for which paused time would not wait.
pub(super) fn run_in_real_time(test: impl Future<Output = ()>) {
    run_on(false, test);
}

fn run_on(paused: bool, test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(paused).build();
    tokio::task::LocalSet::new().block_on(&runtime.expect("a runtime"), test);
}
