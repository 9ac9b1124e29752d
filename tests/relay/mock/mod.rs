//! An upstream whose every byte is a test's: it answers each request by a [`Script`], and records what it was sent and when
//! its connections were closed.

mod connection;
mod request;
mod script;
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
    thread,
    time::Instant,
};

use parking_lot::{Condvar, Mutex};
use tokio::{net::TcpListener, sync::oneshot};

pub(crate) use self::{
    request::Request,
    script::{Gate, Script},
};
use crate::support::PATIENCE;

/// A running mock; dropping it closes its connections.
pub(crate) struct Mock {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// What the connections and the test share.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The usual answer of each path.
    usual: BTreeMap<String, Script>,
    /// What gives the answer of a path for each request, before its usual one.
    answering: BTreeMap<String, Answering>,
    /// The answers to the next requests of each path, before all others.
    queued: BTreeMap<String, VecDeque<Script>>,
    exchanges: Vec<Exchange>,
}

/// Gives the answer to a request.
type Answering = Box<dyn Fn(&Request) -> Script + Send>;

/// A request and what became of its answer.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    pub(crate) request: Request,
    /// The number of its connection, from 0.
    pub(crate) connection: usize,
    /// Body bytes that the kernel has taken.
    pub(crate) sent: usize,
    /// When the answer was over, however it ended.
    pub(crate) answered: Option<Instant>,
    /// When the other side was seen closing the connection: while this was answered, or later while it was idle.
    pub(crate) closed: Option<Instant>,
}

impl Mock {
    /// Listens on a port of its own. A path without a script is answered 404.
    pub(crate) fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let serving = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = connection::accept(listener, serving) => {}
                    _ = stopped => {}
                }
            });
        });
        let address = told.recv().expect("it listens");
        Self { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sets the usual answer of a path.
    pub(crate) fn usually(&self, path: &str, script: Script) {
        self.shared.state.lock().usual.insert(path.into(), script);
    }

    /// Sets what gives the answer to each request of a path.
    pub(crate) fn answering(&self, path: &str, answer: impl Fn(&Request) -> Script + Send + 'static) {
        self.shared.state.lock().answering.insert(path.into(), Box::new(answer));
    }

    /// Appends an answer to the next requests of a path, before its usual one.
    pub(crate) fn next(&self, path: &str, script: Script) {
        self.shared.state.lock().queued.entry(path.into()).or_default().push_back(script);
    }

    /// All exchanges so far, in the order of their requests.
    pub(crate) fn exchanges(&self) -> Vec<Exchange> {
        self.shared.state.lock().exchanges.clone()
    }

    /// The number of requests so far.
    pub(crate) fn count(&self) -> usize {
        self.shared.state.lock().exchanges.len()
    }

    /// Waits until request `number`, from 0, has arrived; returns it.
    pub(crate) fn request(&self, number: usize) -> Request {
        self.wait(&format!("request {number} arrives"), |state| Some(state.exchanges.get(number)?.request.clone()))
    }

    /// Waits until the answer to request `number` is over; returns the exchange.
    pub(crate) fn answered(&self, number: usize) -> Exchange {
        self.wait(&format!("answer {number} is over"), |state| {
            state.exchanges.get(number).filter(|exchange| exchange.answered.is_some()).cloned()
        })
    }

    /// Waits until the other side has closed the connection of request `number`; returns when it was seen.
    pub(crate) fn closed(&self, number: usize) -> Instant {
        self.wait(&format!("the connection of request {number} is closed"), |state| state.exchanges.get(number)?.closed)
    }

    fn wait<T>(&self, what: &str, mut found: impl FnMut(&State) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shared.state.lock();
        loop {
            if let Some(found) = found(&state) {
                return found;
            }
            let late = self.shared.changed.wait_until(&mut state, deadline).timed_out();
            assert!(!late, "never happened: {what}; {:?}", state.exchanges);
        }
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().expect("joined once").join();
        if !thread::panicking() {
            ended.expect("the mock has not panicked");
        }
    }
}

impl Shared {
    /// Changes the state and wakes whoever waits for it.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock());
        self.changed.notify_all();
        result
    }
}

impl State {
    fn script(&mut self, request: &Request) -> Script {
        let path = request.path();
        let queued = self.queued.get_mut(path).and_then(VecDeque::pop_front);
        let given = || self.answering.get(path).map(|answer| answer(request));
        queued.or_else(given).or_else(|| self.usual.get(path).cloned()).unwrap_or_else(|| {
            Script::json(404, &format!(r#"{{"error":{{"message":"no script for {path}","code":404}}}}"#))
        })
    }
}
