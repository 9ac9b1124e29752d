//! The real binary on a free port with a log of its own; killed when dropped.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use serde_json::Value;
use tempfile::TempDir;

use super::{
    comes_true, engine, eventually,
    test_stream::TestStream,
    wire::{self, Answer, EventStream},
};

/// A running hub.
pub(crate) struct Hub {
    pub(crate) address: SocketAddr,
    process: Child,
    place: Arc<Place>,
    arguments: Vec<String>,
    /// The offset of its clock, in the syntax of faketime(1).
    clock: Option<String>,
    log: Arc<Mutex<String>>,
    /// What it has printed after the line with its address.
    #[allow(dead_code, reason = "for the tests of the relay and the terminal")]
    printed: Arc<Mutex<Vec<u8>>>,
}

/// The log of a hub, for those that are started over the same one.
struct Place {
    /// For the file with the clock's offset.
    own: TempDir,
    data: PathBuf,
    /// The log, unless it is in `data`.
    stream: Option<TestStream>,
}

impl Place {
    /// A fresh log.
    fn fresh() -> Arc<Self> {
        Arc::new(Self { stream: engine::is_jetstream().then(TestStream::make), ..Self::on_disk() })
    }

    /// A fresh store on the disk, whatever the engine of the other hubs.
    fn on_disk() -> Self {
        let own = tempfile::tempdir().expect("a directory");
        let data = own.path().join("data");
        Self { own, data, stream: None }
    }

    /// The file from which faketime reads the clock's offset.
    fn clock_file(&self) -> PathBuf {
        self.own.path().join("clock")
    }

    fn write_clock(&self, offset: &str) {
        let half = self.own.path().join("clock.half");
        std::fs::write(&half, offset).expect("written");
        std::fs::rename(half, self.clock_file()).expect("there at once");
    }
}

