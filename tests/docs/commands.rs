//! Every command in the documents runs, in order within its page, as a reader would run it: in a directory of the page's own, with
//! `gapless` on the path, and with free ports in place of 8080. What the page shows as its output is compared.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{self, Child, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use super::{
    blocks::{Block, Command, Kind, blocks},
    left::{LEFT, NO_SHELL},
    provider,
    shown::{self, Bindings},
    support::{PATIENCE, tokens},
};

/// A command that prints nothing and stays, such as `tail`, is left to run after this time.
const QUIET: Duration = Duration::from_millis(400);

/// Files that the commands read, by name.
const FILES: &[(&str, &str)] = &[
    ("today.md", "# Today\n"),
    ("frame.png", "no picture\n"),
    ("app.log.1", "one\n"),
    ("app.log", "two\nthree\n"),
    ("dump.ndjson", "{\"topic\":\"a\",\"data\":\"x\"}\n"),
    // What a reader of curl's answers sees: an error is an error.
    (".exported", ""),
    (".curlrc", "silent\nshow-error\nfail-with-body\n"),
];

/// What the pages name, and what it is here.
const HERE: &[(&str, &str)] = &[
    ("make run", "gapless"),
    ("/run/gapless/", "run/"),
    ("/var/lib/gapless", "store"),
    ("/backup/", "backup/"),
    ("gapless bench ", "gapless bench --seconds 1 "),
    ("--subscribers 5000", "--subscribers 50"),
    (" --seconds 30", " --subscribers 10"),
    // Finds nothing where all is well.
    ("| grep '^attention'", "| { grep '^attention' || true; }"),
];

/// What went wrong in a page, and which entries of the lists it used.
pub(crate) struct Outcome {
    pub(crate) failures: Vec<String>,
    pub(crate) used: BTreeSet<&'static str>,
    pub(crate) ran: usize,
}

pub(crate) fn run(name: &str, document: &str) -> Outcome {
    let mut page = Page::new();
    let mut outcome = Outcome { failures: Vec::new(), used: BTreeSet::new(), ran: 0 };
    for Block { line, kind } in blocks(document) {
        let commands = match kind {
            Kind::Commands(commands) => commands,
            Kind::File { name, text } => {
                let text = page.plain.map_or_else(|| text.clone(), |port| at_port(&text, port, page.tls));
                page.save(&name, &text);
                continue;
            }
        };
        let first = commands.first().map_or("", |command| command.text.as_str());
        if let Some((begin, _)) = NO_SHELL.iter().find(|(begin, _)| first.starts_with(begin)) {
            outcome.used.insert(begin);
            continue;
        }
        for command in commands {
            if let Some((part, _)) = LEFT.iter().find(|(part, _)| command.text.contains(part)) {
                outcome.used.insert(part);
                continue;
            }
            outcome.ran += 1;
            if let Err(what) = page.run(&command) {
                outcome.failures.push(format!("{name}:{line}: `{}` {what}", command.text));
            }
        }
    }
    for (text, what) in page.end() {
        outcome.failures.push(format!("{name}: `{text}`, which was left to run, {what}"));
    }
    outcome
}

/// A reader of one page.
struct Page {
    place: tempfile::TempDir,
    bound: Bindings,
    /// The ports of the newest hub without TLS, of the newest one with it, and of one with credentials.
    plain: Option<u16>,
    tls: Option<u16>,
    guarded: Option<u16>,
    running: Vec<Running>,
    count: usize,
}

struct Running {
    text: String,
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Running {
    fn printed(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.out).unwrap_or_default()).into_owned()
    }

    fn complained(&self) -> String {
        let text = fs::read_to_string(&self.err).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("ours")
    }
}

impl Drop for Running {
    /// Ends it and what it started, all of which is one process group.
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        process::Command::new("kill").args(["-9", "--", &group]).stderr(Stdio::null()).status().ok();
        self.child.wait().ok();
    }
}

impl Page {
    fn new() -> Self {
        let place = tempfile::tempdir().expect("a directory");
        let page = Self {
            place,
            bound: Bindings::new(),
            plain: None,
            tls: None,
            guarded: None,
            running: Vec::new(),
            count: 0,
        };
        for (name, text) in FILES {
            page.save(name, text);
        }
        for directory in ["bin", "run", "backup"] {
            fs::create_dir(page.place.path().join(directory)).expect("new");
        }
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_gapless"), page.place.path().join("bin/gapless")).expect("new");
        page.save_certificate();
        page.save_configurations();
        page
    }