impl Hub {
    /// A hub with a fresh log and no configuration.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// A hub with a fresh log and these arguments.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", arguments)
    }

    /// The same at an address of the caller's choice.
    pub(crate) fn start_at(listen: &str, arguments: &[&str]) -> Self {
        Self::spawn(Place::fresh(), owned(arguments), listen, None)
    }

    /// A hub over the store in `data`, which is made if there is none.
    #[allow(dead_code, reason = "for the tests of the terminal")]
    pub(crate) fn start_on(data: &Path, arguments: &[&str]) -> Self {
        let place = Place { data: data.into(), ..Place::on_disk() };
        Self::spawn(Arc::new(place), owned(arguments), "127.0.0.1:0", None)
    }

    /// A hub over a fresh stream of JetStream, whatever the engine of the other hubs. [`Hub::again_at`] starts another one
    /// over the same log.
    #[allow(dead_code, reason = "for the tests of the proxies")]
    pub(crate) fn start_over_jetstream() -> Self {
        let place = Place { stream: Some(TestStream::make()), ..Place::on_disk() };
        Self::spawn(Arc::new(place), Vec::new(), "127.0.0.1:0", None)
    }

    /// A hub with a fresh log on a machine whose clock is wrong by `offset`: `+1h`, `-56y`.
    pub(crate) fn start_with_clock(offset: &str, arguments: &[&str]) -> Self {
        Self::spawn(Place::fresh(), owned(arguments), "127.0.0.1:0", Some(offset.into()))
    }

    /// Sets the clock of the hub's machine while it runs. It was started with a clock that is wrong by an offset.
    pub(crate) fn set_clock(&mut self, offset: &str) {
        self.place.write_clock(offset);
        self.clock = Some(offset.into());
    }

    /// A hub over a copy of the store in `migrations/fixtures/<name>`, which an older gapless wrote.
    pub(crate) fn start_over(fixture: &str, arguments: &[&str]) -> Self {
        let place = Arc::new(Place::on_disk());
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/fixtures").join(fixture);
        let copied = Command::new("cp").arg("-r").arg(fixture).arg(&place.data).status();
        assert!(copied.expect("cp runs").success());
        Self::spawn(place, owned(arguments), "127.0.0.1:0", None)
    }

    fn spawn(place: Arc<Place>, arguments: Vec<String>, listen: &str, clock: Option<String>) -> Self {
        let mut command = under(&[]);
        if let Some(offset) = &clock {
            // What faketime(1) does, without its own process, which would be killed instead of the hub.
            command.env("LD_PRELOAD", "/usr/$LIB/faketime/libfaketime.so.1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
            if offset.starts_with('@') {
                command.env("FAKETIME", offset);
            } else {
                // Read at each query of the time, so that it can be changed while the hub runs.
                place.write_clock(offset);
                command.env("FAKETIME_TIMESTAMP_FILE", place.clock_file()).env("FAKETIME_NO_CACHE", "1");
            }
        }
        let mut hub = Self::spawn_by(command, place, arguments, listen);
        hub.clock = clock;
        hub
    }

    /// A hub with a fresh log, executed by another program such as `prlimit`.
    pub(crate) fn start_under(wrapper: &[&str], arguments: &[&str]) -> Self {
        Self::spawn_by(under(wrapper), Place::fresh(), owned(arguments), "127.0.0.1:0")
    }

    fn spawn_by(mut command: Command, place: Arc<Place>, arguments: Vec<String>, listen: &str) -> Self {
        match &place.stream {
            Some(stream) => stream.configure(&mut command),
            None => drop(command.env("GAPLESS_DATA", &place.data)),
        }
        let mut process = command
            .args(["serve", "--listen", listen])
            .args(&arguments)
            .env_remove("GAPLESS_URL")
            .env_remove("NO_COLOR")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let log = Arc::new(Mutex::new(String::new()));
        let stderr = BufReader::new(process.stderr.take().expect("piped"));
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let mut kept = kept.lock();
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        let mut stdout = BufReader::new(process.stdout.take().expect("piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("readable");
        let shown = line.trim_end().strip_prefix("gapless listening on ").and_then(|url| url.split_once("://"));
        let address = shown.and_then(|(_, address)| address.parse().ok());
        let address = address.unwrap_or_else(|| {
            std::thread::sleep(std::time::Duration::from_millis(200));
            panic!("it said {line:?} and logged {}", log.lock())
        });
        let printed = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&printed);
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(read @ 1..) = stdout.read(&mut piece) {
                kept.lock().extend_from_slice(&piece[..read]);
            }
        });
        Self { address, process, place, arguments, clock: None, log, printed }
    }

    /// Exit code and stderr of a `gapless serve` that does not start.
    pub(crate) fn refused(arguments: &[&str]) -> (Option<i32>, String) {
        Self::refused_under(&[], arguments)
    }

    /// The same, executed by another program.
    pub(crate) fn refused_under(wrapper: &[&str], arguments: &[&str]) -> (Option<i32>, String) {
        let directory = tempfile::tempdir().expect("a directory");
        let mut process = under(wrapper)
            .arg("serve")
            .args(arguments)
            .current_dir(directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut code = None;
        comes_true(|| {
            code = process.try_wait().expect("ours");
            code.is_some()
        });
        let _ = process.kill();
        let _ = process.wait();
        let mut stderr = String::new();
        process.stderr.take().expect("piped").read_to_string(&mut stderr).expect("UTF-8");
        (code.expect("it gives up").code(), stderr)
    }

    /// The store's directory. A test that asks for it `needs!(Disk)`.
    pub(crate) fn data(&self) -> PathBuf {
        assert!(self.place.stream.is_none(), "over JetStream there is none");
        self.place.data.clone()
    }

    /// Its URL, without TLS.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The process's id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Its resident memory when it has stopped growing.
    pub(crate) fn settled_kib(&self) -> usize {
        let mut before = 0;
        eventually("the memory settles", || {
            std::thread::sleep(Duration::from_millis(300));
            let now = self.resident_kib();
            std::mem::replace(&mut before, now).abs_diff(now) < 512
        });
        before
    }

    fn resident_kib(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    }

    /// What it has logged so far. A thread of the hub writes the log and a thread of the test reads it, so a line may be
    /// missing for a while after what it reports, and after the hub's end: wait for it with [`eventually`].
    pub(crate) fn log(&self) -> String {
        self.log.lock().clone()
    }

    /// What it has printed so far, after the line with its address.
    #[allow(dead_code, reason = "for the tests of the relay and the terminal")]
    pub(crate) fn printed(&self) -> Vec<u8> {
        self.printed.lock().clone()
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("ours");
        self.process.wait().expect("ours");
    }

    /// Sends SIGTERM without waiting.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends it a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.pid().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// Waits for its end; returns its exit code.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let mut code = None;
        eventually("the process ends", || {
            code = self.process.try_wait().expect("ours");
            code.is_some()
        });
        code.expect("ended").code()
    }

    /// Restarts it with the same store and address, after [`Hub::kill`] or [`Hub::wait`].
    pub(crate) fn again(&self) -> Self {
        self.again_at(&self.address.to_string())
    }

    /// Restarts it with the same store at `address`; at another one, its earlier clients cannot reconnect.
    pub(crate) fn again_at(&self, listen: &str) -> Self {
        Self::spawn(Arc::clone(&self.place), self.arguments.clone(), listen, self.clock.clone())
    }

    /// The same as [`Hub::again`], after it has ended in order.
    pub(crate) fn again_after_end(mut self) -> Self {
        self.end();
        self.again()
    }

    /// Ends it in order.
    pub(crate) fn end(&mut self) {
        self.terminate();
        assert_eq!(self.wait(), Some(0), "{}", self.log());
    }

    /// The same as [`Hub::again`], with a clock that is wrong by `offset`, or right.
    pub(crate) fn again_with_clock(&self, offset: Option<&str>) -> Self {
        let offset = offset.map(Into::into);
        Self::spawn(Arc::clone(&self.place), self.arguments.clone(), &self.address.to_string(), offset)
    }

    /// Publishes `data` as a raw body; returns the id.
    pub(crate) fn publish(&self, topic: &str, data: &str) -> String {
        let answer = self.post(&format!("/publish?topic={topic}"), &[("content-type", "text/plain")], data.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["id"].as_str().expect("an id").into()
    }

    pub(crate) fn post(&self, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        wire::request(self.address, "POST", target, headers, body)
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        wire::request(self.address, "GET", target, &[], b"")
    }

    pub(crate) fn request(&self, method: &str, target: &str, body: &[u8]) -> Answer {
        wire::request(self.address, method, target, &[], body)
    }

    /// Changes a topic's settings, which must be accepted; returns its state.
    pub(crate) fn put(&self, topic: &str, settings: &str) -> Value {
        let answer = self.request("PUT", &format!("/topics/{topic}"), settings.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// A topic's state.
    pub(crate) fn topic(&self, topic: &str) -> Value {
        self.get(&format!("/topics/{topic}")).json()
    }

    /// Deletes a topic, which must exist.
    pub(crate) fn delete(&self, topic: &str) {
        assert_eq!(self.request("DELETE", &format!("/topics/{topic}"), b"").status, 204);
    }

    /// Data of the first thousand kept events, oldest first.
    pub(crate) fn kept(&self, topic: &str) -> Vec<String> {
        let page = self.page(&format!("topic={topic}&from=earliest&limit=1000"));
        let events = page["events"].as_array().expect("a list");
        events.iter().map(|event| event["data"].as_str().expect("text").into()).collect()
    }

    /// Keeps the newest `count` events of a topic and waits until the rest is gone.
    pub(crate) fn trim(&self, topic: &str, count: u64) {
        self.put(topic, &format!("{{\"retention\":{{\"max_events\":{count}}}}}"));
        eventually("the rest is trimmed", || self.topic(topic)["events"] == count);
    }

    /// Waits until `count` streams subscribe to a topic.
    pub(crate) fn wait_for_streams(&self, topic: &str, count: u64) {
        eventually("the streams listen", || self.topic(topic)["subscribers"] == count);
    }

    /// A page of events as JSON.
    pub(crate) fn page(&self, query: &str) -> Value {
        let headers = [("accept", "application/json")];
        wire::request(self.address, "GET", &format!("/events?{query}"), &headers, b"").json()
    }

    pub(crate) fn watch(&self, query: &str) -> EventStream {
        wire::watch(self.address, query, None)
    }

    pub(crate) fn resume(&self, query: &str, last_event_id: &str) -> EventStream {
        wire::watch(self.address, query, Some(last_event_id))
    }

    pub(crate) fn stats(&self) -> Value {
        self.get("/admin/stats").json()
    }
}

fn owned(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|&argument| argument.into()).collect()
}

/// The binary, executed by `wrapper`.
fn under(wrapper: &[&str]) -> Command {
    let binary = env!("CARGO_BIN_EXE_gapless");
    let Some((program, arguments)) = wrapper.split_first() else { return Command::new(binary) };
    let mut command = Command::new(program);
    command.args(arguments).arg(binary);
    command
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