    fn save(&self, name: &str, text: &str) {
        let path = self.place.path().join(name);
        fs::create_dir_all(path.parent().expect("below the place")).expect("writable");
        fs::write(path, text).expect("writable");
    }

    fn save_certificate(&self) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
        self.save("chain.pem", &made.cert.pem());
        self.save("key.pem", &made.signing_key.serialize_pem());
        let issuer = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("made");
        self.save("issuer.pem", &issuer.serialize_pem());
    }

    /// `gapless.toml` has credentials; `provider.toml` has a provider in place of OpenAI.
    fn save_configurations(&self) {
        let url = provider::start();
        let provider = format!("[relay.providers.openai]\nurl = \"http://{url}\"\nmodels = [\"gpt-*\"]\n");
        let grants = "publish = [\"jobs/*\"], subscribe = [\"jobs/**\", \"news\"], relay = [\"openai/gpt-4o*\"]";
        let tokens = tokens(&[("ci", grants)]);
        let issuer = "{ issuer = \"https://login.example\", audience = \"gapless\", algorithms = [\"EdDSA\"], key_file = \"issuer.pem\" }";
        self.save("gapless.toml", &format!("[access]\ntokens = {tokens}\nissuers = [{issuer}]\n{provider}"));
        self.save("provider.toml", &provider);
    }

    fn run(&mut self, command: &Command) -> Result<(), String> {
        let mut text = command.text.clone();
        for (there, here) in HERE {
            text = text.replace(there, here);
        }
        if is_hub(&text) {
            return self.start_hub(&text, &command.shown).map(drop);
        }
        if text.contains("store") && !self.place.path().join("store").exists() {
            self.make_store()?;
        }
        let port = self.port_for(&text)?;
        let text = at_port(&shown::bind(&text, &self.bound), port, self.tls).replace("gpl_…", "ci-token");
        let shown = at_port(&command.shown, port, self.tls);
        let streams = text.contains("curl -N") || text.contains("gapless tail");
        if !command.text.contains(shown::RUN) && shown.contains(shown::RUN) {
            self.bound.remove(shown::RUN);
        }
        let running = self.spawn(&text, &[("GAPLESS_URL", &format!("http://127.0.0.1:{port}"))]);
        self.judge(running, &shown, streams)
    }

    /// Waits for what is shown, or for the end; a command that streams is left to run.
    fn judge(&mut self, mut running: Running, shown: &str, streams: bool) -> Result<(), String> {
        let started = Instant::now();
        loop {
            let ended = running.ended();
            let printed = running.printed();
            let fits = shown::matches(shown, &printed, &self.bound, streams);
            let settled =
                if shown.is_empty() { !printed.is_empty() || started.elapsed() > QUIET } else { fits.is_some() };
            if ended.is_none() && !(streams && settled) {
                if started.elapsed() > PATIENCE {
                    return Err(format!("did not end, or did not print what is shown, but {printed:?}"));
                }
                std::thread::sleep(Duration::from_millis(10));
                continue;
            }
            if shown.is_empty() {
                if let Some(status) = ended.filter(|status| !status.success()) {
                    return Err(format!("ended with {status}: {printed}{}", running.complained()));
                }
            } else if let Some(bound) = fits {
                self.bound = bound;
            } else {
                return Err(format!("printed\n{printed}{}", running.complained()));
            }
            if ended.is_some() {
                fs::write(self.place.path().join(".printed"), printed).expect("writable");
            } else {
                self.running.push(running);
            }
            return Ok(());
        }
    }

    /// The port of the hub that a command speaks to, which is started if there is none.
    fn port_for(&mut self, text: &str) -> Result<u16, String> {
        let (known, command) = if text.contains("gpl_…") {
            (self.guarded, "gapless --config gapless.toml")
        } else {
            (self.plain, "gapless --listen 127.0.0.1:8080,unix:run/hub.sock")
        };
        match known {
            Some(port) => Ok(port),
            None => self.start_hub(command, ""),
        }
    }

    fn start_hub(&mut self, text: &str, shown: &str) -> Result<u16, String> {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port();
        let data = format!("data-{}", self.count);
        let address = format!("127.0.0.1:{port}");
        let mut more = vec![("GAPLESS_DATA", data.as_str()), ("GAPLESS_LISTEN", &address)];
        if text.contains("--relay") {
            more.push(("GAPLESS_CONFIG", "provider.toml"));
        }
        let mut hub = self.spawn(&at_port(text, port, Some(port)), &more);
        let deadline = Instant::now() + PATIENCE;
        while !hub.printed().contains("listening on") {
            if hub.ended().is_some() || Instant::now() > deadline {
                return Err(format!("did not start: {}{}", hub.printed(), hub.complained()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        if !hub.printed().starts_with(&at_port(shown, port, None)) {
            return Err(format!("printed {}", hub.printed()));
        }
        self.running.push(hub);
        let known = if text.contains("--tls-cert") {
            &mut self.tls
        } else if text.contains("gapless.toml") {
            &mut self.guarded
        } else {
            &mut self.plain
        };
        *known = Some(port);
        if text.contains("--relay openai") {
            self.begin_run(port)?;
        }
        Ok(port)
    }

    /// The run that a reader begins with an SDK, and that the commands after it read.
    fn begin_run(&mut self, port: u16) -> Result<(), String> {
        let body =
            r#"{"provider":"openai","request":{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hi"}]}}"#;
        let mut running = self.spawn(&format!("curl -d '{body}' 127.0.0.1:{port}/runs"), &[]);
        let ended = running.child.wait().expect("ours");
        let answer: serde_json::Value = serde_json::from_str(&running.printed()).unwrap_or_default();
        let id = answer["run"].as_str().ok_or_else(|| format!("{ended}: {}", running.printed()))?;
        self.bound.insert(shown::RUN.into(), id.into());
        Ok(())
    }

    /// A store that no hub has open.
    fn make_store(&mut self) -> Result<(), String> {
        let address = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
        let text = format!(
            "gapless --data store --listen {address} & for i in $(seq 100); do gapless publish notices 'Backup done' --url http://{address} && break; sleep 0.1; done; kill $!; wait $!"
        );
        let mut running = self.spawn(&text, &[]);
        let status = running.child.wait().expect("ours");
        if status.success() { Ok(()) } else { Err(format!("made no store: {}", running.complained())) }
    }

    /// A process group of its own. Variables that a command exports are those of the commands after it.
    fn spawn(&mut self, text: &str, more: &[(&str, &str)]) -> Running {
        self.count += 1;
        let place = self.place.path();
        let (out, err) = (place.join(format!(".out-{}", self.count)), place.join(format!(".err-{}", self.count)));
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let printed = File::open(place.join(".printed")).map_or_else(|_| Stdio::null(), Stdio::from);
        let script = format!(". ./.exported\n{text}");
        if text.starts_with("export ") {
            let exported = place.join(".exported");
            let before = fs::read_to_string(&exported).unwrap_or_default();
            fs::write(exported, format!("{before}{text}\n")).expect("writable");
        }
        let path = std::env::var("PATH").expect("a path");
        let path = format!("{}/bin:{}/target/python-venv/bin:{path}", place.display(), root.display());
        let mut command = process::Command::new("bash");
        command.args(["-o", "pipefail", "-c", &script]).current_dir(place).env_clear();
        command.envs([("PATH", path.as_str()), ("TERM", "dumb"), ("TOKEN", "ci-token")]).env("HOME", place);
        command.env("PYTHONPATH", root.join("clients/python/src")).envs(more.iter().copied());
        if text.starts_with("gapless token") {
            command.env("GAPLESS_CONFIG", "gapless.toml");
        }
        command
            .stdin(printed)
            .stdout(File::create(&out).expect("writable"))
            .stderr(File::create(&err).expect("writable"));
        let child = command.process_group(0).spawn().expect("bash starts");
        Running { text: text.into(), child, out, err }
    }

    /// What was left to run is still there, or has ended well.
    fn end(mut self) -> Vec<(String, String)> {
        let mut bad = Vec::new();
        for running in &mut self.running {
            if let Some(status) = running.ended().filter(|status| !status.success()) {
                bad.push((running.text.clone(), format!("ended with {status}: {}", running.complained())));
            }
        }
        bad
    }
}

/// Whether a command starts a hub.
fn is_hub(text: &str) -> bool {
    let mut words = text.split_whitespace().skip_while(|word| word.contains('='));
    words.next() == Some("gapless")
        && words.next().is_none_or(|word| word == "serve" || word.starts_with("--") || word.starts_with('#'))
}

fn at_port(text: &str, plain: u16, tls: Option<u16>) -> String {
    let mut text = text.to_owned();
    if let Some(port) = tls {
        text = text.replace("https://localhost:8080", &format!("https://localhost:{port}"));
    }
    for host in ["localhost", "127.0.0.1", "0.0.0.0"] {
        text = text.replace(&format!("{host}:8080"), &format!("127.0.0.1:{plain}"));
    }
    text
}
